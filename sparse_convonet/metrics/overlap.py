"""How far the scans of several viewpoints miss each other where they saw the same surface: their registration.

In cells of 20 cm, a plane is laid through the points of two viewpoints that look at it from the same side; how far the
mean of the one lies from the mean of the other along its normal is what they miss each other by there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.clouds.keyed_sums import keyed_sums
from sparse_convonet.clouds.scanners import has_scanner
from sparse_convonet.coordinates import AXIS_LIMIT, pack_cells, unpack_cells

OVERLAP_CELL_M = 0.2
_STEP_M = 1e-4  # places in a cell are whole numbers of these, so that their sums are exact in any order
_VIEWPOINT_M = 0.1  # scanner positions within a cell of this edge are one viewpoint, ...
_MOST_VIEWPOINTS = 64  # ... or of larger cells, where there are more
_LEAST_POINTS = 10  # of each viewpoint in a cell
_THICKEST_M = 0.02  # standard deviation across the plane: more is an edge, or no surface
_LEAST_SPREAD = 0.1  # of the lesser over the greater variance along the plane
_ASIDE_CELLS = 0.3  # the middles of the points of both are no farther apart along the plane
_LEAST_M2 = 1.0  # of less nothing is said
_PLACE_M, _PLACE_CELLS, _MOST_PLACES = 1.0, 4, 5


@dataclass(frozen=True)
class OverlapPlace:
    """at_world: (3,) metres, z up.  missed_m: the median within a metre around."""

    at_world: np.ndarray
    missed_m: float


@dataclass(frozen=True)
class Overlap:
    """What viewpoints miss each other by, over the cells of 20 cm that two or more of them saw.

    viewpoints: how many there are.  area_m2: of the surface that was compared, about.  median_m, within_95_m: of the
    distances.  places: the worst, the first above all.  Noise of s mm is seen as s / 2 mm at most, from 10 points each.
    """

    viewpoints: int
    area_m2: float
    median_m: float
    within_95_m: float
    places: tuple[OverlapPlace, ...]


def measure_overlap(parts: Iterable[tuple[np.ndarray, np.ndarray]], low: np.ndarray) -> Overlap | None:
    """parts: (n, 3) points and (n, 3) positions of their scanners, metres, NaN where one is not known; low: (3,) the lowest
    coordinates of all points, from where cells count.

    The same for any parts and order.  None where less than a square metre was seen from two viewpoints, and for scans that
    are larger than cells can be counted.
    """
    sums = _Sums.none()
    for points, scanners in parts:
        known = has_scanner(points, scanners)
        sums = sums.joined(_Sums.of(points[known] - low, scanners[known] - low))
    return _compared(sums, low)


@dataclass(frozen=True)
class _Sums:
    """Of the points of each viewpoint in each cell, ascending by cell, then viewpoint.

    cells, views: (K,) int64 keys.  values: (K, 13) int64: the number of points, the sums of x, y, z from the corner of the
    cell and of xx, yy, zz, xy, yz, zx, in steps, and the sums of the scanners' x, y, z in centimetres.  level: how often
    the edge of viewpoints was doubled, so that there are few.
    """

    cells: np.ndarray
    views: np.ndarray
    values: np.ndarray
    level: int = 0

    @classmethod
    def none(cls) -> _Sums:
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, np.zeros((0, 13), dtype=np.int64))

    @classmethod
    def of(cls, points: np.ndarray, scanners: np.ndarray) -> _Sums:
        """(n, 3) each, metres from the lowest point."""
        cells = np.floor(points / OVERLAP_CELL_M).astype(np.int64)
        views = np.floor(scanners / _VIEWPOINT_M).astype(np.int64)
        inside = ((cells < AXIS_LIMIT) & (np.abs(views) < AXIS_LIMIT)).all(axis=1)
        points, scanners, cells, views = points[inside], scanners[inside], cells[inside], views[inside]
        x, y, z = places = np.rint((points - cells * OVERLAP_CELL_M) / _STEP_M).astype(np.int64).T
        values = [np.ones_like(x), *places, x * x, y * y, z * z, x * y, y * z, z * x]
        values += list(np.rint(100 * scanners).astype(np.int64).T)
        return cls(*keyed_sums(pack_cells(cells), pack_cells(views), np.stack(values, axis=1)))

    def joined(self, other: _Sums) -> _Sums:
        """Of both; of few viewpoints, at the level that all of them take in the end, whatever comes first."""
        level = max(self.level, other.level)
        one, two = self.at_level(level), other.at_level(level)
        cells, views, values = (
            np.concatenate(pair) for pair in ((one.cells, two.cells), (one.views, two.views), (one.values, two.values))
        )
        sums = _Sums(*keyed_sums(cells, views, values), level)
        while len(np.unique(sums.views)) > _MOST_VIEWPOINTS:
            sums = sums.at_level(sums.level + 1)
        return sums

    def at_level(self, level: int) -> _Sums:
        """Viewpoints joined with those beside them."""
        if level == self.level or len(self.views) == 0:
            return replace(self, level=level)
        views = pack_cells(unpack_cells(self.views) >> (level - self.level))
        return _Sums(*keyed_sums(self.cells, views, self.values), level)


def _compared(sums: _Sums, low: np.ndarray) -> Overlap | None:
    enough = sums.values[:, 0] >= _LEAST_POINTS
    cells, values = sums.cells[enough], sums.values[enough]
    # Each viewpoint of a cell is compared with the one that has the most points there.
    order = np.lexsort([-values[:, 0], cells])
    cells, values = cells[order], values[order]
    starts = np.flatnonzero(np.r_[True, cells[1:] != cells[:-1]]) if len(cells) else np.zeros(0, dtype=np.int64)
    most = np.repeat(starts, np.diff(np.r_[starts, len(cells)]))
    others = np.flatnonzero(most != np.arange(len(cells)))
    cells, first, second = cells[others], values[most[others]], values[others]
    corners = unpack_cells(cells) * OVERLAP_CELL_M
    missed, middles, is_sound = _missed(first, second, corners)
    if len(np.unique(cells[is_sound])) * OVERLAP_CELL_M**2 < _LEAST_M2:
        return None
    missed, middles, cells = missed[is_sound], middles[is_sound], cells[is_sound]
    return Overlap(
        viewpoints=len(np.unique(sums.views)),
        area_m2=float(len(np.unique(cells)) * OVERLAP_CELL_M**2),
        median_m=float(np.median(missed)),
        within_95_m=float(np.quantile(missed, 0.95)),
        places=_places(middles, missed, low),
    )


def _missed(first: np.ndarray, second: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums (K, 13) of two viewpoints each, corners of cells (K, 3) -> (K,) metres, (K, 3) where, and (K,) bool, whether
    both saw one plane from one side."""
    counts = [each[:, 0].astype(np.float64) for each in (first, second)]
    means = [each[:, 1:4] * _STEP_M / count[:, None] for each, count in zip((first, second), counts, strict=True)]
    scatter = sum(_scatter(each, mean, count) for each, mean, count in zip((first, second), means, counts, strict=True))
    variances, axes = np.linalg.eigh(scatter / (counts[0] + counts[1] - 2)[:, None, None])
    normals = axes[:, :, 0]
    apart = means[0] - means[1]
    missed = np.einsum("kc,kc->k", apart, normals)
    aside = np.linalg.norm(apart - missed[:, None] * normals, axis=1)
    heights = [
        np.einsum("kc,kc->k", each[:, 10:13] / 100 / each[:, :1] - corners - mean, normals)
        for each, mean in zip((first, second), means, strict=True)
    ]
    is_sound = (
        (variances[:, 0] < _THICKEST_M**2)
        & (variances[:, 0] < _LEAST_SPREAD * variances[:, 1])
        & (variances[:, 1] > _LEAST_SPREAD * variances[:, 2])
        & (aside < _ASIDE_CELLS * OVERLAP_CELL_M)
        & (heights[0] * heights[1] > 0)
    )
    return np.abs(missed), corners + (means[0] + means[1]) / 2, is_sound


def _scatter(sums: np.ndarray, mean: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(K, 3, 3) m2: the summed squares and products of what the points are off their mean."""
    xx, yy, zz, xy, yz, zx = (sums[:, 4:10] * _STEP_M**2).T
    square = np.stack([np.stack([xx, xy, zx], 1), np.stack([xy, yy, yz], 1), np.stack([zx, yz, zz], 1)], 1)
    return np.asarray(square - count[:, None, None] * mean[:, :, None] * mean[:, None, :])


def _places(middles: np.ndarray, missed: np.ndarray, low: np.ndarray) -> tuple[OverlapPlace, ...]:
    """The worst metres of those in which several cells tell."""
    keys, of_metre, counts = np.unique(
        pack_cells(np.floor(middles / _PLACE_M).astype(np.int64)), return_inverse=True, return_counts=True
    )
    found = []
    for number in np.flatnonzero(counts >= _PLACE_CELLS):
        inside = of_metre.reshape(-1) == number
        found.append(OverlapPlace(low + middles[inside].mean(axis=0), float(np.median(missed[inside]))))
    return tuple(sorted(found, key=lambda place: -place.missed_m)[:_MOST_PLACES])
