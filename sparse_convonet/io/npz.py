"""Read and write points as numpy arrays: .npz and .npy.  Pickled objects are never loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import ArrayArchive, ArrayFile
from sparse_convonet.io.columns import to_colours, to_normals
from sparse_convonet.io.point_chunk import PointChunk
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import PointCloud

POINT_KEYS = ("points", "xyz")
COLOUR_KEYS = ("colours", "colors", "rgb")
_LARGEST_BYTES = 1 << 38  # of one array: ten thousand million points
_LARGEST_EXPANSION = 1100  # more than deflate can: arrays of one colour are usual
_NPY_MAGIC, _ZIP_MAGIC = b"\x93NUMPY", b"PK"


def read_npz(path: Path) -> PointCloud:
    """Points under the key points or xyz, (N, 3); colours and normals under their names where present."""
    if _begins_with(path, _NPY_MAGIC):
        raise unreadable(path, "an .npz archive", "a single array; rename it to .npy")
    with ArrayArchive(path, largest_bytes=_LARGEST_BYTES, largest_expansion=_LARGEST_EXPANSION) as archive:
        key = next((name for name in POINT_KEYS if name in archive), None)
        if key is None:
            raise unreadable(path, "an array 'points' or 'xyz'", ", ".join(archive.names) or "no array")
        points = _as_points(path, archive.read(key))
        colours = next((archive.read(name) for name in COLOUR_KEYS if name in archive), None)
        normals = archive.read("normals") if "normals" in archive else None
    for name, array in (("colours", colours), ("normals", normals)):
        if array is not None and (array.shape != points.shape or array.dtype.kind not in "fiub"):
            raise unreadable(path, f"{name} of shape {points.shape}, one per point", f"{array.shape} of {array.dtype}")
    return PointCloud(
        points, None if colours is None else to_colours(colours), None if normals is None else to_normals(normals)
    )


def read_npy(path: Path) -> PointCloud:
    """An array (N, 3) of points, or (N, 6) of points and colours of 0 to 255."""
    array = _open_npy(path).read()
    if array.ndim == 2 and array.shape[1] == 6:
        return PointCloud(_as_points(path, array[:, :3]), to_colours(array[:, 3:]))
    return PointCloud(_as_points(path, array))


def npy_chunks(path: Path, chunk_points: int) -> Iterator[PointChunk] | None:
    """What read_npy reads, so many points at a time; None for arrays in Fortran's order, and for what is refused."""
    array = _open_npy(path)
    if array.fortran or len(array.shape) != 2 or array.shape[1] not in (3, 6) or array.dtype.kind not in "fiu":
        return None
    return _chunks_of_rows(array, chunk_points)


def _chunks_of_rows(array: ArrayFile, chunk_points: int) -> Iterator[PointChunk]:
    count = array.shape[0]
    for start in range(0, max(1, count), chunk_points):
        stop = min(start + chunk_points, count)
        rows = array.rows(start, stop)
        colours = rows[:, 3:] if rows.shape[1] == 6 else None
        yield PointChunk(_as_points(array.path, rows[:, :3]), colours, stop / count)


def _open_npy(path: Path) -> ArrayFile:
    if _begins_with(path, _ZIP_MAGIC):
        raise unreadable(path, "a single .npy array", "an archive; rename it to .npz")
    return ArrayFile.open(path)


def _begins_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _as_points(path: Path, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "fiu":
        raise unreadable(path, "an array of numbers of shape (N, 3)", f"shape {array.shape} of {array.dtype}")
    require_points(path, len(array))
    with np.errstate(invalid="ignore", over="ignore"):  # NaN of any bits passes; what is too large becomes inf
        return np.array(array, dtype=np.float64)


def write_npz(path: Path, cloud: PointCloud) -> None:
    """Arrays points float64, and colours uint8 and normals float32 where the cloud has them."""
    arrays = {"points": cloud.points, "colours": cloud.colours, "normals": cloud.normals}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})
