"""Queries about the field of a scan that was encoded in tiles, at places in any order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse_convonet.model.field_queries import FieldQueries
from sparse_convonet.model.sparse import OUTSIDE_LOGIT
from sparse_convonet.out_of_core.points.point_store import inside
from sparse_convonet.out_of_core.tiles.searching import field_and_queries
from sparse_convonet.out_of_core.tiles.work import Work
from sparse_convonet.tile_grid import TiledRows, TileName


class StoredQueries:
    """Asks a network about the field in a work folder, tile by tile; the tile asked last stays in memory.

    What model.field_queries.FieldQueries answers about the whole field.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._loaded: tuple[TileName, FieldQueries | None] | None = None
        unet, frame = work.network.unet, work.plan.frame
        reach = unet.expansion_voxels() + 2 * unet.total_stride  # nothing is known farther from all points
        self._low = frame.to_voxels(work.points.low[None])[0] - reach
        self._high = frame.to_voxels(work.points.high[None])[0] + reach

    def logits_and_known(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) float32, and (Q,) bool where the field has features."""
        logits, known = np.full(len(queries), OUTSIDE_LOGIT, dtype=np.float32), np.zeros(len(queries), dtype=bool)

        def ask(field: FieldQueries, rows: np.ndarray) -> None:
            logits[rows], known[rows] = field.logits_and_known(queries[rows])

        self._by_tile(queries, ask)
        return logits, known

    def gradient(self, queries: np.ndarray) -> np.ndarray:
        """(Q, 3) float32, per voxel; zeros where nothing is known."""
        gradients = np.zeros((len(queries), 3), dtype=np.float32)

        def ask(field: FieldQueries, rows: np.ndarray) -> None:
            gradients[rows] = field.gradient(queries[rows])

        self._by_tile(queries, ask)
        return gradients

    def _by_tile(self, queries: np.ndarray, ask: Callable[[FieldQueries, np.ndarray], None]) -> None:
        """Let `ask` fill in the rows (n,) of queries whose tile has a field."""
        near = np.flatnonzero(inside(queries, self._low, self._high))
        finest = queries[near] / self._work.plan.cell
        rows = TiledRows(finest, self._work.plan.meshing_finest)
        for tile in rows.occupied():
            field = self._field(tile)
            if field is not None:
                ask(field, near[rows.of(tile)])

    def _field(self, tile: TileName) -> FieldQueries | None:
        """That around a tile; None where it has no cells."""
        if self._loaded is None or self._loaded[0] != tile:
            self._loaded = None  # before the next one is read
            field, queries = field_and_queries(self._work, tile)
            self._loaded = tile, queries if field.levels else None
        return self._loaded[1]
