"""On which side of a surface the room lies: where rays from a scanner first meet a mesh, before or behind the truth.

Distances to the nearest surface cannot tell: a slab on top of a floor has a face at the points as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.clouds.scanners import has_scanner
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import Mesh

WRONG_SIDE_VOXELS = 0.4  # so far before the truth, the room is too small: less is noise and the size of a cell
HOLE_DEPTH_M = 0.1
PHANTOM_DEPTH_M = 0.2
FAR_VOXELS = 2.0
SCAN_START_M = 0.5  # what carries a scanner is in its own scan
_MOST_RAYS = 100_000


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
    return shares_of(_first_hits(predicted, origins, directions) - true_ranges, voxel_size_m)


def shares_of(behind: np.ndarray, voxel_size_m: float) -> SideShares:
    """Of rays that meet a prediction so far behind the truth, (R,) metres; infinity where they meet nothing."""
    _require_voxel(voxel_size_m)
    return SideShares(
        wrong_side=float((behind < -WRONG_SIDE_VOXELS * voxel_size_m).mean()),
        holes=float((behind > HOLE_DEPTH_M).mean()),
        phantoms=float((behind < -PHANTOM_DEPTH_M).mean()),
        rays=len(behind),
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


class ScanRays:
    """Rays from where a scanner stood to the points that it measured, and where they first meet a mesh.

    The mesh may be shown in parts.  points: (N, 3) metres.  sensor_positions: (3,) or (N, 3), where the scanner was when
    it saw each point; points for which it cannot be true (clouds.scanners) are left out.  Rays begin 0.5 m from the
    scanner, so only points farther away than that and two voxels count.
    """

    def __init__(self, points: np.ndarray, sensor_positions: np.ndarray, voxel_size_m: float) -> None:
        _require_voxel(voxel_size_m)
        points = np.asarray(points, dtype=np.float64)
        positions = np.broadcast_to(np.asarray(sensor_positions, dtype=np.float64), points.shape)
        known = has_scanner(points, positions)
        ways = points[known] - positions[known]  # (N, 3)
        reach = np.linalg.norm(ways, axis=1)
        far = reach > SCAN_START_M + FAR_VOXELS * voxel_size_m
        self._voxel_size_m = voxel_size_m
        self._reach = reach[far] - SCAN_START_M  # (R,) metres from the start
        self._directions = ways[far] / reach[far, None]
        self._starts = points[known][far] - self._reach[:, None] * self._directions
        self._ends = points[known][far] + FAR_VOXELS * voxel_size_m * self._directions  # beyond it is all the same
        self._hits = np.full(len(self._reach), np.inf)

    def __len__(self) -> int:
        return len(self._reach)

    def meet(self, mesh: Mesh) -> None:
        """Let the rays meet one more part of the mesh, metres in the frame of the points."""
        if len(mesh.faces) == 0 or len(self) == 0:
            return
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        near = np.minimum(self._starts, self._ends) <= high
        near &= np.maximum(self._starts, self._ends) >= low
        rays = np.flatnonzero(near.all(axis=1))
        if len(rays):
            found, _ = TriangleScene(mesh.vertices, mesh.faces).first_hits(self._starts[rays], self._directions[rays])
            self._hits[rays] = np.minimum(self._hits[rays], found)

    def shares(self) -> ScanSideShares | None:
        """Of all rays, once every part was met; None where there are no rays."""
        if len(self) == 0:
            return None
        behind = self._hits - self._reach  # (R,) metres
        return ScanSideShares(
            early=float((behind < -WRONG_SIDE_VOXELS * self._voxel_size_m).mean()),
            early_far=float((behind < -FAR_VOXELS * self._voxel_size_m).mean()),
            through=float((behind > FAR_VOXELS * self._voxel_size_m).mean()),
            rays=len(self),
        )


def in_ray_sample(points: np.ndarray, count: int) -> np.ndarray:
    """(N,) bool: which of (N, 3) points, of `count` in the whole scan, stand for all: about 100,000, by their places.

    So the choice is the same in whatever parts and order the points come.
    """
    return in_place_sample(points, count, _MOST_RAYS)


def scan_side_shares(
    predicted: Mesh, points: np.ndarray, sensor_positions: np.ndarray, voxel_size_m: float
) -> ScanSideShares:
    """The same for a real scan, whose points are where the rays met something; arguments as of ScanRays.

    Raises ValueError where there are no rays.
    """
    rays = ScanRays(points, sensor_positions, voxel_size_m)
    rays.meet(predicted)
    shares = rays.shares()
    if shares is None:
        raise ValueError(
            f"sides: expected points more than {SCAN_START_M + FAR_VOXELS * voxel_size_m:g} m from the scanner, found none "
            f"of {len(points)}; are the sensor positions those of this scan?"
        )
    return shares


def _first_hits(mesh: Mesh, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """(R,) metres along the rays, infinite where nothing is met."""
    if len(mesh.faces) == 0:
        return np.full(len(origins), np.inf)
    return TriangleScene(mesh.vertices, mesh.faces).first_hits(origins, directions)[0]


def _require_voxel(voxel_size_m: float) -> None:
    if not 0 < voxel_size_m < np.inf:
        raise ValueError(f"sides: expected a positive voxel size in metres, found {voxel_size_m}")
