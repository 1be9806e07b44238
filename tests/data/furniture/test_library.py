"""The furniture pack: what is shipped, that it survives a round trip, and that bad packs are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import trimesh

from sparse_convonet.data.furniture import voxel_mesh
from sparse_convonet.data.furniture.library import SHIPPED_PACK, FurnitureLibrary, FurnitureModel
from sparse_convonet.data.furniture.pack import PackedModel, PackedVoxels, read_pack, write_pack

EVERY_KTH = 25


@pytest.fixture(scope="module")
def shipped() -> FurnitureLibrary:
    return FurnitureLibrary.load()


def random_solid(seed: int, shape: tuple[int, int, int] = (9, 7, 11)) -> np.ndarray:
    """A connected lump with a rough surface."""
    rng = np.random.default_rng(seed)
    centre = (np.array(shape) - 1) / 2
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (((grid - centre) / (centre + 0.5)) ** 2).sum(axis=-1) < rng.uniform(0.5, 1.1, shape)


def packed(name: str, seed: int, split: str = "train") -> PackedModel:
    return PackedModel(
        name=name,
        category="chair",
        source="here",
        author="A. Üthor",
        licence="CC0-1.0",
        room="Office",
        placement="floor",
        split=split,
        voxel_size_m=0.02,
        elevation_m=0.25,
        packed=PackedVoxels.pack(random_solid(seed)),
    )


def trilinear_oracle(model: FurnitureModel, points: np.ndarray) -> np.ndarray:
    """The definition, point by point: sum over the eight voxel centres around it."""
    values = np.zeros(len(points))
    for row, point in enumerate(points):
        position = (point - model.origin_m) / model.voxel_size_m - 0.5
        base = np.floor(position).astype(int)
        for corner in np.ndindex(2, 2, 2):
            index = base + corner
            if (index >= 0).all() and (index < model.voxels.shape).all() and model.voxels[tuple(index)]:
                values[row] += np.prod(1 - np.abs(position - index))
    return values


# --- the shipped pack


def test_shipped_pack_has_many_models_of_every_important_kind(shipped):
    assert len(shipped) > 250
    for category, least in (("chair", 40), ("table", 20), ("sofa", 15), ("bed", 12), ("storage", 20), ("desk", 6)):
        assert len(shipped.of_category(category)) >= least
    for placement in ("floor", "top", "wall", "ceiling"):
        assert len(shipped.of_placement(placement)) >= 5
    assert len({(model.source, model.name) for model in shipped}) == len(shipped)


def test_shipped_splits_are_disjoint_and_cover_everything(shipped):
    parts = {name: shipped.split(name) for name in ("train", "val", "test")}
    names = {part: {(model.source, model.name) for model in library} for part, library in parts.items()}
    assert sum(len(part) for part in names.values()) == len(set().union(*names.values())) == len(shipped)
    assert all(len(library) >= 0.05 * len(shipped) for library in parts.values())
    assert len(parts["train"]) > 0.7 * len(shipped)


def test_shipped_splits_share_no_shape(shipped):
    train = {model.packed.bits.tobytes() for model in shipped.split("train")}
    for name in ("val", "test"):
        assert not train & {model.packed.bits.tobytes() for model in shipped.split(name)}


def test_shipped_sizes_are_those_of_furniture(shipped):
    for model in shipped:
        assert 0.05 <= model.size_m.max() <= 4.03, model.name
        assert 0.005 <= model.voxel_size_m <= 0.02
        assert 0 <= model.elevation_m < 2.6
    chairs = np.array([model.size_m for model in shipped.of_category("chair")])
    tables = np.array([model.size_m for model in shipped.of_category("table")])
    beds = np.array([model.size_m for model in shipped.of_category("bed")])
    assert 0.75 < np.median(chairs[:, 2]) < 1.0
    assert 0.6 < np.median(tables[:, 2]) < 0.8
    assert 1.9 < np.median(beds[:, :2].max(axis=1)) < 2.3


def test_shipped_backs_are_towards_positive_y(shipped):
    """The mass above the seat of a sofa, and above half height of a chair, lies behind its middle."""
    sides = []
    for model in [*shipped.of_category("sofa"), *shipped.of_category("chair")]:
        upper = model.voxels[:, :, int(0.7 * model.voxels.shape[2]) :].sum(axis=(0, 2))
        middle = (len(upper) - 1) / 2
        sides.append((upper @ (np.arange(len(upper)) - middle)) / max(upper.sum(), 1) / len(upper))
    assert np.mean(np.array(sides) > 0) > 0.8
    assert np.median(sides) > 0.15


def test_every_author_of_the_shipped_pack_is_named(shipped):
    text = (SHIPPED_PACK.parent / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for model in shipped:
        assert f"**{model.author}**" in text
        assert model.name in text
        assert model.licence in ("CC0-1.0", "CC-BY-3.0", "CC-BY-3.0-US")
        assert model.licence in text
    assert SHIPPED_PACK.stat().st_size < 3_000_000


def test_meshes_are_watertight_outward_and_agree_with_the_voxels(shipped):
    for model in shipped.models[::EVERY_KTH]:
        vertices, faces = model.mesh()
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        assert mesh.is_watertight and mesh.is_winding_consistent, model.name
        voxel_volume = model.voxels.sum() * model.voxel_size_m**3
        # Edges of voxels are bevelled by at most 1/8 of a voxel's volume each: little, unless all is one voxel thin.
        assert 0.9 * voxel_volume < mesh.volume < 1.1 * voxel_volume, model.name
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        np.testing.assert_allclose(low, model.origin_m, atol=0.0101, err_msg=model.name)
        np.testing.assert_allclose(high, model.origin_m + model.size_m, atol=0.0101, err_msg=model.name)


def test_mesh_and_contains_agree_more_than_one_centimetre_from_the_surface(shipped):
    rng = np.random.default_rng(0)
    for model in shipped.models[::EVERY_KTH]:
        vertices, faces = model.mesh()
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(vertices.astype(np.float32), faces.astype(np.uint32))
        points = (rng.uniform(-0.05, 1.05, (5000, 3)) * model.size_m + model.origin_m).astype(np.float32)
        distance = scene.compute_signed_distance(o3d.core.Tensor(points), nthreads=1, nsamples=5).numpy()
        clear = np.abs(distance) > 0.0105
        np.testing.assert_array_equal(model.contains(points)[clear], distance[clear] < 0, err_msg=model.name)


def test_contains_at_voxel_centres_equals_the_voxels(shipped):
    for model in shipped.models[::EVERY_KTH]:
        index = np.indices(model.voxels.shape).reshape(3, -1).T
        centres = model.origin_m + (index + 0.5) * model.voxel_size_m
        np.testing.assert_array_equal(model.contains(centres), model.voxels.reshape(-1), err_msg=model.name)


# --- one model


@pytest.mark.parametrize("seed", range(3))
def test_contains_equals_the_trilinear_definition(seed):
    model = FurnitureModel.from_voxels("lump", random_solid(seed), 0.03)
    points = np.random.default_rng(seed).uniform((-0.16, -0.13, -0.03), (0.16, 0.13, 0.36), (3000, 3))
    values = trilinear_oracle(model, points)
    clear = np.abs(values - 0.5) > 1e-9
    np.testing.assert_array_equal(model.contains(points)[clear], values[clear] > 0.5)
    assert 0.02 < (values > 0.5).mean() < 0.9


def test_the_frame_is_centred_and_stands_on_zero():
    model = FurnitureModel.from_voxels("brick", np.ones((4, 6, 8), dtype=bool), 0.1)
    np.testing.assert_allclose(model.size_m, (0.4, 0.6, 0.8))
    vertices, faces = model.mesh()
    np.testing.assert_allclose(vertices.min(axis=0), (-0.2, -0.3, 0.0), atol=1e-3)
    np.testing.assert_allclose(vertices.max(axis=0), (0.2, 0.3, 0.8), atol=1e-3)
    inner, outer = np.array([[0.199, 0, 0.4], [0, 0, 0.001]]), np.array([[0.201, 0, 0.4], [0, 0, -0.001]])
    assert model.contains(inner).all() and not model.contains(outer).any()


def test_far_points_and_no_points_are_outside():
    model = FurnitureModel.from_voxels("lump", random_solid(0), 0.03)
    assert model.contains(np.zeros((0, 3))).shape == (0,)
    assert not model.contains(np.array([[1e9, 0, 0], [0, -1e9, 0], [np.inf, 0, 0], [np.nan, 0, 0]])).any()


def test_voxels_that_touch_along_edges_still_give_a_closed_mesh():
    for seed in range(5):
        voxels = np.random.default_rng(seed).random((8, 8, 8)) < 0.4
        vertices, faces = FurnitureModel.from_voxels("sponge", voxels, 0.02).mesh()
        assert trimesh.Trimesh(vertices, faces, process=False).is_watertight


# --- the pack on disk


def test_pack_round_trip_keeps_everything(tmp_path):
    rows = [packed("one", 1), packed("two", 2, "val"), packed("drei ü", 3, "test")]
    write_pack(tmp_path / "pack.npz", rows)
    library = FurnitureLibrary.load(tmp_path / "pack.npz")
    for row, model in zip(rows, library, strict=True):
        np.testing.assert_array_equal(model.voxels, row.packed.unpack())
        assert (model.name, model.author, model.elevation_m) == (row.name, row.author, row.elevation_m)
        assert not model.voxels.flags.writeable
    assert [model.name for model in library.split("val")] == ["two"]


def test_same_models_give_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_pack(tmp_path / name, [packed("one", 1), packed("two", 2)])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_unknown_split_is_refused_with_the_choices(shipped):
    with pytest.raises(ValueError, match="expected one of train, val, test, found 'dev'"):
        shipped.split("dev")


def changed_pack(path: Path, **changes: np.ndarray) -> Path:
    write_pack(path, [packed("one", 1), packed("two", 2)])
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    arrays.update(changes)
    np.savez_compressed(path, **arrays)
    return path


class _Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("exploded"),))


def test_pickled_objects_are_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = changed_pack(tmp_path / "evil.npz", name=np.array([_Bomb(), _Bomb()], dtype=object))
    with pytest.raises(ValueError, match="expected a furniture pack, but it cannot be read") as caught:
        FurnitureLibrary.load(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_packs_are_refused_in_one_sentence(tmp_path, share):
    path = changed_pack(tmp_path / "cut.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="expected a furniture pack, but it cannot be read") as caught:
        FurnitureLibrary.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": np.array("other 7")}, "expected format 'sparse_convonet furniture 1', found 'other 7'"),
        ({"bits": np.ones(5, dtype=np.uint8)}, "voxel bytes, found 5"),
        ({"shape": np.array([[9, 7, 11], [9, 7, -11]], dtype=np.int32)}, "impossible shape"),
        ({"shape": np.array([[9, 7, 11], [9, 7, 100_000]], dtype=np.int32)}, "impossible shape"),
        ({"voxel_size_m": np.array([0.02, np.nan])}, "voxel sizes must be positive"),
        ({"split": np.array(["train", "dev"])}, "splits must be of"),
        ({"name": np.array(["one"])}, "category: expected 1 texts"),
        ({"bits": np.zeros(174, dtype=np.uint8)}, "no solid voxel"),
        # 693 voxels each: the last three bits of a model belong to none.
        ({"bits": np.where(np.arange(174) % 87 == 86, 7, 0).astype(np.uint8)}, "no solid voxel"),
    ],
)
def test_unsound_packs_are_refused_with_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_pack(changed_pack(tmp_path / "bad.npz", **changes))


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", points=np.zeros(3))
    for name, message in (("array.npy", "one array"), ("text.npz", "cannot be read"), ("other.npz", "are missing")):
        with pytest.raises(ValueError, match=message):
            FurnitureLibrary.load(tmp_path / name)


def test_without_fast_simplification_a_model_keeps_the_closed_surface_of_its_voxels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    voxels = np.zeros((8, 9, 6), dtype=bool)
    voxels[:, :, 4:] = voxels[:2, :2] = voxels[-2:, -2:] = True  # a table on two legs
    simplified = voxel_mesh.mesh_of_voxels(voxels, 0.01)
    monkeypatch.setattr(voxel_mesh, "_simplification", lambda: None)
    vertices, faces = voxel_mesh.mesh_of_voxels(voxels, 0.01)
    assert len(faces) > len(simplified[1]) and voxel_mesh.is_closed(faces)
    volumes = [trimesh.Trimesh(*mesh, process=False).volume for mesh in ((vertices, faces), simplified)]
    assert volumes[0] == pytest.approx(volumes[1], rel=1e-3) and volumes[0] == pytest.approx(voxels.sum(), rel=0.1)
