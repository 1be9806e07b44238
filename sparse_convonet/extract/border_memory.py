"""Stage extract: the logits of lattice points on the borders between tiles, each asked for once."""

from __future__ import annotations

import numpy as np

from sparse_convonet.extract.lattice import pack_lattice
from sparse_convonet.extract.mise import Evaluate, ExtractionSettings
from sparse_convonet.tile_grid import TileGrid


class BorderMemory:
    """An `evaluate` that asks for every lattice point on the borders between tiles once.

    So all tiles at a point have the same logit, also where `evaluate` rounds differently from call to call.  What is
    known is kept in sorted runs, each more than twice as long as the one after it.
    """

    def __init__(self, evaluate: Evaluate, settings: ExtractionSettings, grid_finest: TileGrid) -> None:
        self._evaluate = evaluate
        self._settings = settings
        self._grid = grid_finest
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []
        self._asked: list[tuple[np.ndarray, np.ndarray]] = []

    def know(self, keys: np.ndarray, logits: np.ndarray) -> None:
        """Take in the logits (K,) float32 of points by their keys (K,) int64, each once; what is known stays."""
        known = self._recall(keys)[1]
        if not known.all():
            self._remember(keys[~known], logits[~known])

    def asked(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys (K,) int64 and logits (K,) float32 of the points that were asked for, unsorted."""
        nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))
        keys, logits = zip(nothing, *self._asked, strict=True)
        return np.concatenate(keys), np.concatenate(logits)

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        points = np.rint((positions - np.float64(self._settings.lattice_offset)) / self._settings.cell).astype(np.int64)
        on_border = ((points - self._grid.origin) % self._grid.edges == 0).any(axis=1)
        keys = pack_lattice(points[on_border])
        answers, known = self._recall(keys)
        ask = np.ones(len(positions), dtype=bool)
        ask[on_border] = ~known
        logits = np.empty(len(positions), dtype=np.float32)
        if ask.any():
            logits[ask] = self._evaluate(positions[ask])
        fresh = on_border & ask
        if fresh.any():
            self._asked.append((keys[~known], logits[fresh]))
            self._remember(*self._asked[-1])
        logits[on_border] = np.where(known, answers, logits[on_border])
        return logits

    def _recall(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(K,) float32 logits, and (K,) bool whether they are known."""
        logits, known = np.zeros(len(keys), dtype=np.float32), np.zeros(len(keys), dtype=bool)
        for run_keys, run_logits in self._runs:
            row = np.searchsorted(run_keys, keys).clip(max=len(run_keys) - 1)
            found = run_keys[row] == keys
            logits[found] = run_logits[row[found]]
            known |= found
        return logits, known

    def _remember(self, keys: np.ndarray, logits: np.ndarray) -> None:
        """keys: (K,) int64 that are not known yet, each once."""
        while self._runs and len(self._runs[-1][0]) <= 2 * len(keys):
            run_keys, run_logits = self._runs.pop()
            keys, logits = np.concatenate([run_keys, keys]), np.concatenate([run_logits, logits])
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], logits[order]))
