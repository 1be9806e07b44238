"""Read and write point clouds: one call for every format, chosen by the suffix."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sparse_convonet.io.e57 import read_e57
from sparse_convonet.io.las import read_las, write_las
from sparse_convonet.io.matterport import read_matterport
from sparse_convonet.io.meshes import READ_SUFFIXES as MESH_SUFFIXES
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.npz import read_npy, read_npz, write_npz
from sparse_convonet.io.pcd import read_pcd
from sparse_convonet.io.ply import write_ply
from sparse_convonet.io.text import read_text, write_text
from sparse_convonet.mesh.surface_sampling import sample_mesh
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud

POINT_READERS: dict[str, Callable[[Path], PointCloud]] = {
    ".pcd": read_pcd,
    ".xyz": read_text,
    ".txt": read_text,
    ".csv": read_text,
    ".pts": read_text,
    ".npz": read_npz,
    ".npy": read_npy,
    ".las": read_las,
    ".laz": read_las,
    ".e57": read_e57,
}
READ_SUFFIXES = (*POINT_READERS, *MESH_SUFFIXES)
POINT_WRITERS: dict[str, Callable[[Path, PointCloud], None]] = {
    ".ply": write_ply,
    ".npz": write_npz,
    ".xyz": write_text,
    ".las": write_las,
    ".laz": write_las,
}

logger = logging.getLogger(__name__)


def read_points(path: Path | str, *, seed: int = 0, sample_spacing_m: float | None = None) -> PointCloud:
    """A point cloud from a file of any known format, a mesh, or the folder of a Matterport3D scan.

    Points come as they stand in the file: float64, its units and axes, NaN included.  Meshes are sampled uniformly by
    area, one point per `sample_spacing_m` squared (None: 2 cm), by a generator seeded with `seed`.
    Raises FileNotFoundError for a missing path, and ValueError, in one sentence, for an unknown suffix, a file that is
    not what its suffix says, a truncated one, one without points, and a missing optional package.
    """
    path = Path(path)
    rng = np.random.default_rng(seed)
    if path.is_dir():
        return sample_mesh(read_matterport(path), sample_spacing_m, rng)
    require_file(path)
    suffix = path.suffix.lower()
    if suffix not in READ_SUFFIXES:
        raise ValueError(
            f"{path}: expected one of {', '.join(READ_SUFFIXES)}, found {suffix!r}; convert or rename the file"
        )
    if suffix in POINT_READERS:
        return POINT_READERS[suffix](path)
    geometry = read_geometry(path)
    if isinstance(geometry, Mesh):
        logger.info("%s is a mesh of %d faces; sampling points on it", path, len(geometry.faces))
        return sample_mesh(geometry, sample_spacing_m, rng)
    return geometry


def write_points(path: Path | str, cloud: PointCloud) -> None:
    """Write .ply (binary, doubles), .npz, .xyz, .las or .laz; the file appears whole or not at all.

    Raises ValueError for another suffix or, for LAS, where laspy is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in POINT_WRITERS:
        raise ValueError(f"{path}: expected one of {', '.join(POINT_WRITERS)}, found the suffix {suffix!r}; rename it")
    with atomic_path(path) as temporary:
        POINT_WRITERS[suffix](temporary, cloud)
