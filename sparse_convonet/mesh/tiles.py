"""Stage mesh: extraction tile by tile: the same surface as extract_mesh finds, with the search memory of one tile.

The cells that a search looks at are the smallest set that holds the seeds and is closed under its two rules (halve
what crosses or holds points; grow across faces that cross), whatever the order.  So each tile is searched alone, the
cells beyond its border that the surface leads to go to the tiles they lie in, and a tile that receives one it has not
looked at is taken up again, until none is left.  Lattice points on borders are asked once, for all tiles.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.lattice import EDGE, LatticeLevel, cells_in, pack_lattice, unpack_lattice
from sparse_convonet.mesh.marching_cubes import CrossingEdges, marching_cubes
from sparse_convonet.mesh.mise import (
    Evaluate,
    ExtractionSettings,
    Search,
    SearchSpace,
    cells_of_points,
    halvings,
)
from sparse_convonet.tile_grid import TiledRows, TileGrid, TileName

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]  # tiles done, tiles known of


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


@dataclass(frozen=True)
class TiledMesh:
    """The meshes of tiles, by name, and the grid of tiles in finest cells."""

    grid: TileGrid
    tiles: dict[TileName, TileMesh]


def extract_tiles(
    evaluate: Evaluate,
    seed_cells: np.ndarray,  # (M, 3) int, as for extract_mesh
    seed_stride_cells: int,
    points_field: np.ndarray,  # (N, 3)
    settings: ExtractionSettings,
    largest_tile: int,  # edge of the tiles in seed cells, a multiple of lattice.EDGE
    progress: Progress | None = None,
) -> TiledMesh:
    """The surface that extract_mesh finds, in tiles; arguments and errors as there."""
    levels = halvings(seed_stride_cells)
    if len(seed_cells) == 0:
        return TiledMesh(TileGrid((0, 0, 0), (EDGE, EDGE, EDGE)), {})
    space = SearchSpace.around(seed_cells, levels)
    low, high = seed_cells.min(axis=0) - 1, seed_cells.max(axis=0) + 1
    search = _TiledSearch(evaluate, space, settings, TileGrid.over(low, high, largest_tile, EDGE))
    search.run(cells_of_points(points_field, settings), progress)
    return TiledMesh(search.grid_finest, search.meshes())


class _TiledSearch:
    """The searches of all tiles; between visits a tile keeps only what it knows, packed."""

    def __init__(self, evaluate: Evaluate, space: SearchSpace, settings: ExtractionSettings, grid: TileGrid) -> None:
        self.grid_finest = grid.scaled(1 << space.levels)
        self.visits = 0
        self._evaluate = _BorderMemory(evaluate, settings, self.grid_finest)
        self._space = space
        self._settings = settings
        self._grid = grid
        self._seen: dict[TileName, _Seen] = {}
        self._arrived: dict[TileName, list[list[np.ndarray]]] = {}

    def run(self, point_cells: np.ndarray, progress: Progress | None) -> None:
        """Visit tiles until no surface leaves one for cells that were not looked at."""
        self._space.warn_of_points_beyond(point_cells)
        seeds, points = TiledRows(self._space.seeds, self._grid), TiledRows(point_cells, self.grid_finest)
        waiting = deque(seeds.occupied())
        queued = set(waiting)
        while waiting:
            tile = waiting.popleft()
            queued.remove(tile)
            search = self._search(tile)
            starts = [
                np.concatenate(cells) if cells else _NO_CELLS for cells in self._arrived.pop(tile, self._nothing())
            ]
            search.refine(self._space.seeds[seeds.of(tile)], point_cells[points.of(tile)], starts)
            self._seen[tile] = _Seen.of(search)
            self.visits += 1
            for name in self._send(search):
                if name not in queued:
                    queued.add(name)
                    waiting.append(name)
            if progress is not None:
                progress(len(self._seen) - len(queued & self._seen.keys()), len(self._seen.keys() | queued))
        logger.info("searched %d tiles in %d visits", len(self._seen), self.visits)

    def meshes(self) -> dict[TileName, TileMesh]:
        """The mesh of every tile that has faces; what the searches know is used up."""
        found = {}
        for tile in sorted(self._seen):
            search = self._search(tile)
            del self._seen[tile]
            mesh = _mesh_of(search, self._settings)
            if len(mesh.faces):
                found[tile] = mesh
        return found

    def _nothing(self) -> list[list[np.ndarray]]:
        return [[] for _ in range(self._space.levels + 1)]

    def _search(self, tile: TileName) -> Search:
        search = Search(self._evaluate, self._space, self._settings, box=np.stack(self._grid.box(tile)))
        if tile in self._seen:
            self._seen[tile].restore(search)
        return search

    def _send(self, search: Search) -> list[TileName]:
        """Hand the cells that a search left for to their tiles; those that have not looked at all of theirs."""
        called: dict[TileName, None] = {}
        for number, arrays in enumerate(search.leaving):
            if not arrays:
                continue
            cells = np.concatenate(arrays)
            grid = self._grid.scaled(1 << number)
            rows = TiledRows(cells, grid)
            for name in rows.occupied():
                new = cells[rows.of(name)]
                if name in self._seen:
                    new = new[~np.isin(pack_lattice(new), self._seen[name].border_keys[number])]
                if len(new):
                    self._arrived.setdefault(name, self._nothing())[number].append(new)
                    called[name] = None
        return list(called)


_NO_CELLS = np.zeros((0, 3), dtype=np.int64)
_KEPT_MASKS = ("known", "inside", "cells", "crossing")


@dataclass(frozen=True)
class _SeenLevel:
    """One level of a search: keys (B,), the masks that _KEPT_MASKS names (4, B, 8, 8), logits (K,) of known points."""

    keys: np.ndarray
    masks: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class _Seen:
    """What a search knows.  border_keys: for each level, sorted keys of the cells looked at along the tile's border."""

    levels: list[_SeenLevel]
    border_keys: list[np.ndarray]

    @classmethod
    def of(cls, search: Search) -> _Seen:
        levels = []
        for level in search.lattice:
            count = len(level.index)
            masks = np.stack([getattr(level, name)[:count] for name in _KEPT_MASKS])
            known = _bits(level.known[:count])
            levels.append(_SeenLevel(level.index.keys.copy(), masks, level.logits[:count][known]))
        return cls(levels, [_border_keys(search, level) for level in search.lattice])

    def restore(self, search: Search) -> None:
        """Let a new search know the same."""
        for level, seen in zip(search.lattice, self.levels, strict=True):
            level.add(seen.keys)
            count = len(seen.keys)
            for name, mask in zip(_KEPT_MASKS, seen.masks, strict=True):
                getattr(level, name)[:count] = mask
            level.logits[:count][_bits(level.known[:count])] = seen.logits


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


def _mesh_of(search: Search, settings: ExtractionSettings) -> TileMesh:
    level = search.lattice[-1]
    own = search.own_blocks(level, np.arange(len(level.index)))
    crossing = CrossingEdges.of(level, own)
    margin, offset = settings.interpolation_margin, settings.lattice_offset
    vertices, faces = marching_cubes(level, settings.threshold, margin, settings.cell, offset, crossing)
    keys = crossing.vertex_keys()
    low, high = (EDGE * end for end in search.own_range(level))
    points = unpack_lattice(keys >> 2)
    return TileMesh(vertices, faces.astype(np.int32), keys, ((points >= low) & (points < high)).all(axis=1))


class _BorderMemory:
    """An `evaluate` that asks for every lattice point on the borders between tiles once.

    So all tiles at a point have the same logit, also where `evaluate` rounds differently from call to call.  What is
    known is kept in sorted runs, each more than twice as long as the one after it.
    """

    def __init__(self, evaluate: Evaluate, settings: ExtractionSettings, grid_finest: TileGrid) -> None:
        self._evaluate = evaluate
        self._settings = settings
        self._grid = grid_finest
        self._runs: list[tuple[np.ndarray, np.ndarray]] = []

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
            self._remember(keys[~known], logits[fresh])
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
