"""Tables of every usual export: names of columns, orders without names, and text that is written in other ways."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.column_names import known_names
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.points import read_points
from tests.io.made_scans import read_both_ways

COUNT = 2000
K = np.arange(COUNT)
RGB = np.tile([200, 100, 50], (COUNT, 1))
UP = np.tile([0, 0, 1], (COUNT, 1))


@pytest.fixture
def room(rng: np.random.Generator) -> np.ndarray:
    return (rng.random((COUNT, 3)) * [6, 4, 2.7]).round(4)


def natural(rng: np.random.Generator) -> np.ndarray:
    """(N, 3) colours whose channels vary together, as those of things do."""
    light = rng.random((COUNT, 1)) * 200
    return np.clip(light + rng.normal(0, 12, (COUNT, 3)) + [30, 20, 10], 0, 255).round()


@pytest.mark.parametrize(
    ("header", "left", "right"),
    [
        ("intensity,laser_id,Points:0,Points:1,Points:2", 2, 0),  # ParaView
        ("Points_0,Points_1,Points_2,Intensity", 0, 1),
        ('"intensity","laser_id","Points_m_XYZ:0","Points_m_XYZ:1","Points_m_XYZ:2","timestamp"', 2, 1),  # VeloView
        ("frame,pos_x,pos_y,pos_z", 1, 0),
        ("//X,Y,Z,Intensity", 0, 1),  # CloudCompare
        ("id,X_m,Y_m,Z_m", 1, 0),
        ("time,x_coord,y_coord,z_coord", 1, 0),
        ("time,X [m],Y [m],Z [m]", 1, 0),
        ("Intensity,cartesianX,cartesianY,cartesianZ", 1, 0),  # of E57
        ("GpsTime,X,Y,Z,Classification", 1, 1),  # PDAL
        ("PointID,Easting,Northing,Elevation", 1, 0),
        ("no,position.x,position.y,position.z", 1, 0),
    ],
)
def test_columns_are_found_by_their_names(tmp_path: Path, room: np.ndarray, header: str, left: int, right: int) -> None:
    other = np.tile((K % 251)[:, None], (1, max(left, right, 1)))
    table = np.c_[other[:, :left], room, other[:, :right]]
    np.savetxt(tmp_path / "a.csv", table, "%.4f", ",", header=header, comments="")
    cloud = read_both_ways(tmp_path / "a.csv")
    assert np.array_equal(cloud.points, room) and cloud.colours is None and cloud.normals is None


@pytest.mark.parametrize("names", ["R G B", "Red Green Blue", "red_8 green_8 blue_8", "colors:0 colors:1 colors:2"])
@pytest.mark.parametrize("normals", ["Nx Ny Nz", "normal_x normal_y normal_z", "Normals:0 Normals:1 Normals:2"])
def test_colours_and_normals_are_found_by_their_names(
    tmp_path: Path, room: np.ndarray, names: str, normals: str
) -> None:
    header = f"{normals} X Y Z intensity {names}"
    np.savetxt(tmp_path / "a.txt", np.c_[UP, room, K % 256, RGB], "%.4f", header=header, comments="//")
    cloud = read_both_ways(tmp_path / "a.txt")
    assert np.array_equal(cloud.points, room)
    assert cloud.colours is not None and np.unique(cloud.colours, axis=0).tolist() == [[200, 100, 50]]
    assert cloud.normals is not None and np.unique(cloud.normals, axis=0).tolist() == [[0, 0, 1]]


def test_fractions_of_cloudcompare_are_colours(tmp_path: Path, room: np.ndarray) -> None:
    np.savetxt(tmp_path / "a.txt", np.c_[room, RGB / 255], "%.6f", header="X Y Z Rf Gf Bf", comments="//")
    colours = read_both_ways(tmp_path / "a.txt").colours
    assert colours is not None and np.unique(colours, axis=0).tolist() == [[200, 100, 50]]


def test_names_of_other_things_are_no_axes() -> None:
    assert known_names(["nx", "ny", "nz"]) == ["nx", "ny", "nz"]
    assert known_names(["fx", "sky", "proxy", "x", "y"]) == [""] * 5  # no z
    assert known_names(["x", "y", "z", "pos_x", "pos_y", "pos_z"]) == ["x", "y", "z", "", "", ""]
    assert known_names(["n", "e", "h"]) == ["y", "x", "z"]


@pytest.mark.parametrize(
    ("unit", "metres"), [("[mm]", 0.001), ("_m", 1.0), ("(ft)", 0.3048), ("_cm", 0.01), (" [ftUS]", 1200 / 3937)]
)
def test_units_in_the_names_of_columns_are_declared(tmp_path: Path, room: np.ndarray, unit: str, metres: float) -> None:
    header = ",".join(f"{axis}{unit}" for axis in "XYZ")
    np.savetxt(tmp_path / "a.csv", room, "%.4f", ",", header=header, comments="")
    found = read_both_ways(tmp_path / "a.csv").unit
    assert found is not None and found.metres == metres


ORDERS: list[tuple[str, Callable[[np.ndarray], np.ndarray], bool]] = [
    ("x y z r g b", lambda rgb: rgb, False),
    ("x y z r g b label", lambda rgb: np.c_[rgb, K % 13], False),  # S3DIS
    ("x y z i r g b", lambda rgb: np.c_[K * 37 % 256, rgb], False),  # Semantic3D
    ("x y z i r g b label", lambda rgb: np.c_[K * 37 % 256, rgb, K % 13], False),
    ("x y z -i r g b", lambda rgb: np.c_[K * 37 % 256 - 128, rgb], False),
    ("x y z r g b i n n n", lambda rgb: np.c_[rgb, K * 37 % 256, UP], True),  # CloudCompare
    ("x y z i r g b n n n", lambda rgb: np.c_[K * 37 % 256, rgb, UP], True),
    ("x y z n n n r g b", lambda rgb: np.c_[UP, rgb], True),
    ("x y z r g b n n n", lambda rgb: np.c_[rgb, UP], True),
    ("x y z fraction r g b", lambda rgb: np.c_[(K + 0.5) / COUNT, rgb], False),
]


@pytest.mark.parametrize("order", ORDERS, ids=[name for name, *_ in ORDERS])
@pytest.mark.parametrize("of_things", [False, True])
@pytest.mark.parametrize("suffix", [".txt", ".npy", ".npz"])
def test_usual_orders_without_names_are_told_by_their_values(
    tmp_path: Path, room: np.ndarray, rng: np.random.Generator, order: tuple, of_things: bool, suffix: str
) -> None:
    _, others, has_normals = order
    rgb = natural(rng) if of_things else RGB
    table, path = np.c_[room, others(rgb)], tmp_path / f"a{suffix}"
    if suffix == ".txt":
        np.savetxt(path, table, "%.4f")
    else:
        (np.save if suffix == ".npy" else np.savez)(path, table)
    cloud = read_both_ways(path)
    assert np.array_equal(cloud.points, room)
    assert cloud.colours is not None and np.array_equal(cloud.colours, rgb)
    assert (cloud.normals is not None) == has_normals
    if cloud.normals is not None:
        assert np.array_equal(cloud.normals, UP)


@pytest.mark.parametrize("suffix", [".xyz", ".npy"])
def test_normals_alone_and_numbers_of_rows_are_told(tmp_path: Path, room: np.ndarray, suffix: str) -> None:
    for table in (np.c_[room, UP], np.c_[K, room, UP]):
        path = tmp_path / f"a{suffix}"
        np.savetxt(path, table, "%.4f") if suffix == ".xyz" else np.save(path, table)
        cloud = read_both_ways(path)
        assert np.array_equal(cloud.points, room) and cloud.colours is None
        assert cloud.normals is not None and np.array_equal(cloud.normals, UP)


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_what_nothing_tells_is_refused_until_the_columns_are_named(
    tmp_path: Path, room: np.ndarray, rng: np.random.Generator, suffix: str
) -> None:
    any_bytes, path = rng.integers(0, 256, (COUNT, 4)), tmp_path / f"a{suffix}"
    for table, named in (
        (np.c_[room, any_bytes], "x y z - r g b"),
        (np.c_[any_bytes[:, :1], room, any_bytes[:, 1:]], "- x y z r g b"),
        (np.c_[room, rng.normal(size=(COUNT, 4)) * 1000], "x y z - - - -"),
        (np.c_[any_bytes[:, :1], room], "- x y z"),
        (np.c_[any_bytes[:, :2], room, RGB], "- - x y z r g b"),  # row and column of a grid, as FARO writes them
    ):
        np.savetxt(path, table, "%.4f") if suffix == ".txt" else np.save(path, table)
        with pytest.raises(
            ValueError, match=r"expected names of its . columns, .* in its first line; say --columns x,y,z"
        ):
            read_points(path)
        cloud = read_both_ways(path, named.split())
        assert np.array_equal(cloud.points, room)
        if "- - x" not in named and "r" in named:
            assert cloud.colours is not None and np.array_equal(cloud.colours, any_bytes[:, 1:])


@pytest.mark.parametrize("suffix", [".txt", ".npy"])
def test_columns_that_are_named_wrongly_are_refused(tmp_path: Path, room: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    np.savetxt(path, room, "%.4f") if suffix == ".txt" else np.save(path, room)
    with pytest.raises(
        ValueError, match="--columns: expected x, y and z, perhaps .* found x,y,w; say it for example as"
    ):
        read_points(path, columns=["x", "y", "w"])
    with pytest.raises(ValueError, match="expected 4 columns, as .* nam.* found 3"):
        read_points(path, columns=["x", "y", "z", "-"])
    (tmp_path / "a.ply").write_text("")
    with pytest.raises(ValueError, match=r"--columns: expected a table .*, found '.ply', which names its own"):
        read_points(tmp_path / "a.ply", columns=["x", "y", "z"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "x;y;z\n1,5;-2,25;3\n4,0;5,5;6,75\n"),
        ("a.txt", "1,5\t-2,25\t3,0\n4,0\t5,5\t6,75\n"),
        ("a.txt", "1,5 -2,25 3,0\n4,0 5,5 6,75\n"),
        ("a.csv", '"1.5","-2.25","3"\n"4","5.5","6.75"\n'),
        ("a.csv", '"X";"Y";"Z"\n"1,5";"-2,25";"3"\n"4";"5,5";"6,75"\n'),
        ("a.csv", "x,y,z,\n1.5,-2.25,3,\n4,5.5,6.75,\n"),
        ("a.csv", "1.5;-2.25;3;\r\n4;5.5;6.75;\r\n"),
        ("a.csv", "x,y,z,class\n1.5,-2.25,3,wall\n4,5.5,6.75,floor\n"),
        ("a.csv", 'name,x,y,z\n"a, b",1.5,-2.25,3\nc,4,5.5,6.75\n'),
        ("a.txt", "1.5 -2.25 3 wall\n4 5.5 6.75 floor\n"),
        ("a.txt", "x y z date time\n1.5 -2.25 3 2021-01-01 10:00:00\n4 5.5 6.75 2021-01-01 10:00:01\n"),
        ("a.asc", "1.5 -2.25 3\n4 5.5 6.75\n"),
        ("a.tsv", "x\ty\tz\n1.5\t-2.25\t3\n4\t5.5\t6.75\n"),
        ("a.xyzi", "1.5 -2.25 3 17\n4 5.5 6.75 18\n"),
        ("a.pts", "1\n1.5 -2.25 3 -500 255 0 7\n1\n4 5.5 6.75 20 0 1 2\n"),  # a count for each scan
        ("a.pts", "2\r\n1.5 -2.25 3 100 255 0 7\r\n4 5.5 6.75 20 0 1 2\r\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_that_is_written_in_other_ways(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(content.encode(encoding))
    expected = [[1.5, -2.25, 3], [4, 5.5, 6.75]]
    cloud = read_points(tmp_path / name)
    assert cloud.points.tolist() == expected
    assert joined(read_chunks(tmp_path / name, chunk_points=1)).points.tolist() == expected
    if "255" in content:
        assert cloud.colours is not None and cloud.colours.tolist() == [[255, 0, 7], [0, 1, 2]]


def test_utf_16_of_a_big_endian_mark_and_of_many_blocks(tmp_path: Path, room: np.ndarray) -> None:
    lines = "\r\n".join(" ".join(f"{value:.4f}" for value in row) for row in np.tile(room, (20, 1)))
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF16_BE + lines.encode("utf-16-be"))
    cloud = read_points(tmp_path / "a.txt")
    assert np.array_equal(cloud.points, np.tile(room, (20, 1)))


@pytest.mark.parametrize(("suffix", "attribute"), [(".xyzn", "normals"), (".xyzrgb", "colours")])
def test_suffixes_say_what_the_last_three_are(tmp_path: Path, suffix: str, attribute: str) -> None:
    (tmp_path / f"a{suffix}").write_text("1 2 3 1 0 0\n4 5 6 0 0 1\n")
    found = getattr(read_points(tmp_path / f"a{suffix}"), attribute)
    assert (found / found.max()).tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pts", "2\n1 2 3\n4 5 6\n3\n7 8 9\n", "expected 5 points as its 2 counts say, found 3"),
        ("a.asc", "ncols 4\nnrows 5\nxllcorner 0\n1 2 3 4\n", "found a grid of heights"),
        ("a.csv", "lon,lat,alt\n7.1,50.2,120\n7.2,50.3,121\n", "found 'lon,lat,alt': degrees; project them"),
        ("a.csv", "x,y,z,class\n1,2,3,wall\n4,five,6,floor\n", "expected numbers in line 3, found 'five'"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / name)


def test_records_of_named_fields_as_pdal_saves_them(tmp_path: Path, room: np.ndarray) -> None:
    kinds = [("X", "f8"), ("Y", "f8"), ("Z", "f8"), ("Intensity", "u2")]
    records = np.zeros(COUNT, [*kinds, *((name, "u2") for name in ("Red", "Green", "Blue"))])
    for axis, name in enumerate("XYZ"):
        records[name] = room[:, axis]
    for channel, name in enumerate(("Red", "Green", "Blue")):
        records[name] = RGB[:, channel] * 257
    np.save(tmp_path / "a.npy", records)
    cloud = read_both_ways(tmp_path / "a.npy")
    assert np.array_equal(cloud.points, room)
    assert cloud.colours is not None and np.array_equal(cloud.colours, RGB)


def test_counts_right_behind_the_word_off(tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text("OFF4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n")
    mesh = read_mesh(tmp_path / "a.off")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]] and len(mesh.faces) == 2


@pytest.mark.parametrize(
    ("header", "name"),
    [("x_m,y_m,z_mm", "m and mm"), ("X [deg],Y [deg],Z [m]", "deg and m")],
    ids=["lengths", "angles"],
)
def test_columns_of_different_units_have_no_length_in_metres(
    tmp_path: Path, room: np.ndarray, header: str, name: str
) -> None:
    np.savetxt(tmp_path / "a.csv", room, "%.5f", ",", header=header, comments="")
    unit = read_both_ways(tmp_path / "a.csv").unit
    assert unit is not None and unit.name == name and np.isnan(unit.metres)


def test_a_time_in_front_of_the_position_is_refused(tmp_path: Path, room: np.ndarray) -> None:
    times = 1.6e9 + 0.1 * np.arange(len(room)) // 3
    np.savetxt(tmp_path / "a.txt", np.column_stack([times + 0.5, room]), "%.4f")
    with pytest.raises(ValueError, match="expected names of its 4 columns, or values that tell what they are"):
        read_points(tmp_path / "a.txt")
