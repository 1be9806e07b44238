"""Stage extract: the search and the surface of one tile; all tiles together have the surface that extract_mesh finds.

The cells that a search looks at are the smallest set that holds the seeds and is closed under its two rules (halve
what crosses or holds points; grow across faces that cross), whatever the order.  So each tile is searched alone, the
cells beyond its border that the surface leads to go to the tiles they lie in, and a tile that receives one it has not
looked at is taken up again, until none is left.  Lattice points on borders are asked once, for all tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.lattice import EDGE, LatticeLevel, cells_in, pack_lattice, unpack_lattice
from sparse_convonet.extract.marching_cubes import CrossingEdges, marching_cubes
from sparse_convonet.extract.mise import Evaluate, ExtractionSettings, Search, SearchSpace
from sparse_convonet.tile_grid import TiledRows, TileGrid, TileName


@dataclass(frozen=True)
class TileMesh:
    """The faces of one tile's cells, and all vertices these use.

    vertices: (V, 3) float64, field units.  faces: (F, 3) int32.  keys: (V,) int64 ascending, 4 * the key of the lower
    lattice point of a vertex' edge + the axis of the edge.  own: (V,) bool, false where the point is another tile's.
    """

    vertices: np.ndarray
    faces: np.ndarray
    keys: np.ndarray
    own: np.ndarray


NO_CELLS = np.zeros((0, 3), dtype=np.int64)
NO_KEYS = np.zeros(0, dtype=np.int64)
_KEPT_MASKS = ("known", "inside", "cells", "crossing")


def leaving_by_tile(cells: np.ndarray, grid: TileGrid) -> dict[TileName, np.ndarray]:
    """(M, 3) cells, in units of the grid, by the tile that holds them."""
    rows = TiledRows(cells, grid)
    return {name: cells[rows.of(name)] for name in rows.occupied()}


def not_among(cells: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Those of (M, 3) cells whose keys are not among the given (K,)."""
    return cells[~np.isin(pack_lattice(cells), keys)]


@dataclass(frozen=True)
class LevelState:
    """One level of a search: keys (B,), the masks that _KEPT_MASKS names (4, B, 8, 8), logits (K,) of known points."""

    keys: np.ndarray
    masks: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class TileState:
    """What the search of a tile knows, by level, coarsest first.

    border_keys: (K,) int64 sorted keys of the cells looked at along the tile's border.  leaving: (M, 3) int64 cells
    beyond it that the surface leads to, in the order in which it was found to.
    """

    levels: list[LevelState]
    border_keys: list[np.ndarray]
    leaving: list[np.ndarray]

    @classmethod
    def of(cls, search: Search, former: TileState | None) -> TileState:
        levels, leaving = [], []
        for number, level in enumerate(search.lattice):
            count = len(level.index)
            masks = np.stack([getattr(level, name)[:count] for name in _KEPT_MASKS])
            known = _bits(level.known[:count])
            levels.append(LevelState(level.index.keys.copy(), masks, level.logits[:count][known]))
            before = NO_CELLS if former is None else former.leaving[number]
            leaving.append(np.concatenate([before, *search.leaving[number]]))
        return cls(levels, [_border_keys(search, level) for level in search.lattice], leaving)

    def restore(self, search: Search) -> None:
        """Let a new search know the same."""
        for level, state in zip(search.lattice, self.levels, strict=True):
            level.add(state.keys)
            count = len(state.keys)
            for name, mask in zip(_KEPT_MASKS, state.masks, strict=True):
                getattr(level, name)[:count] = mask
            level.logits[:count][_bits(level.known[:count])] = state.logits


def search_box(
    evaluate: Evaluate,
    space: SearchSpace,
    settings: ExtractionSettings,
    box: tuple[np.ndarray, np.ndarray],  # first seed cell (3,) of the tile, and the one behind its last
    seeds: np.ndarray,  # (S, 3) seed cells in the tile
    point_cells: np.ndarray,  # (N, 3) int32 finest cells in the tile that hold input points
    starts: list[np.ndarray],  # (M, 3) cells in the tile that the surface leads to from others, by level
    state: TileState | None,  # of the tile's former search
) -> TileState:
    """Look for the surface in one tile.  space: at least what lies up to two seed cells around the tile."""
    search = Search(evaluate, space, settings, box=np.stack(box))
    if state is not None:
        state.restore(search)
    search.refine(seeds, point_cells, starts)
    return TileState.of(search, state)


def mesh_of_tile(
    state: TileState, space: SearchSpace, settings: ExtractionSettings, box: tuple[np.ndarray, np.ndarray]
) -> TileMesh:
    """The surface in the cells of a tile whose search is finished; arguments as of search_box."""

    def ask_nothing(positions: np.ndarray) -> np.ndarray:
        raise AssertionError("a finished search knows all points")

    search = Search(ask_nothing, space, settings, box=np.stack(box))
    state.restore(search)
    level = search.lattice[-1]
    own = search.own_blocks(level, np.arange(len(level.index)))
    crossing = CrossingEdges.of(level, own)
    margin, offset = settings.interpolation_margin, settings.lattice_offset
    vertices, faces = marching_cubes(level, settings.threshold, margin, settings.cell, offset, crossing)
    keys = crossing.vertex_keys()
    low, high = (EDGE * end for end in search.own_range(level))
    points = unpack_lattice(keys >> 2)
    return TileMesh(vertices, faces.astype(np.int32), keys, ((points >= low) & (points < high)).all(axis=1))


def _bits(rows: np.ndarray) -> np.ndarray:
    """(B, 8, 8) uint8 masks -> (B, 8, 8, 8) bool."""
    return np.unpackbits(rows[..., None], axis=3, bitorder="little").view(bool)


def _border_keys(search: Search, level: LatticeLevel) -> np.ndarray:
    """(M,) int64 sorted keys of the cells looked at that lie along the border of the search's box."""
    low, high = search.own_range(level)
    places = unpack_lattice(level.index.keys)
    own = ((places >= low) & (places < high)).all(axis=1)
    outer = np.flatnonzero(own & ((places == low) | (places == high - 1)).any(axis=1))
    cells = cells_in(level.index.keys[outer], level.cells[outer])
    along = ((cells == EDGE * low) | (cells == EDGE * high - 1)).any(axis=1)
    return np.sort(pack_lattice(cells[along]))
