"""Meshes of every format come back as the same surface; damaged ones are refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import Mesh, PointCloud

FORMATS = [".ply", ".obj", ".glb", ".stl", ".off"]
# What the format itself can hold at 500 km, in metres: text of 8 or 10 decimals, float32 around a local origin.
PRECISION_FAR_M = {".ply": 0.0, ".obj": 1e-7, ".glb": 1e-6, ".off": 1e-7}


def _torus(offset: float = 0.0) -> Mesh:
    solid = trimesh.creation.torus(1.0, 0.3, major_sections=24, minor_sections=12)
    return Mesh(np.asarray(solid.vertices) + offset, np.asarray(solid.faces, dtype=np.int64))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_closed_mesh_comes_back_closed_with_its_volume(tmp_path: Path, suffix: str) -> None:
    mesh = _torus()
    write_mesh(tmp_path / f"a{suffix}", mesh)
    found = read_mesh(tmp_path / f"a{suffix}")
    assert found.vertices.dtype == np.float64 and found.faces.dtype == np.int64
    assert found.vertices.shape == mesh.vertices.shape and found.faces.shape == mesh.faces.shape
    solid = found.to_trimesh()
    assert solid.is_watertight and solid.euler_number == 0
    assert solid.volume == pytest.approx(mesh.to_trimesh().volume, rel=1e-6)
    assert np.abs(found.vertices[found.faces] - mesh.vertices[mesh.faces]).max() < 1e-6


@pytest.mark.parametrize("suffix", PRECISION_FAR_M)
def test_offsets_of_500_km_survive(tmp_path: Path, suffix: str) -> None:
    mesh = _torus(500_000.125)
    write_mesh(tmp_path / f"a{suffix}", mesh)
    found = read_mesh(tmp_path / f"a{suffix}")
    assert np.abs(found.vertices[found.faces] - mesh.vertices[mesh.faces]).max() <= PRECISION_FAR_M[suffix]


def test_stl_far_from_the_origin_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        write_mesh(tmp_path / "near.stl", _torus())
        assert not caplog.records
        write_mesh(tmp_path / "far.stl", _torus(500_000.0))
    assert "STL's float32 is too coarse" in caplog.text


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_colours_come_back(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    plain = _torus()
    mesh = Mesh(plain.vertices, plain.faces, None, rng.integers(0, 256, plain.vertices.shape).astype(np.uint8))
    write_mesh(tmp_path / f"a{suffix}", mesh)
    found = read_mesh(tmp_path / f"a{suffix}")
    assert found.colours is not None and mesh.colours is not None
    assert np.abs(found.colours.astype(int) - mesh.colours.astype(int)).max() <= 1


@pytest.mark.parametrize("suffix", [".stl", ".off"])
def test_formats_without_colours_say_so(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    plain = _torus()
    with caplog.at_level(logging.WARNING):
        write_mesh(tmp_path / f"a{suffix}", Mesh(plain.vertices, plain.faces, None, np.zeros((288, 3), dtype=np.uint8)))
    assert f"{suffix} carries no colours" in caplog.text


def test_writing_does_not_change_the_mesh(tmp_path: Path) -> None:
    mesh = _torus(7.0)
    before = mesh.vertices.copy(), mesh.faces.copy()
    for suffix in FORMATS:
        write_mesh(tmp_path / f"a{suffix}", mesh)
    assert np.array_equal(mesh.vertices, before[0]) and np.array_equal(mesh.faces, before[1])


OBJ = """# made by hand
mtllib absent.mtl
o box
v 0 0 0
v 1 0 0 \r
v 1 1 0
v 0 1 0
vt 0 0
vt 1 1
vn 0 0 1
usemtl absent
f 1/1/1 2/2/1 \\
  3/1/1 4/2/1  # a quadrilateral
v 0.5 0.5 1
f -5//1 -1//1 -4//1
f 2 5 3
g other
f 3 5 4
f 4 5 1
"""


def test_obj_with_quads_seams_and_negative_indices_keeps_its_vertices_shared(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(OBJ, newline="")
    mesh = read_mesh(tmp_path / "a.obj")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 4, 1], [1, 4, 2], [2, 4, 3], [3, 4, 0]]


def test_obj_without_faces_is_a_point_cloud_but_no_mesh(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 1 2 500000.1250001 1 0 0.5\nv 4 5 6 0 0 1\n")
    cloud = read_points(tmp_path / "a.obj")
    assert cloud.points.tolist() == [[1, 2, 500000.1250001], [4, 5, 6]]
    assert cloud.colours is not None and cloud.colours.tolist() == [[255, 0, 128], [0, 0, 255]]
    with pytest.raises(ValueError, match="expected a mesh, found 2 points without faces"):
        read_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f 1 2 3\n", "lines 'v x y z', found no such line"),
        ("v 0 0 0\nv 1 0\n", "expected 3 numbers after each 'v', found '1 0'"),
        ("v 0 zero 0\n", "expected numbers, found 'zero'"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "faces of vertices 0 to 2, found indices from 0 to 3"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 0\n", "start at 1, found 0"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -4\n", "faces of vertices 0 to 2, found indices from -1"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 two 3\n", "expected numbers, found 'two'"),
    ],
)
def test_damaged_obj_files_are_refused_with_the_cause(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mesh(tmp_path / "a.obj")


@pytest.mark.parametrize(
    "text",
    [
        "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n",
        "OFF 4 1 0\r\n# a comment\r\n0 0 0\r\n1 0 0 # here too\r\n1 1 0\r\n\r\n0 1 0\r\n4 0 1 2 3 255 0 0\r\n",
        "COFF\n4 2 0\n0 0 0 9 8 7 255\n1 0 0 9 8 7 255\n1 1 0 9 8 7 255\n0 1 0 9 8 7 255\n3 0 1 2\n3 0 2 3 1 1 1\n",
    ],
)
def test_off_in_its_variants(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.off").write_text(text, newline="")
    mesh = read_mesh(tmp_path / "a.off")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    if text.startswith("C"):
        assert mesh.colours is not None and mesh.colours.tolist() == [[9, 8, 7]] * 4


def test_a_gltf_without_its_buffer_says_so(tmp_path: Path) -> None:
    files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(trimesh.creation.box()))
    (tmp_path / "a.gltf").write_bytes(files["model.gltf"])
    with pytest.raises(ValueError, match="expected the buffers that it names beside it, found no file"):
        read_mesh(tmp_path / "a.gltf")


def test_a_scene_of_moved_parts_is_merged_where_its_parts_stand(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([10, 0, 0]))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([0, 20, 0]))
    scene.export(tmp_path / "a.glb")
    for name, content in trimesh.exchange.gltf.export_gltf(scene).items():
        (tmp_path / name).write_bytes(content)
    for name in ("a.glb", "model.gltf"):
        mesh = read_mesh(tmp_path / name)
        assert mesh.faces.shape == (24, 3)
        assert mesh.vertices.min(axis=0).tolist() == [-0.5, -0.5, -0.5]
        assert mesh.vertices.max(axis=0).tolist() == [10.5, 20.5, 0.5]


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".gltf", ".stl", ".off"])
def test_garbage_is_refused(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    for content in (rng.bytes(2000), b"some text\n" * 30, b"{}", b"\0" * 500):
        path.write_bytes(content)
        for read in (read_mesh, read_points):
            with pytest.raises(ValueError, match="; check that the file is complete or export it again") as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: expected ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".ply", ".glb", ".stl", ".off"])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_mesh(path, _torus())
    content = path.read_bytes()
    for share in (0.1, 0.4, 0.7, 0.95):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match="; check that the file is complete"):
            read_mesh(path)


def test_unknown_suffixes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a mesh format \(.ply, .obj, .glb, .stl, .off\), found '.fbx'"):
        write_mesh(tmp_path / "a.fbx", _torus())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.fbx").write_text("x")
    with pytest.raises(ValueError, match="expected a mesh .*, found the suffix '.fbx'"):
        read_mesh(tmp_path / "a.fbx")


@pytest.mark.parametrize("suffix", [".obj", ".glb", ".stl", ".off"])
def test_an_empty_mesh_is_refused_where_the_format_needs_faces_and_the_old_file_stays(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    with pytest.raises(ValueError, match="expected at least one face"):
        write_mesh(path, Mesh(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int64)))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_points_read_from_a_mesh_lie_on_it(tmp_path: Path, suffix: str) -> None:
    write_mesh(tmp_path / f"a{suffix}", Mesh(*_square(3.0)))
    cloud = read_points(tmp_path / f"a{suffix}", sample_spacing_m=0.01)
    assert isinstance(cloud, PointCloud) and len(cloud) == 90_000
    assert np.abs(cloud.points[:, 2]).max() < 1e-6 and cloud.points.min() >= -1e-6 and cloud.points.max() <= 3 + 1e-6


def _square(edge: float) -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]) * edge
    return corners, np.array([[0, 1, 2], [0, 2, 3]])


def test_attributes_of_vertices_are_in_glb_under_names_of_their_own(tmp_path: Path) -> None:
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]), attributes={"observed": np.array([1, 0, 1], np.uint8)})
    write_mesh(tmp_path / "mesh.glb", mesh)
    (found,) = trimesh.load(tmp_path / "mesh.glb", process=False).geometry.values()
    np.testing.assert_array_equal(found.vertex_attributes["_OBSERVED"].ravel(), [1, 0, 1])
    assert found.vertex_attributes["_OBSERVED"].dtype == np.float32
    for suffix in (".obj", ".stl", ".off"):
        write_mesh(tmp_path / f"mesh{suffix}", mesh)
        assert len(read_mesh(tmp_path / f"mesh{suffix}").faces) == 1


def test_a_glb_is_matt_and_seen_from_both_sides(tmp_path: Path) -> None:
    write_mesh(tmp_path / "torus.glb", _torus())
    content = (tmp_path / "torus.glb").read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    (primitive,) = document["meshes"][0]["primitives"]
    material = document["materials"][primitive["material"]]
    assert material["doubleSided"] is True and material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
