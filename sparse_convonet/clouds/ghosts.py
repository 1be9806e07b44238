"""Find what was there only for a while, or never: points in space that rays from elsewhere passed through.

People who walk by, doors and chairs that are moved, and what mirrors and panes show behind them.  After Duberg et al.
(DUFOMap: Efficient Dynamic Awareness Mapping, RA-L 2024): a voxel is void where the rays from one viewpoint passed
through it and all voxels around it and none of them ended there; a point of another viewpoint in it is a ghost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.clouds.ghosts_numba import find_void, pass_rays
from sparse_convonet.clouds.scanners import has_scanner
from sparse_convonet.coordinates import AXIS_LIMIT, pack_cells, unpack_cells
from sparse_convonet.structures import PointCloud

GHOST_CELL_M = 0.1  # what passes farther from a surface than noise and the misfit of scans misplace it
_REACH_CELLS = 200  # beyond, rays are too sparse to tell
_LEAST_RAYS = 5  # through a void voxel; and at least one through each around it
_MOST_RAYS = 2_000_000  # of one viewpoint
# Scanner positions within a cell of this edge are one viewpoint; of larger ones where there are more, as on a walk.
_VIEWPOINT_M, _MOST_VIEWPOINTS = 1.0, 64
_PART_POINTS = 1 << 19


class MeasuredPoints(Protocol):
    """The points of a scan and where their scanners stood, in parts, in the units of the scan."""

    @property
    def parts(self) -> int:
        """How many parts there are."""
        ...

    def part(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(n, 3) points and (n, 3) positions of their scanners, NaN where one is not known."""
        ...


@dataclass(frozen=True)
class CloudParts:
    """Those of a cloud in memory that knows scanners."""

    cloud: PointCloud

    @property
    def parts(self) -> int:
        return -(-len(self.cloud) // _PART_POINTS)

    def part(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        rows = slice(number * _PART_POINTS, (number + 1) * _PART_POINTS)
        assert self.cloud.scanners is not None
        return self.cloud.points[rows], self.cloud.scanners[rows]


@dataclass(frozen=True)
class GhostCells:
    """Cells of 10 cm in which all points are ghosts.

    low: (3,) the corner of cell (0, 0, 0), in the units of the scan.  metres_per_unit: of the scan.
    keys: (G,) int64, ascending, of coordinates.pack_keys.
    """

    low: np.ndarray
    metres_per_unit: float
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def places(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) in the frame of the scan -> (n, 3) float64 in cells."""
        return (points - self.low) * (self.metres_per_unit / GHOST_CELL_M)

    def hold(self, points: np.ndarray) -> np.ndarray:
        """(n, 3) in the frame of the scan -> (n,) bool, whether they are ghosts."""
        if len(self.keys) == 0:
            return np.zeros(len(points), dtype=bool)
        return np.isin(pack_cells(np.floor(self.places(points)).astype(np.int64)), self.keys)


def find_ghosts(measured: MeasuredPoints, low: np.ndarray, high: np.ndarray, metres_per_unit: float) -> GhostCells:
    """The cells that hold ghosts; low, high: (3,) the lowest and highest coordinates of the points.

    Conservative: what only one viewpoint saw stays, as does what lies within a cell of where its rays end, and what too
    few rays pass.  So scans may miss each other by 4 cm; by more, single points of theirs go.  Memory: of the cells
    within 20 m of a viewpoint, 4 bytes each.
    """
    ghosts = GhostCells(np.asarray(low, dtype=np.float64), metres_per_unit)
    if ghosts.places(high[None]).max() >= AXIS_LIMIT:
        return ghosts
    viewpoints, edge = _viewpoints(measured, ghosts)
    if len(viewpoints) == 0:
        return ghosts
    survey = _survey(measured, ghosts, viewpoints, edge)
    found = [_void_of(number, survey, measured, ghosts) for number in range(len(viewpoints))]
    return GhostCells(ghosts.low, metres_per_unit, np.unique(np.concatenate(found)))


def without_ghosts(cloud: PointCloud, metres_per_unit: float = 1.0) -> tuple[PointCloud, PointCloud]:
    """(the cloud without its ghosts, the ghosts); finite points, of which some have scanners, else there are none."""
    if cloud.scanners is None or len(cloud) == 0:
        return cloud, cloud.select(np.zeros(0, dtype=np.int64))
    points = cloud.points
    ghosts = find_ghosts(CloudParts(cloud), points.min(axis=0), points.max(axis=0), metres_per_unit)
    is_ghost = ghosts.hold(points)
    return (cloud.select(~is_ghost) if is_ghost.any() else cloud), cloud.select(is_ghost)


@dataclass(frozen=True)
class _Survey:
    """occupied: (C, 3) int64 cells that hold points, by x, y, z.  edge_cells: of the cells of viewpoints.

    viewpoints: (W,) int64, ascending keys of the cells of which each is one.  counts: (W,) points of each.  low, high:
    (W, 3) int64, the box of cells that its rays pass within reach.  parts: (P, W) bool, which parts hold points of which.
    """

    occupied: np.ndarray
    edge_cells: float
    viewpoints: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class _Rays:
    """From (n, 3) scanners to (n, 3) points, in cells."""

    starts: np.ndarray
    ends: np.ndarray

    def within_reach(self) -> np.ndarray:
        """(n, 3) where rays end, or leave the reach of their scanner."""
        ways = self.ends - self.starts
        lengths = np.linalg.norm(ways, axis=1)
        return self.starts + ways * np.minimum(1.0, _REACH_CELLS / np.maximum(lengths, 1e-9))[:, None]

    def of(self, kept: np.ndarray) -> _Rays:
        return _Rays(self.starts[kept], self.ends[kept])


def _viewpoints(measured: MeasuredPoints, ghosts: GhostCells) -> tuple[np.ndarray, float]:
    """(W,) int64, ascending keys of viewpoints, and the edge of their cells in cells of ghosts; none where no point was
    seen from elsewhere."""
    viewpoints, edge, is_known = np.zeros(0, dtype=np.int64), _VIEWPOINT_M / GHOST_CELL_M, True
    for number in range(measured.parts):
        points, scanners = measured.part(number)
        rays = _rays(points, scanners, ghosts)
        is_known &= len(rays.starts) == len(points)
        viewpoints = np.union1d(viewpoints, _viewpoints_of(rays, edge))
    if len(viewpoints) == 1 and is_known:
        return viewpoints[:0], edge
    while len(viewpoints) > _MOST_VIEWPOINTS:
        edge, viewpoints = 2 * edge, np.unique(pack_cells(unpack_cells(viewpoints) // 2))
    return viewpoints, edge


def _survey(measured: MeasuredPoints, ghosts: GhostCells, viewpoints: np.ndarray, edge: float) -> _Survey:
    occupied, counts = np.zeros(0, dtype=np.int64), np.zeros(len(viewpoints), dtype=np.int64)
    low = np.full((len(viewpoints), 3), np.iinfo(np.int64).max)
    high = np.full((len(viewpoints), 3), np.iinfo(np.int64).min)
    parts = np.zeros((measured.parts, len(viewpoints)), dtype=bool)
    for number in range(measured.parts):
        points, scanners = measured.part(number)
        rays = _rays(points, scanners, ghosts)
        numbers = _numbers_of(rays, viewpoints, edge)
        counts += np.bincount(numbers, minlength=len(viewpoints))
        parts[number, np.unique(numbers)] = True
        for ends in (rays.starts, rays.within_reach()):
            cells = np.floor(ends).astype(np.int64)
            np.minimum.at(low, numbers, cells)
            np.maximum.at(high, numbers, cells)
        occupied = np.union1d(occupied, pack_cells(np.floor(ghosts.places(points)).astype(np.int64)))
    return _Survey(unpack_cells(occupied), edge, viewpoints, counts, low, high, parts)


def _rays(points: np.ndarray, scanners: np.ndarray, ghosts: GhostCells) -> _Rays:
    """Those to the points (n, 3) whose scanner is known, of which there may be fewer."""
    scale = ghosts.metres_per_unit
    known = has_scanner(points * scale, scanners * scale)
    return _Rays(ghosts.places(scanners[known]), ghosts.places(points[known]))


def _viewpoints_of(rays: _Rays, edge_cells: float) -> np.ndarray:
    """(n,) int64, the key of the viewpoint of each ray."""
    return pack_cells(np.floor(rays.starts / edge_cells).astype(np.int64))


def _numbers_of(rays: _Rays, viewpoints: np.ndarray, edge_cells: float) -> np.ndarray:
    """(n,) int64, the number of the viewpoint of each ray."""
    return np.searchsorted(viewpoints, _viewpoints_of(rays, edge_cells))


def _void_of(number: int, survey: _Survey, measured: MeasuredPoints, ghosts: GhostCells) -> np.ndarray:
    """Keys of the occupied cells that the rays of one viewpoint show to be void."""
    low, shape = survey.low[number] - 1, survey.high[number] - survey.low[number] + 3  # with a rim that no ray passes
    passed, met = np.zeros(shape, dtype=np.uint16), np.zeros(shape, dtype=bool)
    for part in np.flatnonzero(survey.parts[:, number]).tolist():
        rays = _rays(*measured.part(part), ghosts)
        rays = rays.of(_numbers_of(rays, survey.viewpoints, survey.edge_cells) == number)
        cells = np.floor(rays.ends).astype(np.int64) - low
        inside = ((cells >= 0) & (cells < shape)).all(axis=1)
        met[tuple(cells[inside].T)] = True
        rays = rays.of(in_place_sample(rays.ends, int(survey.counts[number]), _MOST_RAYS))
        pass_rays(passed, rays.starts - low, rays.ends - low, float(_REACH_CELLS))
    cells = survey.occupied
    first, last = np.searchsorted(cells[:, 0], [low[0], low[0] + shape[0]])
    cells = cells[first:last]
    cells = cells[((cells >= low) & (cells < low + shape)).all(axis=1)]
    return pack_cells(cells[find_void(passed, met, cells - low, _LEAST_RAYS)])
