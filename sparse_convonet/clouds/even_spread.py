"""Tell what fills the air of a scan evenly, as rain and dust do, from what is thin but somewhere: trees, noisy far walls.

Rain is before all surfaces of a scan; what is a thing is somewhere, and before few of them.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.ndimage import binary_dilation

_PER_CELL = 4.0  # places in a cell of the air, in the mean
_LEAST_EDGE = 2.0  # units of the places
_MOST_CELLS = 1 << 23
_BEFORE = 2  # cells, from a surface
_FILLED = ((300, 0.65), (1000, 0.4))  # of so many cells, at least: a bush before a wall may fill a few
_BESIDE = 0.93  # of them have, or are beside, one that holds some: far from scanners there is less, but no gap
_ENCLOSED = 0.5  # of the thin places, between surfaces: what is not may itself be most of what was scanned
_REACH = 2  # cells, of the window that tells what is usual
_QUANTILE = 0.25  # of a window's cells of air: low, since beside a thing the others may hold more of it
_TIMES, _LEAST_USUAL = 150.0, 0.5  # so many times the usual count is a thing; beside scanners rain itself is dense
_PART = 1 << 16
_CUBE = np.ones((3, 3, 3), dtype=bool)


def spread_evenly(thin: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) bool: which of thin places (n, 3) are of what fills the air of a scan evenly; none if nothing does.

    others: (m, 3) places where surfaces are.  The air is what lies between places along two axes at least and holds no
    others, in cubic cells that hold four thin places in the mean.  It is filled where most of its cells next to surfaces
    hold some, or are beside ones that do: trees and noisy walls are before few of them.  Most of the thin places must lie
    between surfaces, along two axes at least: crowns above open ground do not, nor does a room around one dense thing.
    Where a cell holds many times as many as others around it, something stands there.
    """
    if len(thin) == 0:
        return np.zeros(0, dtype=bool)
    everything = np.concatenate([thin, others])
    low, extent = everything.min(axis=0), np.ptp(everything, axis=0)
    edge = _edge(float(np.prod(np.maximum(extent, 1.0))), len(thin), extent)
    for _ in range(2):  # the box may be mostly outside
        inside = _between(_filled(everything, low, edge, extent))
        edge = min(edge, _edge(float(inside.sum()) * edge**3, len(thin), extent))
    cells = ((thin - low) / edge).astype(np.int64)
    surface = _filled(others, low, edge, extent)
    if _between(surface)[tuple(cells.T)].mean() < _ENCLOSED:
        return np.zeros(len(thin), dtype=bool)
    names, of_each, counts = np.unique(
        np.ravel_multi_index(tuple(cells.T), surface.shape), return_inverse=True, return_counts=True
    )
    held = np.zeros(surface.shape, dtype=np.int32)
    held.reshape(-1)[names] = counts
    air = _between(surface | (held > 0)) & ~surface
    before = air & binary_dilation(surface, _CUBE, iterations=_BEFORE)
    if not _fills(held > 0, before):
        return np.zeros(len(thin), dtype=bool)
    even = counts <= _TIMES * np.maximum(_usual(held, air, names), _LEAST_USUAL)
    return np.asarray(even[of_each.reshape(-1)])


def _fills(held: np.ndarray, before: np.ndarray) -> bool:
    """Whether cells that hold some (X, Y, Z) fill those before surfaces."""
    count, filled = before.sum(), held[before].sum()
    if not any(count >= fewest and filled >= share * count for fewest, share in _FILLED):
        return False
    return bool(binary_dilation(held, _CUBE)[before].sum() >= _BESIDE * count)


def _edge(volume: float, count: int, extent: np.ndarray) -> float:
    """Of cells that hold so many places each, not so small that they are too many."""
    edge = max(_LEAST_EDGE, (_PER_CELL * volume / count) ** (1 / 3))
    while float(np.prod(extent / edge + 1)) > _MOST_CELLS:
        edge *= 2 ** (1 / 3)
    return edge


def _filled(places: np.ndarray, low: np.ndarray, edge: float, extent: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: cells that hold a place."""
    found = np.zeros(tuple((extent / edge).astype(int) + 1), dtype=bool)
    cells = ((places - low) / edge).astype(np.int64)
    found[tuple(cells.T)] = True
    return found


def _between(filled: np.ndarray) -> np.ndarray:
    """(X, Y, Z) bool: what lies between filled cells, or is one, along two axes at least."""
    along = np.zeros(filled.shape, dtype=np.int8)
    for axis in range(3):
        before = np.logical_or.accumulate(filled, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(filled, axis), axis=axis), axis)
        along += before & after
    return np.asarray(along >= 2)


def _usual(held: np.ndarray, air: np.ndarray, names: np.ndarray) -> np.ndarray:
    """(C,) a low quantile of what the cells of air around cells hold, of names (C,) by np.ravel_multi_index."""
    padded_held = np.pad(held, _REACH)
    padded_air = np.pad(air, _REACH)
    strides = np.array([padded_air.shape[1] * padded_air.shape[2], padded_air.shape[2], 1])
    reach = range(-_REACH, _REACH + 1)
    shifts = np.array(list(itertools.product(reach, reach, reach))) @ strides
    places = (np.stack(np.unravel_index(names, held.shape), axis=1) + _REACH) @ strides
    usual = np.empty(len(names))
    for start in range(0, len(names), _PART):
        around = places[start : start + _PART, None] + shifts
        values = np.where(padded_air.reshape(-1)[around], padded_held.reshape(-1)[around], np.iinfo(np.int32).max)
        values.sort(axis=1)
        count = padded_air.reshape(-1)[around].sum(axis=1)
        usual[start : start + _PART] = values[
            np.arange(len(values)), (_QUANTILE * np.maximum(count - 1, 0)).astype(int)
        ]
    return usual
