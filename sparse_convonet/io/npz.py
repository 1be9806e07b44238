"""Read and write points as numpy arrays: .npz and .npy.  Pickled objects are never loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive, ArrayFile
from sparse_convonet.io.columns import to_colours, to_normals
from sparse_convonet.io.point_chunk import CACHED_POINTS, PointChunk
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import PointCloud

POINT_KEYS = ("points", "xyz")
COLOUR_KEYS = ("colours", "colors", "rgb")
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
        points = _as_points(raw)
        colours = next((archive.read(name) for name in COLOUR_KEYS if name in archive), None)
        normals = archive.read("normals") if "normals" in archive else None
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


def npy_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """An array (N, 3) of points, or (N, 6) of points and colours of 0 to 255, so many at a time (None: the fastest)."""
    if _begins_with(path, _ZIP_MAGIC):
        raise unreadable(path, "a single .npy array", "an archive; rename it to .npz")
    array = ArrayFile.open(path)
    is_wide = len(array.shape) == 2 and array.shape[1] == 6
    _require_numbers(path, (array.shape[0], 3) if is_wide else array.shape, array.dtype)
    count, step = array.shape[0], chunk_points or CACHED_POINTS
    for start in range(0, count, step):
        rows = array.rows(start, min(start + step, count))
        share = (start + len(rows)) / count
        yield PointChunk(_as_points(rows[:, :3]), rows[:, 3:] if is_wide else None, None, share, count)


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _require_numbers(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if len(shape) != 2 or shape[1] != 3 or dtype.kind not in "fiu":
        raise unreadable(path, "an array of numbers of shape (N, 3)", f"shape {shape} of {dtype}")
    require_points(path, shape[0])


def _as_points(array: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):  # NaN of any bits passes; what is too large becomes inf
        return array.astype(np.float64, copy=False)


def write_npz(path: Path, cloud: PointCloud) -> None:
    """Arrays points float64, and colours uint8, normals float32 and scanners float64 where the cloud has them."""
    arrays = {"points": cloud.points, "colours": cloud.colours, "normals": cloud.normals, "scanners": cloud.scanners}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})
