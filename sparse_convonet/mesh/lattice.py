"""Stage mesh: sets of lattice points and cells as sorted arrays of packed keys.

A lattice point (i, j, k) is one int64 key (coordinates.pack_keys, batch 0), so moving by whole cells is
adding a constant, and a cell is named by the key of its lowest corner.  Nothing here is a dense grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from sparse_convonet.coordinates import AXIS_BITS, key_shift, pack_keys, unpack_keys
from sparse_convonet.engine.threads import run_ranges
from sparse_convonet.mesh import lattice_numba

_ROWS_PER_PART = 1 << 16  # of sweeps that threads share

# Corner number c of a cell: bit 0 is x, bit 1 is y, bit 2 is z.
CORNERS = np.array([[c & 1, (c >> 1) & 1, (c >> 2) & 1] for c in range(8)], dtype=np.int64)  # (8, 3)


def pack_lattice(points: np.ndarray) -> np.ndarray:
    """(N, 3) integer lattice points -> (N,) int64 keys, in the order of the points."""
    batched = np.zeros((len(points), 4), dtype=np.int64)
    batched[:, 1:] = points
    return pack_keys(torch.from_numpy(batched)).numpy()


def unpack_lattice(keys: np.ndarray) -> np.ndarray:
    """(N,) int64 keys -> (N, 3) int64 lattice points."""
    return unpack_keys(torch.from_numpy(keys)).numpy()[:, 1:]


def axis_shift(axis: int, cells: int) -> int:
    """What to add to a key to move `cells` cells along an axis (0 x, 1 y, 2 z)."""
    step = [0, 0, 0]
    step[axis] = cells
    return key_shift(*step)


def low_bits(bits: int, axes: Sequence[int] = (0, 1, 2)) -> int:
    """Mask of the lowest `bits` bits of the given axes within a key."""
    return sum(((1 << bits) - 1) << (AXIS_BITS * (2 - axis)) for axis in axes)


def coarse_keys(keys: np.ndarray, bits: int) -> np.ndarray:
    """Keys of the cells of edge 2**bits that hold the given finest cells (floor, also below zero)."""
    return keys & ~low_bits(bits)


def unique_keys(keys: np.ndarray) -> np.ndarray:
    """(N,) int64 keys in any order -> sorted, each once."""
    return _without_repeats(np.sort(keys))


def sorted_unique(runs: Sequence[np.ndarray]) -> np.ndarray:
    """The union of sorted key arrays, sorted, in linear time."""
    union = runs[0] if runs else np.zeros(0, dtype=np.int64)
    for run in runs[1:]:
        merged = np.empty(len(union) + len(run), dtype=np.int64)
        union = merged[: lattice_numba.merge(union, run, merged)]
    return _without_repeats(union) if len(runs) == 1 else union


def _without_repeats(keys: np.ndarray) -> np.ndarray:
    if len(keys) < 2:
        return keys
    first = np.empty(len(keys), dtype=bool)
    first[0] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return keys[first]


def lower_bounds(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N,) int64: first place in a sorted key array that is not below each key, as np.searchsorted."""
    places = np.empty(len(keys), dtype=np.int64)
    _sweep(lattice_numba.lower_bounds, len(keys), np.ascontiguousarray(sorted_keys), np.ascontiguousarray(keys), places)
    return places


def contains(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N,) bool: which keys occur in a sorted key array."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys), dtype=bool)
    place = lower_bounds(sorted_keys, keys)
    np.minimum(place, len(sorted_keys) - 1, out=place)
    return sorted_keys[place] == keys


def _sweep(kernel: Callable[..., None], count: int, *arguments: np.ndarray) -> None:
    run_ranges(lambda part, begin, end: kernel(*arguments, begin, end), count, 1 + count // _ROWS_PER_PART)


def cell_corners(cells: np.ndarray, stride: int) -> np.ndarray:
    """Sorted unique keys of all corners of the given (sorted) cells of edge `stride`."""
    corners = cells
    for axis in (2, 1, 0):
        corners = sorted_unique([corners, corners + axis_shift(axis, stride)])
    return corners


def corner_places(cells: np.ndarray, corners: np.ndarray, stride: int) -> np.ndarray:
    """Where each cell's corners stand in `corners`, which must hold all of them.

    cells: (M,) sorted keys.  corners: sorted keys of multiples of `stride`.  Returns (M, 8) int32.
    """
    places = np.empty((len(cells), 8), dtype=np.int32)
    _sweep(lattice_numba.corner_rows, len(cells), cells, corners, _lower_corners(stride), places)
    return places


def cell_cases(cells: np.ndarray, corners: np.ndarray, inside: np.ndarray, stride: int) -> np.ndarray:
    """(M,) uint8: bit c is set where corner c of the cell is inside.

    cells, corners, stride: as for corner_places.  inside: (P,) bool, of the corners.
    """
    cases = np.empty(len(cells), dtype=np.uint8)
    _sweep(lattice_numba.cell_cases, len(cells), cells, corners, inside.view(np.uint8), _lower_corners(stride), cases)
    return cases


def _lower_corners(stride: int) -> np.ndarray:
    """(4,) int64: shifts of the corners below; the corner above in z is the next key, for z is the fastest axis."""
    return np.array([key_shift(int(x) * stride, int(y) * stride, 0) for x, y, _ in CORNERS[:4]], dtype=np.int64)


class KeyTable:
    """A growing map from keys to values: sorted layers of geometrically falling size.

    Inserting n new keys costs O(n) most of the time, so that many small steps after a large one
    do not copy the large one each time.
    """

    def __init__(self, dtype: np.dtype | type) -> None:
        self._dtype = np.dtype(dtype)
        self._layers: list[tuple[np.ndarray, np.ndarray]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._layers)

    def insert(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Add sorted keys, none of which is present yet, with their values."""
        if len(keys) == 0:
            return
        self._layers.append((keys, values.astype(self._dtype, copy=False)))
        while len(self._layers) > 1 and 2 * len(self._layers[-1][0]) > len(self._layers[-2][0]):
            self._merge_last_two()

    def contains(self, keys: np.ndarray) -> np.ndarray:
        """(N,) bool: which keys are present."""
        present = np.zeros(len(keys), dtype=bool)
        for layer, _ in self._layers:
            present |= contains(layer, keys)
        return present

    def find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool `present` and (N,) values, zero where absent."""
        present = np.zeros(len(keys), dtype=bool)
        values = np.zeros(len(keys), dtype=self._dtype)
        for layer, layer_values in self._layers:
            place = np.minimum(lower_bounds(layer, keys), len(layer) - 1)
            here = layer[place] == keys
            values[here] = layer_values[place[here]]
            present |= here
        return present, values

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """All keys, sorted, and their values."""
        while len(self._layers) > 1:
            self._merge_last_two()
        if not self._layers:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=self._dtype)
        return self._layers[0]

    def _merge_last_two(self) -> None:
        last_keys, last_values = self._layers.pop()
        keys, values = self._layers.pop()
        merged, order = (np.empty(len(keys) + len(last_keys), dtype=np.int64) for _ in range(2))
        lattice_numba.merge_order(keys, last_keys, merged, order)
        self._layers.append((merged, np.concatenate([values, last_values])[order]))
