"""Coarse cells of space that hold points, each with one of its points drawn by chance that the points alone decide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparse_convonet.coordinates import VoxelFrame

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SNAP_STEPS = 4096  # places of points within a cell, as VoxelFrame.snap_to_voxels rounds them


@dataclass(frozen=True)
class OccupiedCells:
    """Cells that hold points, sorted by x, then y, then z.

    cells: (C, 3) int64 in units of their edge.  counts: (C,) points in each.  seeds: (C, 3) float64 world metres, one
    point of each; every point of a cell is as likely, and neither the order of the points nor a shift of all of them
    by the same way changes which it is.
    """

    cells: np.ndarray
    counts: np.ndarray
    seeds: np.ndarray


class PlacedPoints(Protocol):
    """Points found by their place, wherever they are kept."""

    @property
    def low(self) -> np.ndarray:
        """(3,) lowest coordinates of all points, world metres."""
        ...

    @property
    def high(self) -> np.ndarray:
        """(3,) highest coordinates."""
        ...

    def occupied(self, edge_m: float) -> OccupiedCells:
        """The cells of that edge that hold points; cell (0, 0, 0) begins just below `low`."""
        ...

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(n, 3) float64, the points p with low <= p < high along every axis, in any order."""
        ...


def numbers_of_chance(places: np.ndarray) -> np.ndarray:
    """(n, 3) int64 -> (n,) uint64 that look random and depend on the place alone (the finaliser of splitmix64)."""
    mixed = np.zeros(len(places), dtype=np.uint64)
    for axis in range(3):
        mixed += places[:, axis].astype(np.uint64) + _MIX[0]
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MIX[1]
        mixed ^= mixed >> np.uint64(27)
        mixed *= _MIX[2]
        mixed ^= mixed >> np.uint64(31)
    return mixed


def snapped_places(points_world: np.ndarray, frame: VoxelFrame) -> np.ndarray:
    """(n, 3) world metres -> (n, 3) int64, in 4096ths of a cell of the frame."""
    return np.round(frame.to_voxels(points_world) * _SNAP_STEPS).astype(np.int64)


def cells_of_places(places: np.ndarray) -> np.ndarray:
    """(n, 3) snapped places -> (n, 3) int64 cells that hold them."""
    return places // _SNAP_STEPS


def first_by_chance(keys: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of points with keys (n,) of their cells: unique keys (C,), counts (C,), and rows (C,), one of each cell."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(begins, len(keys)))
    chance = numbers_of_chance(places)[order]
    least = np.repeat(np.minimum.reduceat(chance, begins), counts)
    # Points with the same number are at the same place: the first stands for all.
    drawn = np.flatnonzero(chance == least)
    drawn = drawn[np.searchsorted(drawn, begins)]
    return ordered[begins], counts, order[drawn]
