"""Read and write points as numpy arrays: .npz and .npy.  Pickled objects are never loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive, ArrayFile
from sparse_convonet.io.column_guess import ColumnEvidence, guessed_names
from sparse_convonet.io.column_names import POSITION, chosen_names
from sparse_convonet.io.columns import Fields, fields_of, to_colours, to_normals
from sparse_convonet.io.point_chunk import CACHED_POINTS, PointChunk
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import PointCloud

# The last is what savez calls an array without a name.
POINT_KEYS = ("points", "xyz", "coords", "coord", "positions", "pos", "pc", "point_cloud", "data", "arr_0")
COLOUR_KEYS = ("colours", "colors", "rgb", "colour", "color")
NORMAL_KEYS = ("normals", "normal")
_MOST_COLUMNS = 64
SCANNER_KEYS = ("scanners", "sensor_position")
_LARGEST_BYTES = 1 << 38  # of one array: ten thousand million points
_LARGEST_EXPANSION = 1100  # more than deflate can: arrays of one colour are usual
_NPY_MAGIC, _ZIP_MAGIC = b"\x93NUMPY", b"PK"


def read_npz(path: Path) -> PointCloud:
    """Points under the key points or xyz, (N, 3); colours, normals and scanners under their names where present.

    scanners or sensor_position: where the scanner stood that measured each point, (N, 3), or (3,) for all.
    """
    if _begins_with(path, _NPY_MAGIC):
        raise unreadable(path, "an .npz archive", "a single array; rename it to .npy")
    with ArrayArchive(path, largest_bytes=_LARGEST_BYTES, largest_expansion=_LARGEST_EXPANSION) as archive:
        key = next((name for name in POINT_KEYS if name in archive), None)
        if key is None:
            raise unreadable(path, "an array 'points' or 'xyz'", ", ".join(archive.names) or "no array")
        raw = archive.read(key)
        _require_numbers(path, raw.shape, raw.dtype)
        points, colours, normals = _fields(path, raw)
        colours = next((archive.read(name) for name in COLOUR_KEYS if name in archive), colours)
        normals = next((archive.read(name) for name in NORMAL_KEYS if name in archive), normals)
        scanners = next((archive.read(name) for name in SCANNER_KEYS if name in archive), None)
    for name, array in (("colours", colours), ("normals", normals)):
        if array is not None and (array.shape != points.shape or array.dtype.kind not in "fiub"):
            raise unreadable(path, f"{name} of shape {points.shape}, one per point", f"{array.shape} of {array.dtype}")
    if scanners is not None:
        if scanners.shape not in ((3,), points.shape) or scanners.dtype.kind not in "fiu":
            expected = f"scanners of shape {points.shape}, one per point, or (3,)"
            raise unreadable(path, expected, f"{scanners.shape} of {scanners.dtype}")
        scanners = np.broadcast_to(_as_points(scanners), points.shape)
    return PointCloud(
        points,
        None if colours is None else to_colours(colours),
        None if normals is None else to_normals(normals),
        scanners,
    )


def npy_chunks(path: Path, chunk_points: int | None, columns: Sequence[str] | None = None) -> Iterator[PointChunk]:
    """An array of points, so many at a time (None: the fastest): (N, 3), or (N, columns), or (N,) of named fields.

    columns: what the user says that they are; else their values tell, as of text without names.
    """
    if _begins_with(path, _ZIP_MAGIC):
        raise unreadable(path, "a single .npy array", "an archive; rename it to .npz")
    array = ArrayFile.open(path)
    if array.dtype.names is not None and len(array.shape) == 1:
        yield from _named_chunks(path, array, chunk_points or CACHED_POINTS)
        return
    _require_numbers(path, array.shape, array.dtype)
    count, width = array.shape
    names = chosen_names(columns) if columns is not None else _guessed(path, (count, width), array.rows)
    if len(names) != width:
        raise unreadable(path, f"{len(names)} columns, as --columns names them", f"{width}")
    step = chunk_points or CACHED_POINTS
    for start in range(0, count, step):
        rows = array.rows(start, min(start + step, count))
        fields = fields_of(path, {name: rows[:, place] for place, name in enumerate(names) if name})
        yield PointChunk(*fields, (start + len(rows)) / count, count)


def _named_chunks(path: Path, array: ArrayFile, step: int) -> Iterator[PointChunk]:
    """Of an array of records with fields, as PDAL makes it."""
    (count,) = array.shape
    require_points(path, count)
    for start in range(0, count, step):
        records = array.records(start, min(start + step, count))
        named = {name: records[name] for name in array.dtype.names or () if records.dtype[name].kind in "fiu"}
        yield PointChunk(*fields_of(path, named), (start + len(records)) / count, count)


def _guessed(path: Path, shape: tuple[int, int], rows: Callable[[int, int], np.ndarray]) -> list[str]:
    """What the columns are; rows: gives those from one number to another."""
    count, width = shape
    if width == len(POSITION):
        return [*POSITION]
    evidence, first = None, ""
    for start in range(0, count, CACHED_POINTS):
        table = _as_points(rows(start, min(start + CACHED_POINTS, count)))
        if evidence is None:
            evidence, first = ColumnEvidence(table), " ".join(f"{value:g}" for value in table[0])
        evidence.add(table)
    assert evidence is not None
    return guessed_names(path, evidence, first)


def _fields(path: Path, array: np.ndarray) -> Fields:
    """Points, colours and normals of (N, columns) numbers."""
    names = _guessed(path, (array.shape[0], array.shape[1]), lambda start, stop: array[start:stop])
    return fields_of(path, {name: array[:, place] for place, name in enumerate(names) if name})


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _require_numbers(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if len(shape) != 2 or not 3 <= shape[1] <= _MOST_COLUMNS or dtype.kind not in "fiu":
        raise unreadable(path, "an array of numbers of shape (N, 3) or more columns", f"shape {shape} of {dtype}")
    require_points(path, shape[0])


def _as_points(array: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # NaN of any bits passes; what is too large becomes inf
        return array.astype(np.float64, copy=False)


def write_npz(path: Path, cloud: PointCloud) -> None:
    """Arrays points float64, and colours uint8, normals float32 and scanners float64 where the cloud has them."""
    arrays = {"points": cloud.points, "colours": cloud.colours, "normals": cloud.normals, "scanners": cloud.scanners}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})
