"""What the points of a scan carry besides places and colours, cell by cell, so that a surface can take it over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from sparse_convonet.clouds.keyed_sums import keyed_sums
from sparse_convonet.coordinates import AXIS_LIMIT, pack_cells

# Parts of names of whole numbers that are measured and no names of kinds.
_MEASURED = (
    "intensity",
    "reflect",
    "amplitude",
    "range",
    "deviation",
    "angle",
    "time",
    "distance",
    "curvature",
    "height",
)
_EXACT = 1 << 24  # whole numbers up to here are exact in single precision
_AROUND = sorted((step for step in product((-1, 0, 1), repeat=3) if any(step)), key=lambda step: np.abs(step).sum())


@dataclass(frozen=True)
class AttributeCells:
    """Means of what is measured, and the most frequent of what is a kind, over the points of cells.

    low: (3,) the corner of cell (0, 0, 0).  cell: its edge.  keys: (C,) int64, ascending, of coordinates.pack_cells.
    values: (C,) each: where it was measured float32, or float64 of numbers too large for that; uint8 or int32 where it is a
    kind, or float64 of kinds too large for that.
    """

    low: np.ndarray
    cell: float
    keys: np.ndarray
    values: Mapping[str, np.ndarray]

    @property
    def kinds(self) -> dict[str, np.dtype]:
        """The type of each attribute."""
        return {name: each.dtype for name, each in self.values.items()}

    def at(self, places: np.ndarray) -> dict[str, np.ndarray]:
        """(n, 3) places -> (n,) each: of the cell that each lies in, else of the nearest that touches it and has points;
        where there is none NaN, and 0 for kinds."""
        within = (places - self.low) / self.cell
        cells = np.floor(within).astype(np.int64)
        rows = self._rows(cells)
        missing = np.flatnonzero(rows < 0)
        nearest = np.full(len(missing), np.inf)
        for step in _AROUND if len(missing) else ():
            beside = cells[missing] + step
            distance = ((beside + 0.5 - within[missing]) ** 2).sum(axis=1)
            found = self._rows(beside)
            better = (found >= 0) & (distance < nearest)
            rows[missing[better]], nearest[better] = found[better], distance[better]
        known = rows >= 0
        result = {}
        for name, each in self.values.items():
            result[name] = np.full(len(places), np.nan if each.dtype.kind == "f" else 0, dtype=each.dtype)
            result[name][known] = each[rows[known]]
        return result

    def _rows(self, cells: np.ndarray) -> np.ndarray:
        """(n, 3) -> (n,) int64, -1 where a cell has no points."""
        inside = (np.abs(cells) < AXIS_LIMIT).all(axis=1)
        keys = pack_cells(np.where(inside[:, None], cells, 0))
        rows = np.searchsorted(self.keys, keys).clip(max=max(0, len(self.keys) - 1))
        is_there = inside & (self.keys[rows] == keys) if len(self.keys) else np.zeros(len(cells), dtype=bool)
        return np.where(is_there, rows, -1)


def is_kind(name: str, values: np.ndarray) -> bool:
    """Whether numbers are names of kinds, of which no mean can be taken, such as classes."""
    return values.dtype.kind in "iub" and not any(part in name.lower() for part in _MEASURED)


def attribute_cells(
    parts: Iterable[tuple[np.ndarray, Mapping[str, np.ndarray]]], names: Iterable[str], low: np.ndarray, cell: float
) -> AttributeCells:
    """parts: (n, 3) points, and numbers (n,) of each by name.  low: (3,) where cells begin.  cell: their edge, in the units
    of the points.  What is not finite, and points beyond the range of cells, are left out."""
    tables = {name: _Table() for name in names}
    for points, numbers in parts:
        with np.errstate(invalid="ignore"):
            cells = np.floor((points - low) / cell)
            usable = np.flatnonzero((np.abs(cells) < AXIS_LIMIT).all(axis=1))
        keys = pack_cells(cells[usable].astype(np.int64))
        for name, table in tables.items():
            table.add(keys, np.asarray(numbers[name])[usable], is_kind(name, np.asarray(numbers[name])))
    keys = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(table.keys for table in tables.values())]))
    return AttributeCells(low, cell, keys, {name: table.over(keys) for name, table in tables.items()})


@dataclass
class _Table:
    """Of one attribute: by cell, and of kinds by cell and kind, how many points there are, and the sum of their numbers.

    of_kinds: all of the numbers so far are kinds; where files differ, they count as measured.
    """

    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kinds: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sums: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))  # number of points, sum
    of_kinds: bool = True
    largest: float = 0.0

    def add(self, keys: np.ndarray, numbers: np.ndarray, of_kinds: bool) -> None:
        finite = np.isfinite(numbers)
        keys, numbers = keys[finite], numbers[finite]
        self.of_kinds = self.of_kinds and of_kinds
        self.largest = max(self.largest, float(np.abs(numbers.astype(np.float64)).max(initial=0.0)))
        kinds = numbers.astype(np.int64) if self.of_kinds else np.zeros(len(keys), dtype=np.int64)
        before = self.kinds if self.of_kinds else np.zeros_like(self.kinds)
        sums = np.stack([np.ones(len(keys)), numbers.astype(np.float64)], axis=1)
        keys, kinds = np.concatenate([self.keys, keys]), np.concatenate([before, kinds])
        sums = np.concatenate([self.sums, sums])
        self.keys, self.kinds, self.sums = keyed_sums(keys, kinds, sums)

    def over(self, keys: np.ndarray) -> np.ndarray:
        """(C,) for cells, ascending, of which this has some: the mean, or the most frequent kind, of equals the least."""
        if not self.of_kinds:
            found = np.full(len(keys), np.nan, dtype=np.float32 if self.largest <= _EXACT else np.float64)
            found[np.searchsorted(keys, self.keys)] = self.sums[:, 1] / self.sums[:, 0]
            return found
        order = np.lexsort([self.kinds, -self.sums[:, 0], self.keys])
        ranked = self.keys[order]
        first = order[np.flatnonzero(np.r_[True, np.diff(ranked) != 0])] if len(order) else order
        kinds: np.ndarray = np.zeros(len(keys), dtype=_type_for(self.kinds))
        kinds[np.searchsorted(keys, self.keys[first])] = self.kinds[first]
        return kinds


def _type_for(kinds: np.ndarray) -> type:
    """The smallest type of PLY files that holds kinds (K,)."""
    low, high = (int(kinds.min()), int(kinds.max())) if len(kinds) else (0, 0)
    if low >= 0 and high <= np.iinfo(np.uint8).max:
        return np.uint8
    limits = np.iinfo(np.int32)
    return np.int32 if limits.min <= low and high <= limits.max else np.float64
