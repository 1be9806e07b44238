"""Boxes of equal size side by side, and the rows of an array sorted by the box that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

TileName = tuple[int, int, int]


@dataclass(frozen=True)
class TileGrid:
    """Tile (0, 0, 0) begins at `origin` and is `edges` long: whole units, of voxels or of any cells."""

    origin: tuple[int, int, int]
    edges: tuple[int, int, int]

    @classmethod
    def over(cls, low: np.ndarray, high: np.ndarray, largest_edge: int, step: int) -> TileGrid:
        """Tiles of about equal size over the units low (3,) to high (3,) inclusive, on multiples of `step`.

        No edge is longer than `largest_edge`, a multiple of the step.
        """
        if step < 1 or largest_edge < step or largest_edge % step:
            raise ValueError(f"tile: expected an edge that is a multiple of {step}, found {largest_edge}")
        begin = np.floor_divide(low, step).astype(np.int64) * step
        extent = np.floor_divide(high, step).astype(np.int64) * step + step - begin
        count = -(-extent // largest_edge)
        edges = -(-extent // (count * step)) * step
        return cls(_triple(begin), _triple(edges))

    def tiles_of(self, positions: np.ndarray) -> np.ndarray:
        """(N, 3) coordinates, whole or not -> (N, 3) int64 tiles that hold them."""
        return np.stack([self._along(axis, positions[:, axis]) for axis in range(3)], axis=1)

    def _along(self, axis: int, coordinates: np.ndarray) -> np.ndarray:
        return np.floor_divide(coordinates - self.origin[axis], self.edges[axis]).astype(np.int64)

    def scaled(self, factor: int) -> TileGrid:
        """The same tiles in units that are `factor` times as small."""
        return TileGrid(_triple(np.array(self.origin) * factor), _triple(np.array(self.edges) * factor))

    def box(self, tile: TileName) -> tuple[np.ndarray, np.ndarray]:
        """The first unit (3,) of a tile, and the one behind its last."""
        low = np.array(self.origin) + np.array(tile) * np.array(self.edges)
        return low, low + np.array(self.edges)


class TiledRows:
    """Rows of an array of positions (N, 3), in units of the grid, sorted by tile once."""

    def __init__(self, positions: np.ndarray, grid: TileGrid) -> None:
        self.grid = grid
        self._positions = positions
        tiles = [grid._along(axis, positions[:, axis]) for axis in range(3)]
        lows = [int(along.min(initial=0)) for along in tiles]
        spans = [int(along.max(initial=0)) - low + 1 for along, low in zip(tiles, lows, strict=True)]
        numbers = tiles[0] - lows[0]
        for axis in (1, 2):
            numbers = numbers * spans[axis] + (tiles[axis] - lows[axis])
        self._order = np.argsort(numbers, kind="stable")
        numbers = numbers[self._order]
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(starts, len(numbers))[1:].tolist()
        names = zip(*(along[self._order[starts]].tolist() for along in tiles), strict=True)
        self._ranges = dict(zip(names, zip(starts.tolist(), ends, strict=True), strict=True))

    def occupied(self) -> list[TileName]:
        """The tiles that hold positions, in order."""
        return sorted(self._ranges)

    def near(self, reach: int) -> list[TileName]:
        """The tiles that hold positions or come within `reach` units of one that does, in order."""
        rings = -(-reach // np.array(self.grid.edges))
        around = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in rings], indexing="ij"), axis=-1).reshape(-1, 3)
        occupied = np.array(self.occupied(), dtype=np.int64).reshape(-1, 3)
        return [_triple(tile) for tile in np.unique((occupied[:, None] + around).reshape(-1, 3), axis=0)]

    def around(self, tile: TileName, reach: int) -> np.ndarray:
        """(M,) int64 ascending rows of the positions in a tile and up to `reach` units around it."""
        low, high = self.grid.box(tile)
        low, high = low - reach, high + reach
        first, last = self.grid.tiles_of(np.stack([low, high - 1]))
        found = [self._within(name, low, high) for name in names_between(first, last) if name in self._ranges]
        return np.sort(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)

    def of(self, tile: TileName) -> np.ndarray:
        """(M,) int64 ascending rows of the positions in a tile."""
        begin, end = self._ranges.get(tile, (0, 0))
        return self._order[begin:end]

    def _within(self, tile: TileName, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        begin, end = self._ranges[tile]
        rows = self._order[begin:end]
        own_low, own_high = self.grid.box(tile)
        if (own_low >= low).all() and (own_high <= high).all():
            return rows
        positions = self._positions[rows]
        return rows[((positions >= low) & (positions < high)).all(axis=1)]


def names_between(first: np.ndarray, last: np.ndarray) -> Iterator[TileName]:
    """All tiles from `first` (3,) to `last` (3,) inclusive."""
    for x in range(first[0], last[0] + 1):
        for y in range(first[1], last[1] + 1):
            for z in range(first[2], last[2] + 1):
                yield int(x), int(y), int(z)


def _triple(values: np.ndarray) -> TileName:
    return int(values[0]), int(values[1]), int(values[2])
