"""Read point clouds of every format and size a part at a time, chosen by the suffix."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparse_convonet.io.e57 import e57_chunks
from sparse_convonet.io.las import las_chunks
from sparse_convonet.io.matterport import read_matterport
from sparse_convonet.io.meshes import READ_SUFFIXES as MESH_SUFFIXES
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.npz import npy_chunks, read_npz
from sparse_convonet.io.octomap import read_octomap
from sparse_convonet.io.pcd import pcd_chunks
from sparse_convonet.io.ply import ply_chunks
from sparse_convonet.io.point_chunk import CHUNK_POINTS, PointChunk
from sparse_convonet.io.ptx import ptx_chunks
from sparse_convonet.io.text import TEXT_SUFFIXES, text_chunks
from sparse_convonet.io.trajectory import Trajectory, with_scanners
from sparse_convonet.mesh.surface_sampling import sample_mesh
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud

# Tables, whose columns a user may name.
TABLE_READERS: dict[str, Callable[[Path, int | None, Sequence[str] | None], Iterator[PointChunk]]] = {
    **dict.fromkeys(TEXT_SUFFIXES, text_chunks),
    ".npy": npy_chunks,
}
# Each with the points of a chunk, None for as many as are read fastest.  .ply gives None for meshes.
CHUNK_READERS: dict[str, Callable[[Path, int | None], Iterator[PointChunk] | None]] = {
    ".pcd": pcd_chunks,
    ".ptx": ptx_chunks,
    **dict.fromkeys((".las", ".laz"), las_chunks),
    ".e57": e57_chunks,
    ".ply": ply_chunks,
}
OCTOMAP_SUFFIXES = (".bt", ".ot")
READ_SUFFIXES = (
    *CHUNK_READERS,
    *TABLE_READERS,
    ".npz",
    *OCTOMAP_SUFFIXES,
    *(suffix for suffix in MESH_SUFFIXES if suffix not in CHUNK_READERS),
)
logger = logging.getLogger(__name__)


def read_chunks(
    path: Path | str,
    *,
    chunk_points: int = CHUNK_POINTS,
    seed: int = 0,
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
    attributes: Sequence[str] = (),
) -> Iterator[PointChunk]:
    """What read_points reads, at most `chunk_points` points at a time, in the same order and with the same errors.

    LAS, LAZ, E57, text, .npy, PCD and PLY without faces are never in memory as a whole; meshes, .npz, OctoMaps and
    compressed PCD are, and are handed out in parts.  Errors come with the chunk that meets them: what was handed out
    before is no whole file.
    attributes: which other numbers of each point E57 is read for; other formats give all that they have.
    Raises ValueError where `chunk_points` is not positive.
    """
    if chunk_points < 1:
        raise ValueError(f"chunk: expected at least one point, found {chunk_points}")
    if attributes and Path(path).suffix.lower() == ".e57":
        require_file(Path(path))
        return e57_chunks(Path(path), chunk_points, attributes)
    found = open_points(Path(path), chunk_points, seed, None, columns, trajectory)
    return _parts(found, chunk_points) if isinstance(found, PointCloud) else found


def open_points(
    path: Path,
    chunk_points: int | None,
    seed: int,
    sample_spacing_m: float | None,
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
) -> Iterator[PointChunk] | PointCloud:
    """The chunks of a file, so many points each (None: as reading is fastest), or a cloud where it is not read in chunks.

    seed, sample_spacing_m, columns, trajectory, errors: as for points.read_points.
    """
    if trajectory is not None:
        found = open_points(path, chunk_points, seed, sample_spacing_m, columns)
        every = _parts(found, max(1, len(found))) if isinstance(found, PointCloud) else found
        return with_scanners(path, every, trajectory)
    suffix = path.suffix.lower()
    if columns is not None and suffix not in TABLE_READERS:
        raise ValueError(
            f"{path}: --columns: expected a table ({', '.join(TABLE_READERS)}), found {suffix!r}, which names its own; "
            "leave --columns away"
        )
    if path.is_dir():
        return sample_mesh(read_matterport(path), sample_spacing_m, np.random.default_rng(seed))
    require_file(path)
    if suffix not in READ_SUFFIXES:
        raise ValueError(
            f"{path}: expected one of {', '.join(READ_SUFFIXES)}, found {suffix!r}; convert or rename the file"
        )
    if suffix in TABLE_READERS:
        return TABLE_READERS[suffix](path, chunk_points, columns)
    chunks = CHUNK_READERS[suffix](path, chunk_points) if suffix in CHUNK_READERS else None
    if chunks is not None:
        return chunks
    if suffix in OCTOMAP_SUFFIXES:
        return _in_cells(path, seed)
    geometry = _without_black(read_npz(path) if suffix == ".npz" else read_geometry(path))
    if isinstance(geometry, Mesh):
        logger.info("%s is a mesh of %d faces; sampling points on it", path, len(geometry.faces))
        return sample_mesh(geometry, sample_spacing_m, np.random.default_rng(seed))
    return geometry


def _in_cells(path: Path, seed: int) -> PointCloud:
    """A point anywhere in each occupied cell of a map: where in it is not known, and centres would look exact."""
    cells = read_octomap(path)
    logger.info("%s is a map of %d occupied cells of %g m; placing a point in each", path, len(cells.index), cells.size)
    places = np.random.default_rng(seed).uniform(-0.5, 0.5, cells.index.shape) * cells.size
    return PointCloud(cells.centres() + places)


def _without_black(geometry: Mesh | PointCloud) -> Mesh | PointCloud:
    """Without colours that are all black, as point_chunk.joined leaves them out."""
    if geometry.colours is None or geometry.colours.any():
        return geometry
    return replace(geometry, colours=None)


def _parts(cloud: PointCloud, chunk_points: int) -> Iterator[PointChunk]:
    for start in range(0, len(cloud), chunk_points):
        part = slice(start, min(start + chunk_points, len(cloud)))
        colours, normals = (None if all_ is None else all_[part] for all_ in (cloud.colours, cloud.normals))
        scanners = None if cloud.scanners is None else cloud.scanners[part]
        share = part.stop / len(cloud)
        yield PointChunk(cloud.points[part], colours, normals, share, len(cloud), scanners=scanners)
