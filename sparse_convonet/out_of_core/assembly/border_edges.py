"""Stage out_of_core: whether a mesh in tiles is closed where they meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse_convonet.extract.lattice import unpack_lattice
from sparse_convonet.tile_grid import TileGrid, TileName


def edges_along_border(faces: np.ndarray, on_border: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(E, 2) int64: keys at the start and the end of each side of a face (F, 3) between vertices on the border (V,)."""
    start, end = faces, np.roll(faces, -1, axis=1)
    along = on_border[start] & on_border[end]
    return keys[np.stack([start[along], end[along]], axis=1)]


def check_border_edges(edges: Sequence[np.ndarray], grid: TileGrid, owner: TileName) -> tuple[int, bool]:
    """How many different edges begin, at their lower key, at vertices of a tile, and whether each has two faces.

    edges: (E, 2) each, edges_along_border of all tiles that use vertices of that one; as mesh.topology.check_edges.
    """
    sides = np.concatenate([np.zeros((0, 2), dtype=np.int64), *edges])
    low, high = sides.min(axis=1), sides.max(axis=1)
    theirs = (grid.tiles_of(unpack_lattice(low >> 2)) == owner).all(axis=1)
    low, high, upward = low[theirs], high[theirs], sides[theirs, 0] == low[theirs]
    order = np.lexsort((high, low))
    low, high, upward = low[order], high[order], upward[order]
    starts = np.flatnonzero(np.diff(low, prepend=-1).astype(bool) | np.diff(high, prepend=-1).astype(bool))
    if len(starts) == 0:
        return 0, True
    faces, along = np.add.reduceat(np.ones(len(low), dtype=np.int64), starts), np.add.reduceat(upward * 1, starts)
    return len(starts), bool(((faces == 2) & (along == 1)).all())
