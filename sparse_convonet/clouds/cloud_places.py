"""Points in memory, found by their place."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from sparse_convonet.clouds.occupied_cells import (
    OccupiedCells,
    cells_of_places,
    first_by_chance,
    snapped_places,
)
from sparse_convonet.coordinates import VoxelFrame, pack_cells, unpack_cells

_CELLS_ALONG = 256
_LEAST_EDGE_M = 1e-6
_MOST_RUNS = 1 << 14


class CloudPlaces:
    """points_world: (N, 3) world metres, N at least 1.  edge_m: of the cells by which they are found; None: a 256th of
    the longest side.

    Raises ValueError where the cells are too many for the extent of the points.
    """

    def __init__(self, points_world: np.ndarray, edge_m: float | None = None) -> None:
        self.points_world = points_world
        self.low, self.high = points_world.min(axis=0), points_world.max(axis=0)
        along = float((self.high - self.low).max()) / _CELLS_ALONG
        self._frame = VoxelFrame.from_lowest(self.low, edge_m or max(_LEAST_EDGE_M, along))
        self._last_cell = np.floor(self._frame.to_voxels(self.high)).astype(np.int64)
        pack_cells(self._last_cell[None])  # refuses what a key does not hold

    def occupied(self, edge_m: float) -> OccupiedCells:
        frame = VoxelFrame.from_lowest(self.low, edge_m)
        places = snapped_places(self.points_world, frame)
        keys, counts, rows = first_by_chance(pack_cells(cells_of_places(places)), places)
        cells = unpack_cells(keys)
        return OccupiedCells(cells, counts, self.points_world[rows])

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        order, keys = self._sorted
        ends = np.floor(self._frame.to_voxels(np.stack([low, high]))).astype(np.int64)
        first, last = np.clip(ends, 0, self._last_cell)
        x, y = (np.arange(first[axis], last[axis] + 1) for axis in (0, 1))
        rows = order
        if len(x) * len(y) <= _MOST_RUNS:
            spans = self._last_cell + 1
            columns = ((x[:, None] * spans[1] + y) * spans[2]).ravel()  # cells of one follow each other along z
            begins = np.searchsorted(keys, columns + first[2])
            rows = order[_ranges(begins, np.searchsorted(keys, columns + last[2], side="right"))]
        found = self.points_world[rows]
        return found[np.all((found >= low) & (found < high), axis=1)]

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) rows of the points by cell, and (N,) sorted keys of those cells."""
        cells, spans = np.floor(self._frame.to_voxels(self.points_world)).astype(np.int64), self._last_cell + 1
        keys = (cells[:, 0] * spans[1] + cells[:, 1]) * spans[2] + cells[:, 2]
        order = np.argsort(keys, kind="stable")
        return order, keys[order]


def _ranges(begins: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The numbers begins[0] .. stops[0] - 1, begins[1] .. stops[1] - 1, and so on, in one array."""
    lengths = stops - begins
    starts = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(begins - starts, lengths)
