"""Take out of a spool what clouds.cleaning takes out of a cloud, and describe what is left, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sparse_convonet.clouds.cleaning import (
    NOTHING,
    Bulk,
    Sought,
    cell_keys,
    count_places,
    enough_for_no_return,
    find_bulk,
    finite_rows,
    in_large_cluster,
    require_surface,
    sample_step,
    suspected_no_return,
    too_large,
)
from sparse_convonet.clouds.coincidence import are_at, place_keys
from sparse_convonet.clouds.ghosts import GhostCells, find_ghosts
from sparse_convonet.clouds.outliers import find_outliers
from sparse_convonet.out_of_core.points.spool import CHUNK_POINTS, PointSpool, chunks_of
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.structures import PointCloud

_PENDING_CELLS = 1 << 20


@dataclass(frozen=True)
class Kept:
    """Which points of a spool stay, repeated ones aside; as far as it is known, each part being found with the others.

    no_return: ascending keys of the places of rays without return.  any_too_large: whether there are coordinates that
    no unit explains.  bulk: what points are far from, None where none are.  far_cells: ascending keys of the bulk's
    cells whose points are far where they lie beyond it.  ghosts: the cells whose points are, None where there are none.
    outliers: ascending keys of their places.
    """

    no_return: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    any_too_large: bool = False
    bulk: Bulk | None = None
    far_cells: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ghosts: GhostCells | None = None
    outliers: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))

    def rows(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (n,) int64, those that stay."""
        rows = np.flatnonzero(finite_rows(points))
        if len(self.no_return):
            rows = rows[~are_at(points[rows], self.no_return)]
        if self.any_too_large:
            rows = rows[~too_large(points[rows])]
        if len(self.far_cells) and self.bulk is not None:
            beyond = np.flatnonzero(self.bulk.beyond(points[rows]))
            far = np.isin(cell_keys(self.bulk.cells(points[rows[beyond]])), self.far_cells)
            rows = np.delete(rows, beyond[far])
        if self.ghosts is not None:
            rows = rows[~self.ghosts.hold(points[rows])]
        if len(self.outliers):
            rows = rows[~are_at(points[rows], self.outliers)]
        return rows


@dataclass(frozen=True)
class CleanSpool:
    """A spool without unwanted points, but with repeated ones.

    count: points that stay.  low, high: (3,) their extremes.  not_finite, no_return, far, ghosts, outliers: how many points
    do not.
    """

    spool: PointSpool
    kept: Kept
    count: int
    low: np.ndarray
    high: np.ndarray
    not_finite: int
    no_return: int
    far: int
    ghosts: int = 0
    outliers: int = 0

    def chunks(self, chunk_points: int = CHUNK_POINTS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """((n,) int64 index in the spool, ascending, (n, 3) float64 points), one part after the other."""
        return _kept_chunks(self.spool, self.kept, chunk_points)

    def removed_parts(self) -> Iterator[PointCloud]:
        """The ghosts, then the outliers, with their colours, a part at a time, as they stand in the spool."""
        with_outliers = replace(self.kept, outliers=self.kept.outliers[:0])
        with_both = replace(with_outliers, ghosts=None)
        if self.ghosts:
            yield from self._parts_of(with_both, with_outliers)
        if self.outliers:
            yield from self._parts_of(with_outliers, self.kept)

    def _parts_of(self, more: Kept, fewer: Kept) -> Iterator[PointCloud]:
        """The points that one keeps and the other does not."""
        for start, points in chunks_of(self.spool):
            rows = np.setdiff1d(more.rows(points), fewer.rows(points), assume_unique=True)
            colours = self.spool.values("colour", start, start + len(points))[rows] if self.has_colours else None
            yield PointCloud(points[rows], colours)

    @property
    def has_colours(self) -> bool:
        return "colour" in self.spool.columns


@dataclass(frozen=True)
class _MeasuredSpool:
    """What find_ghosts asks, of the points of a spool that are kept so far."""

    spool: PointSpool
    kept: Kept
    chunk_points: int

    @property
    def parts(self) -> int:
        return -(-self.spool.count // self.chunk_points)

    def part(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        start = number * self.chunk_points
        stop = min(start + self.chunk_points, self.spool.count)
        points = self.spool.points(start, stop)
        rows = self.kept.rows(points)
        return points[rows], self.spool.values("scanner", start, stop)[rows]


@dataclass(frozen=True)
class _Measured:
    """Of the points kept so far: how many, their extremes, and the place where all are, or None."""

    count: int
    low: np.ndarray
    high: np.ndarray
    only_place: np.ndarray | None


def clean_spool(
    spool: PointSpool,
    *,
    chunk_points: int = CHUNK_POINTS,
    sought: Sought = NOTHING,
    metres_per_unit: float = 1.0,
    progress: Progress = untold,
) -> CleanSpool:
    """Find what clean_points would drop, repeated points aside; the same points, counts and errors.

    sought: what goes besides; ghosts where scanners are known.  metres_per_unit: of the points, by which it is sought.

    A few passes over the spool.  What is held between them does not grow with the points, but for the cells of half
    the bulk's edge that hold points, where there are any beyond it, and what ghosts and outliers are found by.
    """
    given = spool.count

    def measure(kept: Kept, share: float) -> _Measured:
        progress("clean", share)
        return _measure(spool, kept, chunk_points)

    kept = Kept()
    finite = measured = measure(kept, 0.0)
    require_surface(finite.count, finite.only_place, given)
    kept = replace(kept, no_return=_find_no_return(spool, kept, finite.count, chunk_points))
    if len(kept.no_return):
        measured = measure(kept, 0.4)
        require_surface(measured.count, measured.only_place, given)
    returned = measured.count
    if bool(too_large(np.stack([measured.low, measured.high])).any()):
        kept = replace(kept, any_too_large=True)
        measured = measure(kept, 0.5)
    progress("clean", 0.6)
    if measured.count:
        kept = _find_far(spool, kept, measured, chunk_points)
    if len(kept.far_cells):
        measured = measure(kept, 0.8)
    near = measured
    if sought.ghosts and "scanner" in spool.columns and measured.count:
        asked = _MeasuredSpool(spool, kept, chunk_points)
        ghosts = find_ghosts(asked, measured.low, measured.high, metres_per_unit)
        if len(ghosts.keys):
            kept = replace(kept, ghosts=ghosts)
            measured = measure(kept, 0.9)
    real = measured
    if sought.outliers and measured.count:
        outliers = find_outliers(
            lambda: (points for _, points in _kept_chunks(spool, kept, chunk_points)),
            measured.low,
            measured.high,
            metres_per_unit,
        )
        if len(outliers):
            kept = replace(kept, outliers=outliers)
            measured = measure(kept, 0.95)
    progress("clean", 1.0)
    require_surface(measured.count, None, given)
    return CleanSpool(
        spool, kept, measured.count, measured.low, measured.high,
        not_finite=given - finite.count, no_return=finite.count - returned, far=returned - near.count,
        ghosts=near.count - real.count, outliers=real.count - measured.count,
    )  # fmt: skip


def _kept_chunks(spool: PointSpool, kept: Kept, chunk_points: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start, points in chunks_of(spool, chunk_points):
        rows = kept.rows(points)
        yield rows + start, points if len(rows) == len(points) else points[rows]


def _measure(spool: PointSpool, kept: Kept, chunk_points: int) -> _Measured:
    count, first, differ = 0, None, False
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for _, points in _kept_chunks(spool, kept, chunk_points):
        if len(points) == 0:
            continue
        first = points[0].copy() if first is None else first
        count += len(points)
        for axis, values in enumerate(points.T):  # axis by axis is faster
            low[axis], high[axis] = min(low[axis], values.min()), max(high[axis], values.max())
    differ = bool(np.any(low != high))
    return _Measured(count, low, high, None if differ else first)


def _sample(spool: PointSpool, kept: Kept, count: int, chunk_points: int) -> np.ndarray:
    """Every sample_step-th of the `count` points kept: (n, 3), in their order."""
    step, passed = sample_step(count), 0
    parts = []
    for _, points in _kept_chunks(spool, kept, chunk_points):
        parts.append(points[-passed % step :: step].copy())
        passed += len(points)
    return np.concatenate(parts)


def _find_no_return(spool: PointSpool, kept: Kept, count: int, chunk_points: int) -> np.ndarray:
    """(K,) ascending keys of places, as clouds.cleaning.is_no_return finds them."""
    suspects = suspected_no_return(_sample(spool, kept, count, chunk_points), count)
    if len(suspects) == 0:
        return suspects
    found = np.zeros(len(suspects), dtype=np.int64)
    for _, points in _kept_chunks(spool, kept, chunk_points):
        found += count_places(place_keys(points), suspects)
    return suspects[enough_for_no_return(found, count)]


def _find_far(spool: PointSpool, kept: Kept, measured: _Measured, chunk_points: int) -> Kept:
    """`kept`, with what clouds.cleaning.far_from_bulk finds among the points that it keeps."""
    bulk = find_bulk(_sample(spool, kept, measured.count, chunk_points))
    if bulk is None or not bulk.beyond(np.stack([measured.low, measured.high])).any():
        return kept
    cells, counts, has_beyond = _occupied_cells(spool, kept, bulk, chunk_points)
    far = has_beyond & ~in_large_cluster(cells, counts, measured.count)
    return replace(kept, bulk=bulk, far_cells=np.sort(cell_keys(cells[far])))


def _occupied_cells(
    spool: PointSpool, kept: Kept, bulk: Bulk, chunk_points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bulk's cells that hold points: (C, 3) int64, (C,) how many, (C,) bool whether any lies beyond the bulk."""
    pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _, points in _kept_chunks(spool, kept, chunk_points):
        pending.append(_merge(bulk.cells(points), np.ones(len(points), dtype=np.int64), bulk.beyond(points)))
        if sum(len(cells) for cells, _, _ in pending) > _PENDING_CELLS:
            pending = [_merge(*(np.concatenate(column) for column in zip(*pending, strict=True)))]
    return _merge(*(np.concatenate(column) for column in zip(*pending, strict=True)))


def _merge(cells: np.ndarray, counts: np.ndarray, has_beyond: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each cell once, with the sum of its counts and whether any was marked."""
    _, first, inverse = np.unique(cell_keys(cells), return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    marked = np.bincount(inverse, weights=has_beyond, minlength=len(first)) > 0
    total = np.bincount(inverse, weights=counts, minlength=len(first)).astype(np.int64)
    return cells[first], total, marked
