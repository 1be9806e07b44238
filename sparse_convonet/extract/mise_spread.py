"""Steps of the search in mise.py that reach into neighbouring blocks: corners to ask, cells the surface leads to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse_convonet.extract.lattice import LatticeLevel, padded_rows
from sparse_convonet.extract.mise_numba import grow, need_corners


def corners_needed(level: LatticeLevel, active: np.ndarray) -> np.ndarray:
    """Mark the unknown corners of the fresh cells of blocks as needed; returns the blocks that hold some."""
    scratch = np.empty((9, 9), dtype=np.int64)

    def mark(absent: np.ndarray, marked: np.ndarray) -> tuple[int, int]:
        masks = (level.fresh, level.known, level.needed)
        return need_corners(active, level.index.keys, level.neighbours, *masks, level.queued, scratch, absent, marked)

    return _spread(level, mark, len(active))


def cells_reached(level: LatticeLevel, active: np.ndarray) -> np.ndarray:
    """Mark crossing cells, and as wanted the cells the surface leaves the fresh ones for; returns the latter's blocks."""
    padded, scratch = padded_rows(level, active), np.empty((10, 10), dtype=np.int64)

    def mark(absent: np.ndarray, marked: np.ndarray) -> tuple[int, int]:
        masks = (level.within, level.cells, level.fresh, level.crossing, level.wanted)
        return grow(active, padded, level.index.keys, level.neighbours, *masks, level.queued, scratch, absent, marked)

    return _spread(level, mark, len(active))


def _spread(
    level: LatticeLevel, mark: Callable[[np.ndarray, np.ndarray], tuple[int, int]], active_count: int
) -> np.ndarray:
    """Mark points or cells in blocks and their neighbours, and make the neighbours that are absent; the marked blocks."""
    found = []
    absent, marked = np.empty(8 * active_count, dtype=np.int64), np.empty(8 * active_count, dtype=np.int64)
    while True:
        absent_count, marked_count = mark(absent, marked)
        found.append(marked[:marked_count].copy())
        if absent_count == 0:
            break
        level.add(np.unique(absent[:absent_count]))
    blocks = np.concatenate(found)
    level.queued[blocks] = False
    return blocks
