"""On which side of a surface the room lies: where rays from a scanner first meet a mesh, before or behind the truth.

Distances to the nearest surface cannot tell: a slab on top of a floor has a face at the points as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import Mesh

WRONG_SIDE_VOXELS = 0.4  # so far before the truth, the room is too small: less is noise and the size of a cell
HOLE_DEPTH_M = 0.1
PHANTOM_DEPTH_M = 0.2
FAR_VOXELS = 2.0
SCAN_START_M = 0.5  # what carries a scanner is in its own scan


@dataclass(frozen=True)
class SideShares:
    """Shares of the rays, by where they first meet the mesh.

    wrong_side: more than 0.4 voxels before the true surface.  holes: more than 10 cm behind it, or nowhere.
    phantoms: more than 20 cm before it, at a surface that is not there; unless voxels are larger than 50 cm, these are
    on the wrong side as well.
    """

    wrong_side: float
    holes: float
    phantoms: float
    rays: int

    @property
    def worst(self) -> float:
        return max(self.wrong_side, self.holes)


@dataclass(frozen=True)
class ScanSideShares:
    """Shares of the points of a real scan, by where the ray from the scanner to the point first meets the mesh.

    early: more than 0.4 voxels before the point.  early_far: more than two voxels before it.  through: more than two
    voxels behind it, or nowhere.
    """

    early: float
    early_far: float
    through: float
    rays: int


def side_shares(
    predicted: Mesh, origins: np.ndarray, directions: np.ndarray, true_ranges: np.ndarray, voxel_size_m: float
) -> SideShares:
    """Where rays first meet a predicted mesh, compared with the surface that they meet in truth.

    origins: (R, 3) metres, in the room.  directions: (R, 3) unit vectors.  true_ranges: (R,) metres along them, finite
    (see visible_ranges).  voxel_size_m: of the prediction; the rule for the wrong side is in voxels.  A mesh without
    faces is all hole.  Raises ValueError without rays, and where a true range is not finite.
    """
    _require_voxel(voxel_size_m)
    if len(origins) == 0 or not np.isfinite(true_ranges).all():
        raise ValueError(
            "sides: expected at least one ray, and a finite true range of each, found "
            f"{len(origins)} rays, {np.count_nonzero(~np.isfinite(true_ranges))} of them without; leave those out"
        )
    behind = _first_hits(predicted, origins, directions) - true_ranges  # (R,) metres
    return SideShares(
        wrong_side=float((behind < -WRONG_SIDE_VOXELS * voxel_size_m).mean()),
        holes=float((behind > HOLE_DEPTH_M).mean()),
        phantoms=float((behind < -PHANTOM_DEPTH_M).mean()),
        rays=len(origins),
    )


def visible_ranges(
    truth: Mesh, origins: np.ndarray, directions: np.ndarray, max_range_m: float = 20.0
) -> tuple[np.ndarray, np.ndarray]:
    """Which rays meet the true mesh within the reach of the scanner, (R,) bool, and the true ranges of those, metres.

    Raises ValueError where the truth has no faces.
    """
    ranges, _ = TriangleScene(truth.vertices, truth.faces).first_hits(origins, directions)
    seen = ranges <= max_range_m
    return seen, ranges[seen]


def scan_side_shares(
    predicted: Mesh, points: np.ndarray, sensor_positions: np.ndarray, voxel_size_m: float
) -> ScanSideShares:
    """The same for a real scan, whose points are where the rays met something.

    points: (N, 3) metres.  sensor_positions: (3,) or (N, 3), where the scanner was when it saw each point.  Rays begin
    0.5 m from the scanner, so only points farther away than that and two voxels count.  Raises ValueError where there
    are none.
    """
    _require_voxel(voxel_size_m)
    points = np.asarray(points, dtype=np.float64)
    ways = points - np.asarray(sensor_positions, dtype=np.float64)  # (N, 3)
    reach = np.linalg.norm(ways, axis=1)
    least = SCAN_START_M + FAR_VOXELS * voxel_size_m
    far = reach > least
    if not far.any():
        raise ValueError(
            f"sides: expected points more than {least:g} m from the scanner, found none of {len(points)}; "
            "are the sensor positions those of this scan?"
        )
    directions = ways[far] / reach[far, None]
    starts = points[far] - (reach[far] - SCAN_START_M)[:, None] * directions
    behind = SCAN_START_M + _first_hits(predicted, starts, directions) - reach[far]  # (R,) metres
    return ScanSideShares(
        early=float((behind < -WRONG_SIDE_VOXELS * voxel_size_m).mean()),
        early_far=float((behind < -FAR_VOXELS * voxel_size_m).mean()),
        through=float((behind > FAR_VOXELS * voxel_size_m).mean()),
        rays=int(far.sum()),
    )


def _first_hits(mesh: Mesh, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(R,) metres along the rays, infinite where nothing is met."""
    if len(mesh.faces) == 0:
        return np.full(len(origins), np.inf)
    return TriangleScene(mesh.vertices, mesh.faces).first_hits(origins, directions)[0]


def _require_voxel(voxel_size_m: float) -> None:
    if not 0 < voxel_size_m < np.inf:
        raise ValueError(f"sides: expected a positive voxel size in metres, found {voxel_size_m}")
