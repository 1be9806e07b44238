"""The compiled loops that build the tree of boxes over triangles that raycast_numba.py walks.

Numbers are stored as float32 and computed in float64.  A node is a row of `boxes` (low x y z, high x y z) and of
`links`: (first triangle, count) of a leaf, (left child, 0) of an inner node, whose right child follows the left one.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

LEAF_TRIANGLES = 4  # at most, in a leaf
STACK = 128  # nodes that wait, at most, of any tree
_BINS = 16
_HALVING_DEPTH = 60  # from here on nodes are halved by count, so that the tree ends within STACK


@njit(cache=True, nogil=True)
def build_tree(extents, boxes, links, order):  # type: ignore[no-untyped-def]
    """Split by the surface area heuristic in bins (Wald 2007); returns the number of nodes.

    extents: (F, 6) float32, the boxes of the triangles.  boxes: (2 F, 6) float32, links: (2 F, 2) int32 and order: (F,)
    int32 are written; order: the triangles in the order of the leaves.
    """
    for face in range(len(order)):
        order[face] = face
    counts, bounds = np.empty(_BINS, dtype=np.int64), np.empty((_BINS, 6))
    costs, box = np.empty(_BINS), np.empty(6)
    waiting = np.empty((STACK, 4), dtype=np.int64)  # node, begin, end, depth
    waiting[0, 0], waiting[0, 1], waiting[0, 2], waiting[0, 3] = 0, 0, len(order), 0
    number, nodes = 1, 1
    while number > 0:
        number -= 1
        node, begin, end, depth = waiting[number, 0], waiting[number, 1], waiting[number, 2], waiting[number, 3]
        _bound(extents, order, begin, end, boxes[node])
        if end - begin <= LEAF_TRIANGLES:
            links[node, 0], links[node, 1] = begin, end - begin
            continue
        middle = begin
        if depth < _HALVING_DEPTH:
            middle = _split(extents, order, begin, end, counts, bounds, costs, box)
        if middle == begin or middle == end:  # all middles in one place
            middle = (begin + end) // 2
        links[node, 0], links[node, 1] = nodes, 0
        for side in range(2):
            waiting[number, 0] = nodes + side
            waiting[number, 1], waiting[number, 2] = (begin, middle) if side == 0 else (middle, end)
            waiting[number, 3] = depth + 1
            number += 1
        nodes += 2
    return nodes


@njit(cache=True, inline="always")
def _bound(extents, order, begin, end, box):  # type: ignore[no-untyped-def]
    """Write the box (6,) around triangles order[begin:end]."""
    box[:3], box[3:] = np.inf, -np.inf
    for place in range(begin, end):
        _grow(box, extents[order[place]])


@njit(cache=True)
def _split(extents, order, begin, end, counts, bounds, costs, box):  # type: ignore[no-untyped-def]
    """Sort order[begin:end] into two sides at the cheapest of the planes between bins; returns where the right begins.

    The planes are across the axis along which the middles of the triangles are spread most.  counts (16,), bounds
    (16, 6), costs (16,) and box (6,): room to work in.
    """
    box[:3], box[3:] = np.inf, -np.inf
    for place in range(begin, end):
        for along in range(3):
            value = _middle(extents, order[place], along)
            box[along], box[3 + along] = min(box[along], value), max(box[3 + along], value)
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    axis = 0 if x >= y and x >= z else (1 if y >= z else 2)
    low, spread = box[axis], box[3 + axis] - box[axis]
    if not spread > 0.0:
        return begin
    scale = _BINS * (1.0 - 1e-6) / spread
    counts[:] = 0
    bounds[:, :3], bounds[:, 3:] = np.inf, -np.inf
    for place in range(begin, end):
        slot = int((_middle(extents, order[place], axis) - low) * scale)
        counts[slot] += 1
        _grow(bounds[slot], extents[order[place]])
    best = _cheapest(counts, bounds, costs, box, end - begin)
    first, last = begin, end - 1
    while first <= last:
        if int((_middle(extents, order[first], axis) - low) * scale) <= best:
            first += 1
        else:
            order[first], order[last] = order[last], order[first]
            last -= 1
    return first


@njit(cache=True, inline="always")
def _middle(extents, face, axis):  # type: ignore[no-untyped-def]
    return 0.5 * (np.float64(extents[face, axis]) + np.float64(extents[face, 3 + axis]))


@njit(cache=True)
def _cheapest(counts, bounds, costs, box, total):  # type: ignore[no-untyped-def]
    """The last bin of the left side, where the triangles of both sides times the areas of their boxes are least."""
    box[:3], box[3:] = np.inf, -np.inf
    right = 0
    for slot in range(_BINS - 1, 0, -1):
        right += counts[slot]
        _grow(box, bounds[slot])
        costs[slot - 1] = right * _half_area(box) if right > 0 else 0.0
    box[:3], box[3:] = np.inf, -np.inf
    best, least, left = 0, np.inf, 0
    for slot in range(_BINS - 1):
        left += counts[slot]
        _grow(box, bounds[slot])
        if 0 < left < total and left * _half_area(box) + costs[slot] < least:
            best, least = slot, left * _half_area(box) + costs[slot]
    return best


@njit(cache=True, inline="always")
def _grow(box, other):  # type: ignore[no-untyped-def]
    for axis in range(3):
        box[axis], box[3 + axis] = min(box[axis], other[axis]), max(box[3 + axis], other[3 + axis])


@njit(cache=True, inline="always")
def _half_area(box):  # type: ignore[no-untyped-def]
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return x * y + y * z + z * x
