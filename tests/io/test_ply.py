"""PLY in every encoding: bytes written by the test come back exactly, damaged ones are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.ply import MeshParts, write_ply
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import Mesh, PointCloud

FAR = np.array([[500000.125, -4999999.875, 12.0009765625], [500000.1250001, 0.1, -3.0], [1 / 3, 2e-17, 7e300]])
COLOURS = np.array([[0, 128, 255], [1, 1, 1], [0, 0, 1]], dtype=np.uint8)


def _binary(order: str, extra: bool = False, newline: str = "\n") -> bytes:
    """FAR and COLOURS, with unknown properties and comments where `extra`."""
    name = {"<": "binary_little_endian", ">": "binary_big_endian"}[order]
    lines = ["ply", f"format {name} 1.0", "comment made by a test", "obj_info none", "element vertex 3"]
    lines += ["property double x", "property double y", "property float64 z"]
    lines += ["property short quality"] * extra
    lines += ["property uchar red", "property uint8 green", "property uchar blue"]
    lines += ["property float curvature"] * extra
    body = b""
    for point, colour in zip(FAR, COLOURS, strict=True):
        body += struct.pack(f"{order}3d", *point)
        body += struct.pack(f"{order}h", -7) * extra
        body += struct.pack(f"{order}3B", *colour)
        body += struct.pack(f"{order}f", 0.5) * extra
    return (newline.join([*lines, "end_header"]) + newline).encode() + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_binary_points_come_back_bit_for_bit(tmp_path: Path, order: str, extra: bool, newline: str) -> None:
    path = tmp_path / "scan.ply"
    path.write_bytes(_binary(order, extra, newline))
    cloud = read_points(path)
    assert np.array_equal(cloud.points, FAR) and cloud.points.dtype == np.float64
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_body_that_begins_with_a_line_feed_byte_is_not_cut(tmp_path: Path, newline: str) -> None:
    header = newline.join(["ply", "format binary_little_endian 1.0", "element vertex 1"])
    header += newline + newline.join([f"property uchar {axis}" for axis in "xyz"] + ["end_header"]) + newline
    path = tmp_path / "scan.ply"
    path.write_bytes(header.encode() + bytes([10, 13, 10]))
    assert read_points(path).points.tolist() == [[10, 13, 10]]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_ascii_points_come_back_exactly_with_dark_colours_unscaled(tmp_path: Path, newline: str) -> None:
    lines = ["ply", "format ascii 1.0", "comment x", "element vertex 2", "property double x", "property float y"]
    lines += ["property double z", "property int label", *(f"property uchar {name}" for name in ("r", "g", "b"))]
    lines += ["end_header", "500000.1250001 0.1 -3 9 1 0 1", "-1e-300 nan inf 9 0 0 1"]
    path = tmp_path / "scan.ply"
    path.write_bytes(newline.join(lines).encode())
    cloud = read_points(path)
    assert np.array_equal(cloud.points, [[500000.1250001, 0.1, -3], [-1e-300, np.nan, np.inf]], equal_nan=True)
    assert cloud.colours is not None and cloud.colours.tolist() == [[1, 0, 1], [0, 0, 1]]


def _mixed_polygons(order: str) -> bytes:
    """A square pyramid: one quadrilateral and four triangles, so lists of different lengths, and a list per vertex."""
    points: list[list[float]] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]]
    faces = [[3, 2, 1, 0], [0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]
    name = {"<": "binary_little_endian", ">": "binary_big_endian", "": "ascii"}[order]
    header = f"ply\nformat {name} 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    header += "property list uchar int neighbours\nelement material 1\nproperty int id\n"
    header += "element face 5\nproperty uchar flag\nproperty list uint8 int32 vertex_index\nend_header\n"
    if not order:
        body = "".join(" ".join(map(str, p)) + " 2 7 8\n" for p in points) + "3\n"
        return (header + body + "".join(f"0 {len(f)} " + " ".join(map(str, f)) + "\n" for f in faces)).encode()
    body_bytes = b"".join(struct.pack(f"{order}3fBii", *p, 2, 7, 8) for p in points) + struct.pack(f"{order}i", 3)
    body_bytes += b"".join(struct.pack(f"{order}BB{len(f)}i", 0, len(f), *f) for f in faces)
    return header.encode() + body_bytes


@pytest.mark.parametrize("order", ["", "<", ">"])
def test_mixed_polygons_become_a_closed_triangle_mesh(tmp_path: Path, order: str) -> None:
    path = tmp_path / "pyramid.ply"
    path.write_bytes(_mixed_polygons(order))
    mesh = read_mesh(path)
    assert mesh.faces.shape == (6, 3)
    solid = mesh.to_trimesh()
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.volume == pytest.approx(1 / 3, abs=1e-9)


@pytest.mark.parametrize("order", ["", "<", ">"])
def test_every_truncation_of_the_body_is_refused(tmp_path: Path, order: str) -> None:
    content = _mixed_polygons(order)
    body = content.index(b"end_header\n") + len(b"end_header\n")
    path = tmp_path / "pyramid.ply"
    for end in range(body, len(content) - 2):  # without its last two characters a text still ends in a number
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="truncated|faces of vertices"):
            read_mesh(path)


def test_what_we_write_other_readers_read(tmp_path: Path, rng: np.random.Generator) -> None:
    solid = trimesh.creation.icosphere(subdivisions=2)
    offset = np.array([5e5, -5e5, 100.0])
    normals = np.asarray(solid.vertex_normals, dtype=np.float32)
    colours = rng.integers(0, 256, (len(solid.vertices), 3)).astype(np.uint8)
    mesh = Mesh(solid.vertices + offset, np.asarray(solid.faces), normals, colours)
    write_mesh(tmp_path / "mesh.ply", mesh)
    theirs = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert isinstance(theirs, trimesh.Trimesh)
    assert np.array_equal(theirs.vertices, mesh.vertices) and np.array_equal(theirs.faces, mesh.faces)
    assert np.array_equal(theirs.visual.vertex_colors[:, :3], colours)
    ours = read_mesh(tmp_path / "mesh.ply")
    assert np.array_equal(ours.vertices, mesh.vertices) and np.array_equal(ours.faces, mesh.faces)
    assert ours.colours is not None and np.array_equal(ours.colours, colours)
    assert ours.normals is not None and np.allclose(ours.normals, normals, atol=1e-6)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_what_another_writer_writes_we_read(tmp_path: Path, encoding: str) -> None:
    solid = trimesh.creation.torus(1.0, 0.3)
    (tmp_path / "torus.ply").write_bytes(trimesh.exchange.ply.export_ply(solid, encoding=encoding))
    mesh = read_mesh(tmp_path / "torus.ply")
    assert np.allclose(mesh.vertices, solid.vertices, atol=1e-6) and np.array_equal(mesh.faces, solid.faces)


def test_points_are_written_and_read_back_exactly(tmp_path: Path) -> None:
    normals = np.eye(3, dtype=np.float32)
    write_points(tmp_path / "scan.ply", PointCloud(FAR, COLOURS, normals))
    cloud = read_points(tmp_path / "scan.ply")
    assert np.array_equal(cloud.points, FAR)
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)
    assert cloud.normals is not None and np.array_equal(cloud.normals, normals)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x93\x00garbage\xff" * 20, "expected a PLY file .first line 'ply'., found"),
        (b"ply\nformat ascii 1.0\nelement vertex 3\n", "no line 'end_header'"),
        (b"ply\nformat binary 1.0\nend_header\n", "found the line 'format binary 1.0'"),
        (b"ply\nelement vertex 1\nend_header\n", "no line 'format'"),
        (b"ply\nformat ascii 1.0\nelement vertex many\nend_header\n", "the line 'element vertex many'"),
        (b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n", "negative count"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty quad x\nend_header\n", "the line 'property quad x'"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "the line 'property float x'"),
        (b"ply\nformat ascii 1.0\nelement cell 0\nend_header\n", "an element 'vertex', found cell"),
        (
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nend_header\n1 2\n",
            "columns x, y and z, found x, y",
        ),
    ],
)
def test_damaged_headers_are_refused_with_the_cause(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scan.ply"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_points(path)
    assert str(caught.value).startswith(f"{path}: expected ")


def test_a_word_in_an_ascii_body_is_named_with_its_line(tmp_path: Path) -> None:
    header = (
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    )
    (tmp_path / "scan.ply").write_text(header + "1 2 3\n4 five 6\n")
    with pytest.raises(ValueError, match="expected numbers in line 9, found 'five'"):
        read_points(tmp_path / "scan.ply")


def test_faces_of_missing_vertices_are_refused(tmp_path: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "mesh.ply").write_text(header + "0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n")
    with pytest.raises(ValueError, match="expected faces of vertices 0 to 2, found indices from 0 to 3"):
        read_mesh(tmp_path / "mesh.ply")


def test_a_header_that_promises_more_points_than_fit_into_memory_is_refused(tmp_path: Path) -> None:
    header = "element vertex 999999999999999\nproperty double x\nproperty double y\nproperty double z\nend_header\n"
    (tmp_path / "scan.ply").write_text("ply\nformat binary_little_endian 1.0\n" + header)
    with pytest.raises(ValueError, match="expected 999999999999999 rows of element 'vertex', found only 0"):
        read_points(tmp_path / "scan.ply")


def test_attributes_of_vertices_stand_behind_the_colours_whole_and_in_parts(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    vertices, faces = rng.normal(size=(4, 3)), np.array([[0, 1, 2], [1, 2, 3]])
    attributes: dict[str, np.ndarray] = {
        "observed": np.array([1, 0, 1, 1], np.uint8),
        "expected_error": rng.random(4).astype(np.float32),
    }
    colours = rng.integers(0, 256, (4, 3)).astype(np.uint8)
    mesh = Mesh(vertices, faces, colours=colours, attributes=attributes)
    write_ply(tmp_path / "whole.ply", mesh)
    kinds = {name: values.dtype for name, values in attributes.items()}
    with MeshParts(tmp_path / "parts.ply", 4, 2, normals=False, colours=True, attributes=kinds) as parts:
        for rows, part in ((slice(0, 3), faces[:1]), (slice(3, 4), faces[1:])):
            own = {name: values[rows] for name, values in attributes.items()}
            parts.add(Mesh(vertices[rows], part, None, colours[rows], own))
    content = (tmp_path / "whole.ply").read_bytes()
    assert (tmp_path / "parts.ply").read_bytes() == content
    assert b"property uchar observed\nproperty float expected_error\n" in content
    known = trimesh.load(tmp_path / "whole.ply", process=False).metadata["_ply_raw"]["vertex"]["data"]
    for name, values in attributes.items():
        np.testing.assert_array_equal(known[name].ravel(), values)
    again = read_mesh(tmp_path / "whole.ply")
    np.testing.assert_array_equal(again.vertices, vertices)
    np.testing.assert_array_equal(again.colours, colours)


def test_attributes_are_one_number_for_each_vertex() -> None:
    with pytest.raises(ValueError, match=r"observed: expected one number for each of 3 vertices, found \(2,\)"):
        Mesh(np.zeros((3, 3)), np.zeros((0, 3), dtype=np.int64), attributes={"observed": np.zeros(2)})
