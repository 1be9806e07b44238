"""Stage extract: sparse sets of lattice points and cells, in blocks of 8 x 8 x 8.

A cell is named by its lowest corner, so points and cells have the same coordinates.  Within a block a set is a mask
of 512 bits, so that corners, neighbours and crossing cells of a whole row of cells come from a few shifts.  Nothing
here is a grid over the whole space: blocks exist where something is, and a hash table finds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.coordinates import key_shift, pack_keys, unpack_keys
from sparse_convonet.extract.lattice_numba import (
    ABSENT,
    clip_blocks,
    halve_cells,
    inherit_points,
    insert_keys,
    link_blocks,
    mark_cells,
    pad_rows,
)
from sparse_convonet.runtime.threads import run_ranges

EDGE = 8  # points or cells along each edge of a block
_SMALLEST_TABLE = 64
_PARTS = 8  # of the blocks or points that are worked on in parallel
_FEW = 1 << 10  # blocks or points that are not worth a second thread


def parts_of(count: int) -> int:
    """Into how many parts to cut work on `count` blocks."""
    return 1 if count < _FEW else _PARTS


def pack_lattice(points: np.ndarray) -> np.ndarray:
    """(N, 3) integer coordinates -> (N,) int64 keys (coordinates.pack_keys, batch 0), sorted by x, then y, then z."""
    batched = np.zeros((len(points), 4), dtype=np.int64)
    batched[:, 1:] = points
    return pack_keys(torch.from_numpy(batched)).numpy()


def unpack_lattice(keys: np.ndarray) -> np.ndarray:
    """(N,) int64 keys -> (N, 3) int64 coordinates."""
    return unpack_keys(torch.from_numpy(keys)).numpy()[:, 1:]


def axis_shift(axis: int, cells: int) -> int:
    """What to add to a key to move `cells` cells along an axis (0 x, 1 y, 2 z)."""
    step = [0, 0, 0]
    step[axis] = cells
    return key_shift(*step)


class BlockIndex:
    """Numbers blocks in the order of their arrival."""

    def __init__(self) -> None:
        self._keys = np.zeros(0, dtype=np.int64)  # with room for more
        self._count = 0
        self.table_keys = np.full(_SMALLEST_TABLE, ABSENT, dtype=np.int64)  # the hash table of lattice_numba
        self.table_numbers = np.zeros(_SMALLEST_TABLE, dtype=np.int32)

    def __len__(self) -> int:
        return self._count

    @property
    def keys(self) -> np.ndarray:
        """(B,) int64: the key of each block, that is pack_lattice of its coordinates."""
        return self._keys[: self._count]

    def add(self, keys: np.ndarray) -> None:
        """Number blocks, (K,) int64 keys that occur once and are not present yet."""
        first = self._count
        self._keys = with_room(self._keys, first, first + len(keys))
        self._keys[first : first + len(keys)] = keys
        self._count = first + len(keys)
        size = len(self.table_keys)
        while size < 2 * self._count:
            size *= 2
        if size > len(self.table_keys):
            self.table_keys = np.full(size, ABSENT, dtype=np.int64)
            self.table_numbers = np.zeros(size, dtype=np.int32)
            first, keys = 0, self.keys
        insert_keys(self.table_keys, self.table_numbers, keys, first)

    def mark(self, cells: np.ndarray, shift: int = 0) -> tuple[np.ndarray, bool]:
        """Mask (B, 8, 8) uint8 of the cells that hold the given ones, and whether there was a block for each of them.

        cells: (N, 3) int32.  shift: the marked cells are 2**shift times as large.
        """
        parts = parts_of(len(cells))
        rows = np.zeros((parts, len(self), EDGE, EDGE), dtype=np.uint8)
        complete = np.ones(parts, dtype=bool)

        def task(part: int, begin: int, end: int) -> None:
            complete[part] = mark_cells(cells, shift, self.table_keys, self.table_numbers, rows[part], begin, end)

        run_ranges(task, len(cells), parts)
        return np.bitwise_or.reduce(rows), bool(complete.all())


def with_room(array: np.ndarray, used: int, wanted: int) -> np.ndarray:
    """The array, or a larger one with the same first `used` entries, zero beyond, and room for `wanted` and more."""
    if wanted <= len(array):
        return array
    larger = np.zeros((max(3 * wanted, 16), *array.shape[1:]), dtype=array.dtype)  # untouched pages take no memory
    larger[:used] = array[:used]
    return larger


@dataclass(frozen=True)
class Domain:
    """The cells beyond which nothing is asked.  rows: (D, 8, 8) uint8 mask over the blocks of the index."""

    index: BlockIndex
    rows: np.ndarray

    @classmethod
    def of_cells(cls, cells: np.ndarray) -> Domain:
        """From (M, 3) integer cells."""
        index = BlockIndex()
        index.add(np.unique(pack_lattice(cells >> 3)))
        return cls(index, index.mark(cells.astype(np.int32))[0])


class LatticeLevel:
    """What is known at one level of the octree: the logits at lattice points, and the cells looked at.

    The level's cells are 2**shift finest cells large; those of the domain are 2**(domain_shift - shift) of these
    large.  Arrays have a row for each block and may have more.  Masks, (B, 8, 8) uint8: `known` and `inside` points;
    `cells` that have been looked at, `crossing` cells among them whose corners disagree, `within` the domain;
    `interior` points, which touch no cell beyond it; `needed`, `fresh` and `wanted` are for the search (mise.py).
    logits: (B, 8, 8, 8) float32, valid at known points.  neighbours: (B, 11) int32 numbers of blocks or -1: column
    c = 0 to 7 is the block moved by bit 0 of c along x, bit 1 along y, bit 2 along z; 8 + a is the one below in axis a.
    """

    def __init__(self, shift: int, domain: Domain, domain_shift: int, coarser: LatticeLevel | None = None) -> None:
        self.shift = shift
        self.index = BlockIndex()
        self._domain = domain
        self._domain_shift = domain_shift
        self._coarser = coarser
        self.known, self.inside, self.cells, self.crossing, self.within, self.interior = _masks(6)
        self.needed, self.fresh, self.wanted = _masks(3)
        self.logits = np.zeros((0, EDGE, EDGE, EDGE), dtype=np.float32)
        self.neighbours = np.zeros((0, 11), dtype=np.int32)
        self.queued = np.zeros(0, dtype=bool)

    def add(self, keys: np.ndarray) -> None:
        """Make new blocks, whose (K,) keys occur once and are not present yet; what coarser levels know is copied."""
        first, end = len(self.index), len(self.index) + len(keys)
        self.index.add(keys)
        for name in _ARRAYS:
            setattr(self, name, with_room(getattr(self, name), first, end))
        index, domain = self.index, self._domain.index

        def task(part: int, begin: int, last: int) -> None:
            clip_blocks(
                index.keys,
                self._domain_shift - self.shift,
                domain.table_keys,
                domain.table_numbers,
                self._domain.rows,
                self.within,
                self.interior,
                np.empty((EDGE + 1, EDGE + 1, EDGE + 1), dtype=bool),
                first + begin,
                first + last,
            )

        run_ranges(task, len(keys), parts_of(len(keys)))
        link_blocks(index.keys, index.table_keys, index.table_numbers, self.neighbours, first, end)
        # The nearest level that has a block there also has all that levels above it know.
        orphans, coarse = np.arange(first, end), self._coarser
        while coarse is not None and len(orphans):
            count = inherit_points(
                index.keys,
                orphans,
                coarse.shift - self.shift,
                coarse.index.table_keys,
                coarse.index.table_numbers,
                coarse.known,
                coarse.inside,
                coarse.logits,
                self.known,
                self.inside,
                self.logits,
            )
            orphans, coarse = orphans[:count], coarse._coarser

    def admit(self, cells: np.ndarray) -> np.ndarray:
        """Mask (B, 8, 8) of (M, 3) integer cells, over all blocks; those that are absent are made."""
        keys = np.unique(pack_lattice(cells >> 3))
        self.add(keys[~np.isin(keys, self.index.keys)])
        return self.index.mark(cells.astype(np.int32))[0]

    def place(self, keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mask (B, 8, 8), over all blocks, from masks (K, 8, 8) of the blocks named; those that are absent are made."""
        present = self.index.keys.copy()
        self.add(keys[~np.isin(keys, present)])
        if len(present) == 0:
            return rows  # the blocks stand in the order of their keys
        order = np.argsort(self.index.keys)
        marked = np.zeros((len(order), EDGE, EDGE), dtype=np.uint8)
        marked[order[np.searchsorted(self.index.keys, keys, sorter=order)]] = rows
        return marked

    def halves(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The eight halves (along each edge) of cells, (B, 8, 8) mask: block keys (K,) and masks (K, 8, 8) one level on."""
        fine_keys = np.empty(8 * len(self.index), dtype=np.int64)
        fine_rows = np.empty((8 * len(self.index) + 1, EDGE, EDGE), dtype=np.uint8)  # one more, for a block without any
        count = halve_cells(self.index.keys, rows, fine_keys, fine_rows)
        return fine_keys[:count], fine_rows[:count]


def cells_in(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(M, 3) int64: the cells of masks (B, 8, 8) of blocks (B,)."""
    block, x, y, z = np.nonzero(np.unpackbits(rows[..., None], axis=3, bitorder="little"))
    return EDGE * unpack_lattice(keys)[block] + np.stack([x, y, z], axis=1)


def padded_rows(level: LatticeLevel, blocks: np.ndarray) -> np.ndarray:
    """(M, 9, 9) uint16 rows of nine bits: which corners of the cells of (M,) blocks are inside."""
    padded = np.empty((len(blocks), EDGE + 1, EDGE + 1), dtype=np.uint16)
    run_ranges(
        lambda part, begin, end: pad_rows(blocks, level.neighbours, level.inside, padded, begin, end),
        len(blocks),
        parts_of(len(blocks)),
    )
    return padded


def _masks(count: int) -> tuple[np.ndarray, ...]:
    return tuple(np.zeros((0, EDGE, EDGE), dtype=np.uint8) for _ in range(count))


_MASKS = ("known", "inside", "cells", "crossing", "within", "interior", "needed", "fresh", "wanted")
_ARRAYS = (*_MASKS, "logits", "neighbours", "queued")
