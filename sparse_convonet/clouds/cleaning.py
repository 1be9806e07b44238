"""Take out of a cloud what no scanner meant: points without return, not finite, far from all others, repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sparse_convonet.clouds.coincidence import place_keys, repeats_earlier
from sparse_convonet.clouds.summary import CloudSummary, describe
from sparse_convonet.structures import LeftOut, PointCloud

__all__ = ["CloudSummary", "Dropped", "clean_points", "describe"]

MIN_POINTS = 50  # fewer do not describe a surface
# The bulk of a cloud is the box between these quantiles of each axis.
_BULK_QUANTILES = (0.1, 0.9)
# A cluster with this share of the points, or so many of them, is a part of the scan however far away.
_CLUSTER_SHARE, _CLUSTER_POINTS = 0.01, 50_000
_FARTHEST_CELL = 1 << 20  # cells from the bulk beyond which distances are no longer told apart
_SAMPLE = 100_000
_LARGEST = 1e18  # of a coordinate; no unit explains a larger one
_LEAST_SHARE = 1e-15  # of the coordinates, below which an extent is rounding
# A place that so many points repeat is no surface: dense scans in whole centimetres repeat a place a few times.
_NO_RETURN_SHARE, _NO_RETURN_COUNT = 0.005, 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dropped:
    """How many points clean_points took out, by reason.

    not_finite: NaN or inf.  no_return: at one place that a large share of
    the points repeat exactly, which is what some scanners write for rays without return.  far: far from all others.
    duplicates: repeat an earlier point exactly.  ghosts: were there only for a while, or never, see ghosts.py.  outliers:
    strewn through space, see outliers.py.  The others are what their reader left out, see structures.LeftOut.
    """

    not_finite: int
    no_return: int
    far: int
    duplicates: int
    withheld: int = 0
    noise: int = 0
    transparent: int = 0
    ghosts: int = 0
    outliers: int = 0

    def total(self) -> int:
        """All of them together."""
        return sum(asdict(self).values())


@dataclass(frozen=True)
class Sought:
    """What is left out of a scan besides, where it is found."""

    ghosts: bool = False
    outliers: bool = False


NOTHING = Sought()


def clean_points(
    cloud: PointCloud,
    take_ghosts: Callable[[PointCloud], PointCloud] | None = None,
    take_outliers: Callable[[PointCloud], PointCloud] | None = None,
) -> tuple[PointCloud, Dropped]:
    """The cloud without what Dropped lists, in the same order, and the counts.

    A point is far when two things hold: it lies outside the bulk (the box of the middle 80 % along each axis) by more
    than the bulk's longest edge, and its cluster, of points less than half that edge apart, is small.  So the end of a
    long corridor stays, as does another wing, while a few points at any distance go.  Whatever lies beyond 1e18, which
    no unit explains, is far.  take_ghosts: gives the cloud without its ghosts, as without_ghosts does; None: they stay.
    take_outliers: the same of without_outliers, of what is left then.
    Raises ValueError where fewer than 50 points are left, or all points are the same.
    """
    kept, not_finite = _without(cloud, ~finite_rows(cloud.points))
    _require_surface(kept.points, len(cloud))
    kept, no_return = _without(kept, is_no_return(kept.points))
    _require_surface(kept.points, len(cloud))
    kept, far = _without(kept, far_from_bulk(kept.points))
    real = kept if take_ghosts is None else take_ghosts(kept)
    even = real if take_outliers is None else take_outliers(real)
    ghosts, outliers, kept = len(kept) - len(real), len(real) - len(even), even
    kept, duplicates = _without(kept, repeats_earlier(kept.points))
    _require_surface(kept.points, len(cloud))
    dropped = Dropped(
        not_finite, no_return, far, duplicates, **asdict(cloud.left_out), ghosts=ghosts, outliers=outliers
    )
    logger.info("%d points, of which dropped: %s", len(cloud) + cloud.left_out.total(), dropped)
    return (replace(kept, left_out=LeftOut()) if cloud.left_out.total() else kept), dropped


def _without(cloud: PointCloud, unwanted: np.ndarray) -> tuple[PointCloud, int]:
    """The cloud without the points of the mask (N,) bool, and how many those are."""
    count = int(unwanted.sum())
    return (cloud.select(~unwanted) if count else cloud), count


def _require_surface(points: np.ndarray, given: int) -> None:
    only_place = points[0] if len(points) and np.all(points == points[0]) else None
    require_surface(len(points), only_place, given)


def require_surface(count: int, only_place: np.ndarray | None, given: int) -> None:
    """Raise ValueError where `count` points, of `given` ones, are too few or all at one place (3,)."""
    if count < MIN_POINTS:
        raise ValueError(
            f"point cloud: expected at least {MIN_POINTS} usable points, found {count} of {given}; "
            "check the file, a surface cannot be reconstructed from so few"
        )
    if only_place is not None:
        raise ValueError(
            f"point cloud: expected points that differ, found {count} times the same point "
            f"{only_place.tolist()}; check how the file was exported"
        )


def finite_rows(points: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N,) bool, whether all three coordinates are finite."""
    x, y, z = np.isfinite(points).T  # axis by axis is faster than all(axis=1)
    return x & y & z


def sample_step(count: int) -> int:
    """Every how many points one is looked at, to see what a cloud of `count` points is like."""
    return max(1, count // _SAMPLE)


def far_from_bulk(points: np.ndarray) -> np.ndarray:
    """(N, 3) finite points -> (N,) bool, true for outliers far from the bulk as clean_points defines them."""
    far = too_large(points)
    if far.any():
        if not far.all():
            far[~far] = far_from_bulk(points[~far])
        return far
    bulk = find_bulk(points[:: sample_step(len(points))])
    if bulk is None:
        return np.zeros(len(points), dtype=bool)
    beyond = bulk.beyond(points)
    if not beyond.any():
        return beyond
    cells = bulk.cells(points)
    _, first, inverse, counts = np.unique(cell_keys(cells), return_index=True, return_inverse=True, return_counts=True)
    return beyond & ~in_large_cluster(cells[first], counts, len(points))[inverse.reshape(-1)]


def too_large(points: np.ndarray) -> np.ndarray:
    """(N, 3) finite points -> (N,) bool, whether a coordinate is larger than any unit explains."""
    if len(points) == 0 or max(points.max(), -points.min()) < _LARGEST:
        return np.zeros(len(points), dtype=bool)
    return (np.abs(points) >= _LARGEST).any(axis=1)


@dataclass(frozen=True)
class Bulk:
    """The box that holds the middle 80 % of a cloud along each axis: its corners, (3,) each, and its longest edge."""

    low: np.ndarray
    high: np.ndarray
    edge: float

    def beyond(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N,) bool, whether a point lies outside by more than the longest edge."""
        beyond = np.zeros(len(points), dtype=bool)
        for values, least, most in zip(points.T, self.low - self.edge, self.high + self.edge, strict=True):
            beyond |= (values < least) | (values > most)
        return beyond

    def cells(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N, 3) int64, the cell of half the longest edge that a point lies in."""
        with np.errstate(over="ignore"):  # what becomes infinite is as far as can be
            points_cell = (points - self.low) / self.edge * 2
        return np.clip(np.floor(points_cell), -_FARTHEST_CELL, _FARTHEST_CELL).astype(np.int64)


def find_bulk(sample: np.ndarray) -> Bulk | None:
    """The bulk of the cloud that (n, 3) points, below 1e18, are a sample of; None where almost all are one point."""
    low, high = np.quantile(sample, _BULK_QUANTILES, axis=0)
    edge = float((high - low).max())
    if edge <= _LEAST_SHARE * float(max(high.max(), -low.min())):
        return None
    return Bulk(low, high, edge)


def cell_keys(cells: np.ndarray) -> np.ndarray:
    """(N, 3) int64 as Bulk.cells gives -> (N,) int64, one number for each cell."""
    span = 2 * _FARTHEST_CELL + 1
    return (cells[:, 0] * span + cells[:, 1]) * span + cells[:, 2]


def in_large_cluster(cells: np.ndarray, counts: np.ndarray, points: int) -> np.ndarray:
    """Cells (C, 3) int64, each once, and the points in each (C,) -> (C,) bool: whether the cell's cluster is large.

    A cluster is of cells that touch; so points less than one cell apart are always in one.  points: of the cloud.
    """
    least = min(_CLUSTER_SHARE * points, _CLUSTER_POINTS)
    pairs = cKDTree(cells).query_pairs(r=1.5, p=np.inf, output_type="ndarray")  # (pairs, 2), at faces, edges, corners
    links = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(cells), len(cells)))
    _, label = connected_components(links, directed=False)  # (C,)
    large = np.bincount(label, weights=counts) >= least  # (clusters,)
    return large[label]


def is_no_return(points: np.ndarray) -> np.ndarray:
    """(N,) bool: points at a place that at least one in two hundred, and a hundred, repeat exactly."""
    suspects = suspected_no_return(points[:: sample_step(len(points))], len(points))
    if len(suspects) == 0:
        return np.zeros(len(points), dtype=bool)
    key = place_keys(points)
    return np.isin(key, suspects[enough_for_no_return(count_places(key, suspects), len(points))])


def suspected_no_return(sample: np.ndarray, points: int) -> np.ndarray:
    """(S,) keys of places, ascending, that may be of points without return, from every sample_step-th of `points`."""
    places, counts = np.unique(place_keys(sample), return_counts=True)
    return places[counts >= max(2.0, _NO_RETURN_SHARE / 2 * points / sample_step(points))]


def count_places(keys: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How often each of (S,) ascending places is among (N,) keys: (S,) int64."""
    rank = np.minimum(np.searchsorted(places, keys), len(places) - 1)
    return np.bincount(rank[places[rank] == keys], minlength=len(places))


def enough_for_no_return(counts: np.ndarray, points: int) -> np.ndarray:
    """(S,) bool: whether so many of `points` at one place are points without return."""
    return counts >= max(_NO_RETURN_COUNT, _NO_RETURN_SHARE * points)
