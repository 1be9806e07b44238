"""PCD in its three encodings, against bytes written here and files written by Open3D."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud
from tests.io.made_scans import lzf

FAR = np.array([[500000.125, -4999999.875, 12.0009765625], [500000.1250001, 0.1, -3.0], [1 / 3, 2e-17, 7e300]])
COLOURS = np.array([[0, 128, 255], [200, 1, 1], [0, 0, 1]], dtype=np.uint8)


def _header(encoding: str, kind: str = "F", colour_type: str = "U", newline: str = "\n") -> bytes:
    """Doubles, a padding field of three bytes, and a packed colour."""
    lines = ["# .PCD v0.7 - Point Cloud Data file format", "VERSION 0.7", "FIELDS x y z _ rgb", "SIZE 8 8 8 1 4"]
    lines += [f"TYPE {kind} {kind} {kind} U {colour_type}", "COUNT 1 1 1 3 1", "WIDTH 3", "HEIGHT 1"]
    lines += ["VIEWPOINT 0 0 0 1 0 0 0", "POINTS 3", f"DATA {encoding}"]
    return (newline.join(lines) + newline).encode()


def _packed() -> np.ndarray:
    return (COLOURS.astype(np.uint32) << np.array([16, 8, 0], dtype=np.uint32)).sum(axis=1).astype("<u4")


def _file(encoding: str, newline: str = "\n") -> bytes:
    header = _header(encoding, newline=newline)
    if encoding == "ascii":
        rows = (f"{p[0]!r} {p[1]!r} {p[2]!r} 1 2 3 {c}" for p, c in zip(FAR.tolist(), _packed(), strict=True))
        return header + newline.join(rows).encode()
    if encoding == "binary":
        return header + b"".join(p.tobytes() + b"abc" + c.tobytes() for p, c in zip(FAR, _packed(), strict=True))
    columns = FAR.T.tobytes() + b"abcabcabc" + _packed().tobytes()
    body = lzf(columns)
    return header + np.array([len(body), len(columns)], dtype="<u4").tobytes() + body


ENCODINGS = ["ascii", "binary", "binary_compressed"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_doubles_and_colours_come_back_exactly(tmp_path: Path, encoding: str, newline: str) -> None:
    path = tmp_path / "scan.pcd"
    path.write_bytes(_file(encoding, newline))
    cloud = read_points(path)
    assert np.array_equal(cloud.points, FAR) and cloud.points.dtype == np.float64
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_types_in_small_letters_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "scan.pcd"
    path.write_bytes(_file(encoding).replace(b"TYPE F F F U U", b"TYPE f f f u u"))
    assert np.array_equal(read_points(path).points, FAR)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_truncated_files_are_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "scan.pcd"
    content = _file(encoding)
    for cut in (12, len(content) // 4):
        path.write_bytes(content[:-cut])
        with pytest.raises(ValueError, match="truncated|no such line"):
            read_points(path)


def test_references_that_overlap_what_they_write_repeat_the_pattern(tmp_path: Path) -> None:
    header = (
        b"VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 100\nHEIGHT 1\nDATA binary_compressed\n"
    )
    value = np.float32(1.5).tobytes()
    # Four literals, then 1196 bytes as references to four bytes back: a long one holds 9 + 255, three bits say 2 to 8.
    body = bytes([3]) + value + bytes([7 << 5, 255, 3]) * 4 + bytes([7 << 5, 1196 - 4 * 264 - 9, 3])
    path = tmp_path / "scan.pcd"
    path.write_bytes(header + np.array([len(body), 1200], dtype="<u4").tobytes() + body)
    assert np.array_equal(read_points(path).points, np.full((100, 3), 1.5))
    path.write_bytes(header + np.array([3, 1200], dtype="<u4").tobytes() + bytes([1 << 5, 0, 0]))
    with pytest.raises(ValueError, match="reference to before its beginning"):
        read_points(path)


@pytest.mark.parametrize(("ascii_text", "compressed"), [(True, False), (False, False), (False, True)])
def test_files_of_open3d_come_back(
    tmp_path: Path, rng: np.random.Generator, ascii_text: bool, compressed: bool
) -> None:
    open3d = pytest.importorskip("open3d")
    steps = rng.integers(-1000, 1000, (5000, 3)) / 128  # exact in float32, and repetitive, so that LZF has references
    theirs = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(steps))
    colours = rng.integers(0, 256, (5000, 3))
    theirs.colors = open3d.utility.Vector3dVector(colours / 255)
    theirs.normals = open3d.utility.Vector3dVector(np.tile([0.0, 0.6, 0.8], (5000, 1)))
    path = tmp_path / "scan.pcd"
    assert open3d.io.write_point_cloud(str(path), theirs, write_ascii=ascii_text, compressed=compressed)
    cloud = read_points(path)
    assert np.allclose(cloud.points, steps, rtol=0, atol=1e-6)
    assert cloud.colours is not None and np.array_equal(cloud.colours, colours)
    assert cloud.normals is not None and np.allclose(cloud.normals, [0, 0.6, 0.8], atol=1e-6)


def test_the_shared_room_agrees_with_open3d(shared_data: Path) -> None:
    open3d = pytest.importorskip("open3d")
    path = shared_data / "real" / "lidar_room.pcd"
    cloud = read_points(path)
    assert isinstance(cloud, PointCloud) and len(cloud) == 112586
    assert np.array_equal(cloud.points, np.asarray(open3d.io.read_point_cloud(str(path)).points))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"FIELDS x y z _ rgb", b"FIELDS x y q _ rgb", "columns x, y and z, found x, y, q"),
        (b"FIELDS x y z _ rgb", b"FIELDS x y z", "one SIZE, TYPE and COUNT per field, found 3 fields"),
        (b"DATA binary", b"DATA zipped", "DATA ascii, binary or binary_compressed, found zipped"),
        (b"SIZE 8", b"SIZE 7", "a PCD header with FIELDS, SIZE, .* found FIELDS x y z _ rgb, SIZE 7 8 8 1 4, TYPE"),
        (b"TYPE F", b"TYPE Q", "a PCD header with FIELDS, SIZE, .* TYPE Q F F U U"),
        (b"WIDTH 3\n", b"", "a PCD header with FIELDS, SIZE, .* found no WIDTH"),
        (b"POINTS 3", b"POINTS 0", "at least one point, found none"),
    ],
)
def test_damaged_headers_are_refused_with_the_cause(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = tmp_path / "scan.pcd"
    path.write_bytes(_file("binary").replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_points(path)


def test_a_word_in_an_ascii_body_is_named_with_its_line(tmp_path: Path) -> None:
    content = _file("ascii").replace(b"500000.1250001", b"five")
    (tmp_path / "scan.pcd").write_bytes(content)
    with pytest.raises(ValueError, match="expected numbers in line 13, found 'five'"):
        read_points(tmp_path / "scan.pcd")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_viewpoint_is_where_the_scanner_stood_unless_it_is_the_origin(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.pcd"
    path.write_bytes(_file(encoding))
    assert read_points(path).scanners is None
    path.write_bytes(_file(encoding).replace(b"VIEWPOINT 0 0 0", b"VIEWPOINT 1.5 -2 0"))
    scanners = read_points(path).scanners
    assert scanners is not None and np.array_equal(scanners, np.tile([1.5, -2.0, 0.0], (3, 1)))
    path.write_bytes(_file(encoding).replace(b"VIEWPOINT 0 0 0", b"VIEWPOINT a 0 0"))
    with pytest.raises(ValueError, match=r"a\.pcd: expected a VIEWPOINT of numbers, found a 0 0 1"):
        read_points(path)
