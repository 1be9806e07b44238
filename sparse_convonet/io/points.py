"""Read and write point clouds: one call for every format, chosen by the suffix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sparse_convonet.io.chunks import READ_SUFFIXES as READ_SUFFIXES
from sparse_convonet.io.chunks import open_points
from sparse_convonet.io.las import write_las
from sparse_convonet.io.npz import write_npz
from sparse_convonet.io.ply import write_ply
from sparse_convonet.io.point_chunk import joined
from sparse_convonet.io.text import write_text
from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import PointCloud

POINT_WRITERS: dict[str, Callable[[Path, PointCloud], None]] = {
    ".ply": write_ply,
    ".npz": write_npz,
    ".xyz": write_text,
    ".las": write_las,
    ".laz": write_las,
}


def read_points(
    path: Path | str,
    *,
    seed: int = 0,
    sample_spacing_m: float | None = None,
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
) -> PointCloud:
    """A point cloud from a file of any known format, a mesh, or the folder of a Matterport3D scan.

    Points come as they stand in the file: float64, its units and axes, NaN included.  Meshes are sampled uniformly by
    area, one point per `sample_spacing_m` squared (None: 2 cm), by a generator seeded with `seed`, which also places a
    point in each occupied cell of an OctoMap.
    columns: of a table (text, .npy), what each is: x, y, z, perhaps r, g, b and nx, ny, nz, and - for what is left out.
    trajectory: of trajectory.read_trajectory, of the scanner that moved; LAS and LAZ say when each point was measured.
    Raises FileNotFoundError for a missing path, and ValueError, in one sentence, for an unknown suffix, a file that is
    not what its suffix says, a truncated one, one without points, and a missing optional package.
    """
    found = open_points(Path(path), None, seed, sample_spacing_m, columns, trajectory)
    return found if isinstance(found, PointCloud) else joined(found)


def write_points(path: Path | str, cloud: PointCloud) -> None:
    """Write .ply (binary, doubles), .npz, .xyz, .las or .laz; the file appears whole or not at all.

    Raises ValueError for another suffix or, for LAS, where laspy is missing.
    """
    path = Path(path)
    require_point_suffix(path)
    with atomic_path(path) as temporary:
        POINT_WRITERS[path.suffix.lower()](temporary, cloud)


def require_point_suffix(path: Path) -> None:
    """Before long work: raise ValueError for a file that write_points would not write."""
    suffix = path.suffix.lower()
    if suffix not in POINT_WRITERS:
        raise ValueError(f"{path}: expected one of {', '.join(POINT_WRITERS)}, found the suffix {suffix!r}; rename it")
