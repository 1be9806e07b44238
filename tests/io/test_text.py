"""Text with any usual separators and headers; a broken line is named by its number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud

FAR = np.array([[500000.1250001, -0.1, 3.0], [500000.25, 1e-17, -4.0]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", "500000.1250001 -0.1 3\n500000.25 1e-17 -4\n"),
        ("a.xyz", "  500000.1250001\t-0.1   3\r\n\r\n500000.25 1e-17 -4"),
        ("a.txt", "# a comment\n// another\n500000.1250001 -0.1 3 # here too\n500000.25 1e-17 -4\n"),
        ("a.csv", "x,y,z\n500000.1250001,-0.1,3\n500000.25,1e-17,-4\n"),
        ("a.csv", "\ufeffX [m]; Y [m]; Z [m]\n500000.1250001; -0.1; 3\n500000.25;1e-17;-4\n"),
        ("a.csv", '"z","intensity","y","x"\n3,7,-0.1,500000.1250001\n-4,8,1e-17,500000.25\n'),
        ("a.csv", "easting,northing,height\n500000.1250001,-0.1,3\n500000.25,1e-17,-4\n"),
        ("a.txt", "500000.1250001 -0.1 3\r500000.25 1e-17 -4\r"),
        ("a.pts", "2\n500000.1250001 -0.1 3\n500000.25 1e-17 -4\n"),
        ("a.txt", "# exported with x y z and more\n500000.1250001 -0.1 3 17\n500000.25 1e-17 -4 18\n"),
    ],
)
def test_points_come_back_exactly(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8"))
    cloud = read_points(tmp_path / name)
    assert np.array_equal(cloud.points, FAR) and cloud.points.dtype == np.float64
    assert cloud.colours is None and cloud.normals is None


@pytest.mark.parametrize(
    "text",
    [
        "//X Y Z R G B Nx Ny Nz\n1 2 3 255 0 7 0 0 1\n4 5 6 0 1 2 0 1 0\n",
        "1 2 3 -500 255 0 7 0 0 1\n4 5 6 0 0 1 2 0 1 0\n",  # x y z intensity r g b nx ny nz
        "1,2,3,0,0,1,255,0,7\n4,5,6,0,1,0,0,1,2\n",
    ],
)
def test_colours_and_normals_are_told_apart(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    cloud = read_points(tmp_path / "a.txt")
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.colours is not None and cloud.colours.tolist() == [[255, 0, 7], [0, 1, 2]]
    assert cloud.normals is not None and cloud.normals.tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n4 five 6\n", "expected numbers in line 2, found 'five'"),
        ("x y z\n1 2 3\n\n4 5\n7 8 9\n", "expected 3 numbers in line 4, found 2"),
        ("1 2 3\n4 5\n6 7 8 9\n", "expected 3 numbers in line 2, found 2"),  # as many numbers as three lines of three
        ("1,2,3\n4,,6\n", "expected numbers in line 2, found ''"),
        ("1,2,3\n4,5,,6\n", "expected numbers in line 2, found ''"),
        ("1 2\n3 4\n", "at least three numbers per line, found 2"),
        ("3\n1 2 3\n4 5 6\n", "expected 3 points as its first line says, found 2"),
        ("x,y,z\n1,2,3,4\n", "expected 3 numbers as its header names, found 4 in line 2"),
        ("# nothing but comments\n\n", "expected at least one point, found none"),
        ("3\nwater\nO 0 0 0\nH 1 0 0\n", "expected numbers in line 2, found 'water'"),
        ("once upon a time\nthere was a scan\n", "expected numbers in line 2, found 'there'"),
        ("1 2 3\0\0\n", "binary data"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.xyz").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / "a.xyz")


def test_a_broken_line_after_many_good_ones_is_named(tmp_path: Path) -> None:
    lines = ["0.123456789012345 1.123456789012345 2.123456789012345"] * 100_000  # more than is parsed at once
    (tmp_path / "a.xyz").write_text("\n".join([*lines, "1 2", *lines[:5]]))
    with pytest.raises(ValueError, match="expected 3 numbers in line 100001, found 2"):
        read_points(tmp_path / "a.xyz")
    (tmp_path / "a.xyz").write_text("\n".join(lines))
    assert np.array_equal(
        read_points(tmp_path / "a.xyz").points, np.tile([float(w) for w in lines[0].split()], (100_000, 1))
    )


def test_non_finite_points_are_returned_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("nan inf -inf\n1 2 3\n")
    expected = np.array([[np.nan, np.inf, -np.inf], [1, 2, 3]])
    assert np.array_equal(read_points(tmp_path / "a.xyz").points, expected, equal_nan=True)


def test_what_is_written_is_read_back_exactly(tmp_path: Path, rng: np.random.Generator) -> None:
    normals = np.tile(np.array([[0.0, 0.6, 0.8]], dtype=np.float32), (50, 1))
    cloud = PointCloud(rng.normal(5e5, 1.0, (50, 3)), rng.integers(0, 256, (50, 3)).astype(np.uint8), normals)
    write_points(tmp_path / "a.xyz", cloud)
    found = read_points(tmp_path / "a.xyz")
    assert np.array_equal(found.points, cloud.points)
    assert found.colours is not None and cloud.colours is not None
    assert np.array_equal(found.colours, cloud.colours)
    assert found.normals is not None and np.allclose(found.normals, normals, atol=1e-6)
