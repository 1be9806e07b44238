"""Take out of a cloud what no scanner meant: points without return, not finite, far from all others, repeated."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sparse_convonet.io.coincidence import place_keys, repeats_earlier
from sparse_convonet.io.summary import CloudSummary, describe
from sparse_convonet.structures import PointCloud

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
    duplicates: repeat an earlier point exactly.
    """

    not_finite: int
    no_return: int
    far: int
    duplicates: int

    def total(self) -> int:
        """All of them together."""
        return self.not_finite + self.no_return + self.far + self.duplicates


def clean_points(cloud: PointCloud) -> tuple[PointCloud, Dropped]:
    """The cloud without what Dropped lists, in the same order, and the counts.

    A point is far when two things hold: it lies outside the bulk (the box of the middle 80 % along each axis) by more
    than the bulk's longest edge, and its cluster, of points less than half that edge apart, is small.  So the end of a
    long corridor stays, as does another wing, while a few points at any distance go.  Whatever lies beyond 1e18, which
    no unit explains, is far.
    Raises ValueError where fewer than 50 points are left, or all points are the same.
    """
    x, y, z = np.isfinite(cloud.points).T  # axis by axis is faster than all(axis=1)
    kept, not_finite = _without(cloud, ~(x & y & z))
    _require_surface(kept.points, len(cloud))
    kept, no_return = _without(kept, is_no_return(kept.points))
    _require_surface(kept.points, len(cloud))
    kept, far = _without(kept, far_from_bulk(kept.points))
    kept, duplicates = _without(kept, repeats_earlier(kept.points))
    _require_surface(kept.points, len(cloud))
    dropped = Dropped(not_finite, no_return, far, duplicates)
    logger.info("%d points, of which dropped: %s", len(cloud), dropped)
    return kept, dropped


def _without(cloud: PointCloud, unwanted: np.ndarray) -> tuple[PointCloud, int]:
    """The cloud without the points of the mask (N,) bool, and how many those are."""
    count = int(unwanted.sum())
    return (cloud.select(~unwanted) if count else cloud), count


def _require_surface(points: np.ndarray, given: int) -> None:
    if len(points) < MIN_POINTS:
        raise ValueError(
            f"point cloud: expected at least {MIN_POINTS} usable points, found {len(points)} of {given}; "
            "check the file, a surface cannot be reconstructed from so few"
        )
    if np.all(points == points[0]):
        raise ValueError(
            f"point cloud: expected points that differ, found {len(points)} times the same point "
            f"{points[0].tolist()}; check how the file was exported"
        )


def far_from_bulk(points: np.ndarray) -> np.ndarray:
    """(N, 3) finite points -> (N,) bool, true for outliers far from the bulk as clean_points defines them."""
    if max(points.max(), -points.min()) >= _LARGEST:
        far = (np.abs(points) >= _LARGEST).any(axis=1)
        if not far.all():
            far[~far] = far_from_bulk(points[~far])
        return far
    step = max(1, len(points) // _SAMPLE)
    low, high = np.quantile(points[::step], _BULK_QUANTILES, axis=0)
    edge = float((high - low).max())
    if edge <= _LEAST_SHARE * float(
        max(high.max(), -low.min())
    ):  # almost all points are one point: nothing to compare with
        return np.zeros(len(points), dtype=bool)
    beyond = np.zeros(len(points), dtype=bool)
    for values, least, most in zip(points.T, low - edge, high + edge, strict=True):
        beyond |= (values < least) | (values > most)
    if not beyond.any():
        return beyond
    fewest = min(_CLUSTER_SHARE * len(points), _CLUSTER_POINTS)
    with np.errstate(over="ignore"):  # what becomes infinite is as far as can be
        points_cell = (points - low) / edge * 2
    return beyond & ~_in_large_cluster(points_cell, fewest)


def _in_large_cluster(points_cell: np.ndarray, least: float) -> np.ndarray:
    """(N, 3) in units of a cell -> (N,) bool: whether the point's cluster of touching cells holds `least` points.

    Cells touch at faces, edges or corners; so points less than one cell apart are always in one cluster.
    """
    index = np.clip(np.floor(points_cell), -_FARTHEST_CELL, _FARTHEST_CELL).astype(np.int64)  # (N, 3)
    span = 2 * _FARTHEST_CELL + 1
    keys = (index[:, 0] * span + index[:, 1]) * span + index[:, 2]
    _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    pairs = cKDTree(index[first]).query_pairs(r=1.5, p=np.inf, output_type="ndarray")  # (pairs, 2)
    links = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    _, label = connected_components(links, directed=False)  # (cells,)
    large = np.bincount(label, weights=counts) >= least  # (clusters,)
    return large[label][inverse.reshape(-1)]


def is_no_return(points: np.ndarray) -> np.ndarray:
    """(N,) bool: points at a place that at least one in two hundred, and a hundred, repeat exactly."""
    step = max(1, len(points) // _SAMPLE)
    sample, counts = np.unique(place_keys(points[::step]), return_counts=True)
    suspects = sample[counts >= max(2.0, _NO_RETURN_SHARE / 2 * len(points) / step)]
    if len(suspects) == 0:
        return np.zeros(len(points), dtype=bool)
    key = place_keys(points)
    frequent = [
        suspect
        for suspect in suspects
        if (key == suspect).sum() >= max(_NO_RETURN_COUNT, _NO_RETURN_SHARE * len(points))
    ]
    return np.isin(key, frequent)
