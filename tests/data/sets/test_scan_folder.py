"""Scans of any format as models: cleaned, upright, in metres, with normals where there are any."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.samples import SurfaceSamples, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.sets.prepared import prepare_models
from sparse_convonet.data.sets.scan_folder import (
    BAD_NORMALS,
    CATEGORY,
    DROPPED,
    NO_NORMALS,
    TITLE,
    UP_GUESSED,
    find_files,
    model_names,
    read_scan,
    scan_models,
)
from sparse_convonet.data.sets.scan_surface import Drawing
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.structures import Mesh, PointCloud
from tests.data.format_true_folders import box_mesh

Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) of a file with y up is (x, -z, y) with z up


def hall(rng: np.random.Generator, count: int = 3000) -> PointCloud:
    """Floor and ceiling of 10 x 6 m, 3 m apart, z up, with normals into the hall."""
    points = rng.uniform([0, 0, 0], [10, 6, 1], (count, 3))
    points[:, 2] = np.where(points[:, 2] < 0.5, 0, 3)
    normals = np.zeros((count, 3), dtype=np.float32)
    normals[:, 2] = np.where(points[:, 2] == 0, 1, -1)
    return PointCloud(points, None, normals)


def prepared(folder: Path, out: Path, points: int = 1000, up: str | None = None, scale: float | None = None) -> None:
    prepare_models(out, CATEGORY, TITLE, scan_models(find_files(folder), Drawing(points), up, scale))


def loaded(model: Path) -> tuple[np.ndarray, np.ndarray | None, SurfaceSamples]:
    """Points and normals in the world, and what is in the file."""
    frame = read_frame(model)
    assert frame is not None
    samples = read_surface(model / "pointcloud.npz")
    turned = None if samples.normals is None else UnitFrame(np.zeros(3), 1.0).to_world(samples.normals)
    return frame.to_world(samples.points_unit), turned, samples


@pytest.mark.parametrize(("up", "scale"), [("y", 0.001), (None, 0.001), (None, None)])
def test_points_of_a_cloud_keep_their_places_in_metres_z_up(
    tmp_path: Path, rng: np.random.Generator, up: str | None, scale: float | None
) -> None:
    cloud = hall(rng)
    assert cloud.normals is not None
    in_file = PointCloud(cloud.points @ Y_UP.T / (scale or 1.0), None, (cloud.normals @ Y_UP.T).astype(np.float32))
    (tmp_path / "scans").mkdir()
    write_points(tmp_path / "scans" / "hall.ply", in_file)
    prepared(tmp_path / "scans", tmp_path / "out", up=up, scale=scale)
    points, normals, samples = loaded(tmp_path / "out" / CATEGORY / "hall")
    distance, place = cKDTree(cloud.points).query(points)
    assert distance.max() < 1e-5 and len(samples) == len(set(place)) == 1000
    assert normals is not None
    assert np.allclose(normals, np.where(points[:, 2:] < 1.5, [0, 0, 1], [0, 0, -1]), atol=1e-6)


def test_all_points_of_a_small_cloud_are_kept_and_outliers_are_not(tmp_path: Path, rng: np.random.Generator) -> None:
    points = np.concatenate([hall(rng, 800).points, [[900.0, 0, 0]], [[np.nan, 0, 0]]])
    (tmp_path / "scans").mkdir()
    np.savetxt(tmp_path / "scans" / "hall.xyz", points)
    prepared(tmp_path / "scans", tmp_path / "out", up="z")
    found, normals, _ = loaded(tmp_path / "out" / CATEGORY / "hall")
    assert normals is None and len(found) == 800
    assert np.allclose(np.sort(found, axis=0), np.sort(points[:800], axis=0), atol=1e-5)
    assert read_scan(tmp_path / "scans" / "hall.xyz", Drawing(9), None, None).remarks == (
        UP_GUESSED, NO_NORMALS, DROPPED
    )  # fmt: skip


def test_a_mesh_gives_points_on_it_with_the_normals_of_its_faces(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    write_mesh(tmp_path / "scans" / "house.obj", box_mesh([0, 0, 0], [8, 5, 3]))
    prepared(tmp_path / "scans", tmp_path / "out", points=2000, up="z")
    points, normals, samples = loaded(tmp_path / "out" / CATEGORY / "house")
    assert len(samples) == 2000 and normals is not None
    outward = np.concatenate([-np.eye(3), np.eye(3)])
    side = (normals @ outward.T).argmax(axis=1)
    assert np.allclose(normals, outward[side], atol=1e-6) and set(side) == set(range(6))
    beyond = np.concatenate([-points, points - [8, 5, 3]], axis=1)  # (N, 6) metres outside of each side
    # The cube is as large as the samples, which end a little before the edges: places are right all the same.
    assert np.abs(beyond[np.arange(len(points)), side]).max() < 1e-5 and beyond.max() < 1e-5


def test_normals_that_are_not_finite_are_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    cloud = hall(rng)
    assert cloud.normals is not None
    cloud.normals[7] = np.nan
    write_points(tmp_path / "hall.ply", cloud)
    surface = read_scan(tmp_path / "hall.ply", Drawing(9), "z", None)
    assert isinstance(surface.geometry, PointCloud) and surface.geometry.normals is None
    assert BAD_NORMALS in surface.remarks


def test_scans_that_are_hardly_in_metres_are_refused_without_a_scale(tmp_path: Path, rng: np.random.Generator) -> None:
    write_points(tmp_path / "hall.ply", PointCloud(hall(rng).points * 1000))
    with pytest.raises(
        ValueError, match=r"hall.ply: scan: expected metres, found an extent of .* millimetres; .*--scale 0.001"
    ):
        read_scan(tmp_path / "hall.ply", Drawing(9), None, None)
    with pytest.raises(ValueError, match="--scale: expected a positive number of metres, found 0"):
        scan_models([tmp_path / "hall.ply"], Drawing(9), None, 0.0)


def test_a_mesh_without_area_names_its_file(tmp_path: Path) -> None:
    write_mesh(tmp_path / "flat.ply", Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))
    with pytest.raises(ValueError, match="flat.ply: mesh: expected faces with an area"):
        read_scan(tmp_path / "flat.ply", Drawing(9), None, None)


def test_files_are_found_by_suffix_not_below_the_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("b.PLY", "a.las", "notes.pdf", ".hidden.ply", "below/c.ply"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        assert [path.name for path in find_files(tmp_path)] == ["a.las", "b.PLY"]
    assert "1 files are no scans by their suffix" in caplog.text
    with pytest.raises(ValueError, match="found no folder; check the path"):
        find_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="found none of them; name another folder"):
        find_files(tmp_path / "empty")


def test_names_are_stems_unless_they_repeat() -> None:
    def names(*files: str) -> list[str]:
        return model_names([Path(file) for file in files])

    assert names("a.ply", "b 1.v2.las") == ["a", "b_1_v2"]
    assert names("a.ply", "a.obj", "c.obj") == ["a_ply", "a_obj", "c"]
    twice = names("a b.ply", "a_b.ply", "a.ply")
    assert len(set(twice)) == 3 and all(name.startswith("a_b_ply_") for name in twice[:2]) and twice[2] == "a"
