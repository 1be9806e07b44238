"""Read point clouds of any size a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sparse_convonet.io.e57 import e57_chunks
from sparse_convonet.io.las import las_chunks
from sparse_convonet.io.npz import npy_chunks
from sparse_convonet.io.pcd import pcd_chunks
from sparse_convonet.io.ply import ply_chunks
from sparse_convonet.io.point_chunk import PointChunk
from sparse_convonet.io.points import read_points
from sparse_convonet.io.text import text_chunks
from sparse_convonet.runtime.refusals import require_file

CHUNK_POINTS = 1 << 20

# None where reading in chunks is not for the file: see each.
_READERS: dict[str, Callable[[Path, int], Iterator[PointChunk] | None]] = {
    ".las": las_chunks,
    ".laz": las_chunks,
    ".e57": e57_chunks,
    ".ply": ply_chunks,
    ".pcd": pcd_chunks,
    ".npy": npy_chunks,
    **dict.fromkeys((".xyz", ".txt", ".csv", ".pts"), text_chunks),
}

__all__ = ["CHUNK_POINTS", "PointChunk", "read_chunks"]


def read_chunks(path: Path | str, *, chunk_points: int = CHUNK_POINTS, seed: int = 0) -> Iterator[PointChunk]:
    """What read_points reads, at most `chunk_points` points at a time, in the same order and with the same errors.

    LAS, LAZ, E57, text, .npy, PCD and PLY without faces are never in memory as a whole; meshes, .npz and compressed PCD
    are, and are handed out in parts.  Errors come with the chunk that meets them: what was handed out before is no
    whole file.
    Raises ValueError where `chunk_points` is not positive.
    """
    if chunk_points < 1:
        raise ValueError(f"chunk: expected at least one point, found {chunk_points}")
    path = Path(path)
    return _streamed(path, chunk_points) or _from_memory(path, chunk_points, seed)


def _streamed(path: Path, chunk_points: int) -> Iterator[PointChunk] | None:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in _READERS:
        return None
    require_file(path)
    return _READERS[suffix](path, chunk_points)


def _from_memory(path: Path, chunk_points: int, seed: int) -> Iterator[PointChunk]:
    cloud = read_points(path, seed=seed)
    for start in range(0, len(cloud), chunk_points):
        stop = min(start + chunk_points, len(cloud))
        colours = None if cloud.colours is None else cloud.colours[start:stop]
        yield PointChunk(cloud.points[start:stop], colours, stop / len(cloud))
