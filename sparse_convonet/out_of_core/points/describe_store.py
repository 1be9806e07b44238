"""Describe the points of a store as clouds.summary.describe does the cloud that they are, with the memory of a part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from sparse_convonet.clouds.summary import CloudSummary, draw_rows, median_distance, summarise
from sparse_convonet.out_of_core.points.build_store import REPEATS, REPEATS_TITLE
from sparse_convonet.out_of_core.points.clean_spool import CleanSpool
from sparse_convonet.out_of_core.points.stored_cells import StoredCells
from sparse_convonet.runtime.progress import Progress, untold

_WINDOW_POINTS = 1 << 26  # of which it is held at a time whether they repeat earlier ones
_REPEATS_AT_A_TIME = 1 << 20
_FEW_QUERIES = 16  # for fewer, measuring all distances is faster than a tree


def describe_store(
    cells: StoredCells,
    clean: CleanSpool,
    *,
    seed: int = 0,
    progress: Progress = untold,
) -> CloudSummary:
    """The summary that describe gives of the clean cloud: the same numbers, from the same random points."""
    count = int(cells.begins[-1])
    rows = draw_rows(count, seed)
    progress("describe", 0.0)
    drawn = np.concatenate([rows.outline, rows.queries, rows.up])
    points = _points_of_rank(clean, cells.folder / REPEATS, drawn, count)
    outline, queries, up = np.split(points, np.cumsum([len(rows.outline), len(rows.queries)]))
    progress("describe", 0.4)
    spacing = median_distance(lambda k: nearest_stored(cells, queries, k, progress), count)
    progress("describe", 1.0)
    return summarise(count, cells.high.max(axis=0) - cells.low.min(axis=0), outline, spacing, up, clean.spool.unit)


def _points_of_rank(clean: CleanSpool, repeats: Path, ranks: np.ndarray, count: int) -> np.ndarray:
    """(R, 3) float64, the points of these ranks, in any order, among the `count` that stay, in the order of the scan."""
    wanted, place = np.unique(ranks, return_inverse=True)
    found = np.empty((len(wanted), 3))
    passed = taken = 0
    for points in _unrepeated(clean, repeats):
        end = int(np.searchsorted(wanted, passed + len(points)))
        found[taken:end] = points[wanted[taken:end] - passed]
        passed, taken = passed + len(points), end
    assert passed == count and taken == len(wanted)
    return found[place.reshape(-1)]


def _unrepeated(clean: CleanSpool, repeats: Path) -> Iterator[np.ndarray]:
    """The points (n, 3) that stay, in the order of the scan."""
    window, repeated = -1, np.zeros(0, dtype=bool)
    for index, points in clean.chunks():
        for number in (
            range(int(index[0]) // _WINDOW_POINTS, int(index[-1]) // _WINDOW_POINTS + 1) if len(index) else ()
        ):
            if number != window:
                window, repeated = number, _repeated_within(repeats, number, clean.spool.count)
            first, last = np.searchsorted(index, [window * _WINDOW_POINTS, (window + 1) * _WINDOW_POINTS])
            kept = ~repeated[index[first:last] - window * _WINDOW_POINTS]
            yield points[first:last][kept]


def _repeated_within(repeats: Path, window: int, count: int) -> np.ndarray:
    """(n,) bool for the points of a window: whether they repeat earlier ones."""
    start = window * _WINDOW_POINTS
    marks = np.zeros(min(_WINDOW_POINTS, count - start), dtype=bool)
    with repeats.open("rb") as file:
        file.seek(len(REPEATS_TITLE))
        while len(index := np.fromfile(file, dtype=np.int64, count=_REPEATS_AT_A_TIME)):
            marks[index[(index >= start) & (index < start + len(marks))] - start] = True
    return marks


def nearest_stored(cells: StoredCells, queries: np.ndarray, neighbours: int, progress: Progress = untold) -> np.ndarray:
    """Distances of (Q, 3) stored points to the nearest stored ones, themselves among them: (Q, k) ascending.

    Each query is measured in its own cell, then in the others that come nearer than what was found there.
    """
    own = cells.octree.leaves_of(queries)
    found = np.full((len(queries), neighbours), np.inf)
    _measure_in_cells(cells, queries, own, np.arange(len(queries)), found)
    progress("describe", 0.7)
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for query, point in enumerate(queries):
        outside = np.maximum(np.maximum(cells.low - point, point - cells.high), 0)  # (C, 3)
        reach = found[query, -1]
        if not np.isfinite(reach):  # too few points in its own cell
            reach = _surely_within(cells, point, neighbours)
        near = np.flatnonzero((outside**2).sum(axis=1) <= reach**2 * (1 + 1e-9))
        near = near[near != own[query]]
        pairs.append((near, np.full(len(near), query)))
    in_cell, of_query = (np.concatenate(column) for column in zip(*pairs, strict=True))
    _measure_in_cells(cells, queries, in_cell, of_query, found)
    return found


def _surely_within(cells: StoredCells, point: np.ndarray, neighbours: int) -> float:
    """A radius around a point (3,) that holds at least `neighbours` stored points; inf where the store has fewer."""
    farthest = np.sqrt((np.maximum(np.abs(cells.low - point), np.abs(cells.high - point)) ** 2).sum(axis=1))
    order = np.argsort(farthest)
    rank = int(np.searchsorted(np.cumsum(cells.counts[order]), neighbours))
    return float(farthest[order[rank]]) if rank < len(order) else np.inf


def _measure_in_cells(
    cells: StoredCells, queries: np.ndarray, in_cell: np.ndarray, of_query: np.ndarray, found: np.ndarray
) -> None:
    """Bring the points of a cell into the least distances `found` (Q, k) of a query, for pairs of both."""
    order = np.argsort(in_cell, kind="stable")
    in_cell, of_query = in_cell[order], of_query[order]
    neighbours = found.shape[1]
    for pairs in np.split(np.arange(len(in_cell)), np.flatnonzero(np.diff(in_cell)) + 1):
        if len(pairs) == 0:
            continue
        asking = of_query[pairs]
        for rows in cells.batches(in_cell[pairs[:1]]):
            near = _nearest(np.ascontiguousarray(rows["point"]), queries[asking], neighbours)
            both = np.concatenate([found[asking], near], axis=1)
            found[asking] = np.sort(both, axis=1)[:, :neighbours]


def _nearest(points: np.ndarray, queries: np.ndarray, neighbours: int) -> np.ndarray:
    """(Q, k) distances to the nearest of (n, 3) points, or to all where they are fewer, in any order."""
    if len(queries) > _FEW_QUERIES:
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False, leafsize=32)
        return tree.query(queries, k=neighbours)[0].reshape(len(queries), -1)
    distances = cdist(queries, points)
    return np.partition(distances, neighbours - 1, axis=1)[:, :neighbours] if neighbours < len(points) else distances
