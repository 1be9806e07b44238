"""Cut space into cubes that hold about equally many points, in an order in which neighbours mostly follow each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

_DEPTH = 21  # halvings of the root's edge at most: three axes fit 64 bits
_FIRST_DEPTH = 7  # at which points are counted first, in 2^21 cubes
_FURTHER = 3  # halvings from there on, where a cube holds too many
# Bits of 21 are spread to every third of 63 in these steps (Morton order).
_SPREAD = ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
           (2, 0x1249249249249249))  # fmt: skip


@dataclass(frozen=True)
class Octree:
    """The leaves that hold points of a cube from `low` (3,), `edge` long.

    starts: (C,) uint64 ascending, the first code, of the finest cubes in Morton order, that belongs to each leaf.
    """

    low: np.ndarray
    edge: float
    starts: np.ndarray

    def leaves_of(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) -> (N,) int64 the leaf of each point; for points that the tree was made of."""
        return np.searchsorted(self.starts, codes_of(points, self.low, self.edge), side="right") - 1


def codes_of(points: np.ndarray, low: np.ndarray, edge: float) -> np.ndarray:
    """(N, 3) -> (N,) uint64, the number of the finest cube that holds each point; monotonous along every axis."""
    codes = np.zeros(len(points), dtype=np.uint64)
    steps = 1 << _DEPTH
    for axis, values in enumerate(points.T):
        place = np.clip((values - low[axis]) / edge * steps, 0, steps - 1).astype(np.uint64)
        for shift, mask in _SPREAD:
            place |= place << np.uint64(shift)
            place &= np.uint64(mask)
        codes |= place << np.uint64(2 - axis)
    return codes


def plan_octree(
    chunks: Callable[[], Iterator[np.ndarray]], low: np.ndarray, high: np.ndarray, largest: int
) -> tuple[Octree, np.ndarray]:
    """The octree whose leaves are the largest cubes of at most `largest` points, and the points in each: (C,) int64.

    Leaves of one finest cube may hold more.  chunks: gives all points, (n, 3) each, again at each call; low, high:
    their extremes.  What is held grows with the number of leaves.
    """
    edge = float((high - low).max()) or 1.0
    starts, counts, depths = _first_count(chunks(), low, edge)
    while True:
        full = (counts > largest) & (depths < _DEPTH)
        if not full.any():
            break
        parts = _count_within(chunks(), low, edge, starts[full], int(depths[full][0]))
        starts, counts, depths = (
            np.concatenate([kept[~full], part]) for kept, part in zip((starts, counts, depths), parts, strict=True)
        )
    order = np.argsort(starts)
    starts, counts = _merge_siblings(starts[order], counts[order], depths[order], largest)
    return Octree(low, edge, starts), counts


def _first_count(
    chunks: Iterator[np.ndarray], low: np.ndarray, edge: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(starts, counts, depths) of the cubes of the first depth that hold points."""
    shift = np.uint64(3 * (_DEPTH - _FIRST_DEPTH))
    counts = np.zeros(1 << 3 * _FIRST_DEPTH, dtype=np.int64)
    for points in chunks:
        counts += np.bincount((codes_of(points, low, edge) >> shift).astype(np.int64), minlength=len(counts))
    held = np.flatnonzero(counts)
    return held.astype(np.uint64) << shift, counts[held], np.full(len(held), _FIRST_DEPTH)


def _count_within(
    chunks: Iterator[np.ndarray], low: np.ndarray, edge: float, starts: np.ndarray, depth: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of the cubes, some levels deeper, within those of `depth` that begin at `starts` (F,), ascending."""
    deeper = min(depth + _FURTHER, _DEPTH)
    outer, inner = np.uint64(3 * (_DEPTH - depth)), np.uint64(3 * (_DEPTH - deeper))
    children = 1 << 3 * (deeper - depth)
    counts = np.zeros(len(starts) * children, dtype=np.int64)
    names = starts >> outer
    for points in chunks:
        codes = codes_of(points, low, edge)
        rank = np.minimum(np.searchsorted(names, codes >> outer), len(names) - 1)
        inside = names[rank] == codes >> outer
        child = (codes[inside] >> inner).astype(np.int64) & (children - 1)
        numbers, found = np.unique(rank[inside] * children + child, return_counts=True)
        counts[numbers] += found
    held = np.flatnonzero(counts)
    beginnings = starts[held // children] + ((held % children).astype(np.uint64) << inner)
    return beginnings, counts[held], np.full(len(held), deeper)


def _merge_siblings(
    starts: np.ndarray, counts: np.ndarray, depths: np.ndarray, largest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Leaves in Morton order -> (starts, counts) of the largest cubes of them that hold at most `largest` points."""
    for depth in range(int(depths.max()), 0, -1):
        shift = np.uint64(3 * (_DEPTH - depth + 1))
        parents = starts >> shift
        first = np.flatnonzero(np.concatenate([[True], parents[1:] != parents[:-1]]))
        total = np.add.reduceat(counts, first)
        # A parent of so few points has leaves of this depth only, or is within a single shallower leaf.
        merged = (total <= largest) & (depths[first] == depth)
        kept = np.ones(len(starts), dtype=bool)
        sizes = np.diff(np.append(first, len(starts)))
        kept[np.repeat(merged, sizes)] = False
        kept[first] = True
        starts, counts, depths = starts.copy(), counts.copy(), depths.copy()
        starts[first[merged]] = parents[first[merged]] << shift
        counts[first[merged]] = total[merged]
        depths[first[merged]] = depth - 1
        starts, counts, depths = starts[kept], counts[kept], depths[kept]
    return starts, counts
