"""The papers' files: written and read exactly, readable by the papers' own code, and refused where they are wrong."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.data.convonet.samples import (
    OccupancySamples,
    SurfaceSamples,
    read_occupancy,
    read_surface,
    write_occupancy,
    write_surface,
)
from tests.io.made_archives import npy_of, refusal, write_archive


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 3) float64 in the padded cube, unit normals, occupancies and classes of -1 to 4."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return rng.uniform(-0.55, 0.55, (count, 3)), normals, rng.random(count) < 0.4, rng.integers(-1, 5, count)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.npz"


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("packed", [True, False])
def test_occupancy_comes_back_as_it_was_rounded(path: Path, count: int, precision, packed: bool) -> None:
    points, _, occupied, classes = drawn(count)
    write_occupancy(path, OccupancySamples(points, occupied, classes, 0.25), precision, packed=packed)
    found = read_occupancy(path)
    assert np.array_equal(found.points_unit, points.astype(precision)) and found.points_unit.dtype == precision
    assert np.array_equal(found.occupied, occupied) and found.occupied.dtype == bool
    assert found.semantics is not None and np.array_equal(found.semantics, classes)
    assert found.z_scale == 0.25
    assert read_occupancy(path, with_semantics=False).semantics is None


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_a_surface_comes_back_as_it_was_rounded(path: Path, precision) -> None:
    points, normals, _, classes = drawn(100)
    write_surface(path, SurfaceSamples(points, normals, classes), precision)
    found = read_surface(path)
    assert np.array_equal(found.points_unit, points.astype(precision)) and found.points_unit.dtype == precision
    assert found.normals is not None and np.array_equal(found.normals, normals.astype(precision))
    assert found.semantics is not None and np.array_equal(found.semantics, classes)
    bare = read_surface(path, with_normals=False, with_semantics=False)
    assert bare.normals is None and bare.semantics is None and np.array_equal(bare.points_unit, found.points_unit)
    write_surface(path, SurfaceSamples(points), precision)
    assert read_surface(path).normals is None and read_surface(path).semantics is None


@given(occupied=st.lists(st.booleans(), min_size=1, max_size=40), packed=st.booleans())
def test_any_occupancies_come_back(
    tmp_path_factory: pytest.TempPathFactory, occupied: list[bool], packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "occupied.npz"
    write_occupancy(path, OccupancySamples(np.zeros((len(occupied), 3)), np.array(occupied)), packed=packed)
    assert read_occupancy(path).occupied.tolist() == occupied


@pytest.mark.parametrize("classes", [[-1, 127], [0, 128], [-129, 0], [70_000, 2**40]])
def test_classes_come_back_whatever_their_number(path: Path, classes: list[int]) -> None:
    write_surface(path, SurfaceSamples(np.zeros((2, 3)), semantics=np.array(classes)))
    found = read_surface(path).semantics
    assert found is not None and found.tolist() == classes


def test_the_same_samples_make_the_same_bytes(path: Path) -> None:
    points, normals, occupied, classes = drawn(50)
    for write in (
        lambda: write_surface(path, SurfaceSamples(points.copy(), normals.copy(), classes.copy())),
        lambda: write_occupancy(path, OccupancySamples(np.asfortranarray(points), occupied, classes)),
    ):
        write()
        first = path.read_bytes()
        path.unlink()
        write()
        assert path.read_bytes() == first
        with zipfile.ZipFile(path) as archive:
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_papers_loaders_read_what_is_written(path: Path) -> None:
    points, normals, occupied, classes = drawn(1003)
    write_surface(path, SurfaceSamples(points, normals))
    with np.load(path) as loaded:
        assert loaded["points"].dtype == loaded["normals"].dtype == np.float16
        assert loaded["points"].shape == loaded["normals"].shape == (1003, 3)
        assert np.array_equal(loaded["normals"], normals.astype(np.float16))
    write_occupancy(path, OccupancySamples(points, occupied, classes))
    with np.load(path) as loaded:
        found = loaded["points"]
        assert found.dtype == np.float16 and np.array_equal(found, points.astype(np.float16))
        assert loaded["occupancies"].dtype == np.uint8 and loaded["occupancies"].shape == (126,)
        assert np.array_equal(np.unpackbits(loaded["occupancies"])[: found.shape[0]], occupied)
        assert loaded["z_scale"].astype(np.float32) == 0.0
        assert np.array_equal(loaded["semantics"].astype(np.int64), classes)


@pytest.mark.parametrize("kind", ["packed", "bool", "uint8", "int64", "float32", "float64", "float16"])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_way_to_store_occupancies_is_read(path: Path, kind: str, column: bool, save) -> None:
    points, _, occupied, _ = drawn(21)
    if kind == "packed":
        save(path, points=points, occupancies=np.packbits(occupied))
    else:
        stored = occupied.astype(kind)
        save(path, points=points, occupancies=stored[:, None] if column else stored)
    found = read_occupancy(path)
    assert np.array_equal(found.occupied, occupied) and np.array_equal(found.points_unit, points)
    assert found.semantics is None and found.z_scale == 0.0


def test_numbers_are_inside_from_one_half_on(path: Path) -> None:
    np.savez(path, points=np.zeros((4, 3)), occupancies=np.array([0.0, 0.4999, 0.5, 2.0]))
    assert read_occupancy(path).occupied.tolist() == [False, False, True, True]


@pytest.mark.parametrize(("byte", "inside"), [(0, False), (1, True), (128, True), (255, True)])
def test_one_byte_for_one_point_is_inside_unless_it_is_0_packed_or_not(path: Path, byte: int, inside: bool) -> None:
    np.savez(path, points=np.zeros((1, 3)), occupancies=np.array([byte], dtype=np.uint8))
    assert read_occupancy(path).occupied.tolist() == [inside]


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_every_layout_of_points_is_read_in_native_numbers(
    path: Path, dtype: str, order: str, version: tuple[int, int]
) -> None:
    points, normals, occupied, classes = drawn(11)
    stored = np.array(points, dtype=dtype, order="F" if order == "F" else "C")
    arrays = {"points": stored, "normals": normals.astype(dtype), "semantics": classes.astype(">i4")}
    arrays |= {"z_scale": np.array([0.5], dtype=dtype), "occupancies": np.packbits(occupied)}
    arrays |= {"loc": np.zeros(3), "scale": np.ones(1), "names": np.array(["x"])}  # of other papers, or unknown
    write_archive(path, {f"{name}.npy": npy_of(array, version) for name, array in arrays.items()})
    surface, occupancy = read_surface(path), read_occupancy(path)
    assert surface.points_unit.dtype == np.dtype(dtype).newbyteorder("=") and surface.points_unit.dtype.isnative
    for points_unit in (surface.points_unit, occupancy.points_unit):
        assert np.array_equal(points_unit, stored)
    assert surface.normals is not None and np.array_equal(surface.normals, arrays["normals"])
    assert occupancy.semantics is not None and np.array_equal(occupancy.semantics, classes)
    assert occupancy.z_scale == 0.5 and np.array_equal(occupancy.occupied, occupied)


POINTS, BITS = np.zeros((20, 3), dtype=np.float16), np.zeros(3, dtype=np.uint8)
BAD = np.array([np.nan, np.inf, -np.inf], dtype=np.float16)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "expected an array 'points', found no array"),
        ({"vertices": POINTS}, "expected an array 'points', found vertices"),
        ({"points": POINTS.astype(int)}, "expected 'points' as floats with 2 axes, found int64 of shape (20, 3)"),
        ({"points": POINTS.reshape(-1)}, "expected 'points' as floats with 2 axes, found float16 of shape (60,)"),
        ({"points": POINTS[:, :2]}, "expected 'points' of shape (N, 3), found (20, 2)"),
        ({"points": POINTS[:0]}, "expected 'points' of shape (N, 3), found (0, 3)"),
        ({"points": POINTS, "normals": POINTS[1:]}, "expected 'normals' of shape (20, 3), found (19, 3)"),
        ({"points": POINTS, "normals": POINTS.astype(bool)}, "expected 'normals' as floats with 2 axes, found bool"),
        ({"points": POINTS, "semantics": BITS}, "expected 20 'semantics', one per point, found 3"),
        ({"points": POINTS, "semantics": np.zeros(20)}, "expected 'semantics' as integers or unsigned integers"),
        *(({"points": np.tile(bad, (20, 3)).astype(kind)}, "expected finite numbers in 'points', found NaN or infinity")
          for bad in BAD for kind in ("f2", "f4", "f8", ">f2")),
        ({"points": np.full((2, 3), 1e39)}, "expected finite numbers in 'points'"),  # not so in single precision
        ({"points": POINTS, "normals": POINTS + BAD}, "expected finite numbers in 'normals'"),
    ],
)  # fmt: skip
def test_wrong_surfaces_are_refused_with_the_cause(path: Path, arrays: dict, message: str) -> None:
    np.savez(path, **arrays)
    assert message in refusal(read_surface, path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "expected an array 'occupancies', found points;"),
        ({"occupancies": BITS[:2]}, "expected 20 occupancies, or 3 bytes of packed bits, found uint8 of shape (2,)"),
        ({"occupancies": np.zeros(4, np.uint8)}, "or 3 bytes of packed bits, found uint8 of shape (4,)"),
        ({"occupancies": np.zeros(3, np.int8)}, "or 3 bytes of packed bits, found int8 of shape (3,)"),
        ({"occupancies": np.zeros(19)}, "expected 20 occupancies, or 3 bytes of packed bits, found float64"),
        ({"occupancies": np.zeros((1, 20))}, "found float64 of shape (1, 20)"),
        ({"occupancies": np.zeros((20, 2))}, "found float64 of shape (20, 2)"),
        ({"occupancies": np.full(20, np.nan)}, "expected finite 'occupancies', found NaN or infinity"),
        ({"occupancies": np.array(True)}, "expected 'occupancies' as bools or unsigned integers or floats or"),
        ({"occupancies": BITS, "z_scale": np.zeros(2)}, "expected one finite 'z_scale', found [0.0, 0.0]"),
        ({"occupancies": BITS, "z_scale": np.array(np.nan)}, "expected one finite 'z_scale', found nan"),
        ({"occupancies": BITS, "z_scale": np.zeros(0)}, "expected one finite 'z_scale', found []"),
        ({"occupancies": BITS, "semantics": BITS}, "expected 20 'semantics', one per point, found 3"),
    ],
)
def test_wrong_occupancies_are_refused_with_the_cause(path: Path, arrays: dict, message: str) -> None:
    np.savez(path, points=POINTS, **arrays)
    assert message in refusal(read_occupancy, path)


@pytest.mark.parametrize(
    ("surface", "message"),
    [
        (SurfaceSamples(POINTS[:0]), "expected finite points of shape (N, 3) within the range of float16"),
        (SurfaceSamples(POINTS[:, :2]), "expected finite points of shape (20, 3)"),
        (SurfaceSamples(POINTS + np.nan), "expected finite points"),
        (SurfaceSamples(np.full((1, 3), 65_520.0)), "within the range of float16, found shape (1, 3), NaN or larger"),
        (SurfaceSamples(POINTS, POINTS[1:]), "expected finite normals of shape (20, 3)"),
        (SurfaceSamples(POINTS, semantics=np.zeros(19, dtype=int)), "expected 20 semantics, found shape (19,)"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(path: Path, surface: SurfaceSamples, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        write_surface(path, surface)
    assert message in str(caught.value) and str(path) in str(caught.value)
    with pytest.raises(ValueError, match="expected 20 occupancies and a finite z_scale"):
        write_occupancy(path, OccupancySamples(POINTS, np.zeros(19, dtype=bool)))
    with pytest.raises(ValueError, match="expected 20 occupancies and a finite z_scale"):
        write_occupancy(path, OccupancySamples(POINTS, np.zeros(20, dtype=bool), z_scale=np.inf))
    assert os.listdir(path.parent) == []
