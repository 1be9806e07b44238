"""The compiled loops of free_space.py: rays through bricks of cells, and the trilinear look-up of free cells."""

from __future__ import annotations

import numpy as np

from sparse_convonet.clouds.ghosts_numba import nearest_border
from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.engine.sweep_numba import lower_bound
from sparse_convonet.runtime.numba_cache import njit

BRICK = 128  # cells along a brick
HALO = 2  # cells around a brick that decide which of its own are free
BLOCK = 8  # cells along a block, of which a mask has a bit each


@njit(cache=True, inline="always")
def _key(x, y, z):  # type: ignore[no-untyped-def]
    """As coordinates.pack_cells."""
    key = np.int64(x) + AXIS_LIMIT
    key = (key << AXIS_BITS) | (np.int64(y) + AXIS_LIMIT)
    return (key << AXIS_BITS) | (np.int64(z) + AXIS_LIMIT)


@njit(cache=True, inline="always")
def _set(bits, x, y, z):  # type: ignore[no-untyped-def]
    bits[x, y, z >> 3] |= np.uint8(1 << (z & 7))


@njit(cache=True, inline="always")
def _first_brick(cell):  # type: ignore[no-untyped-def]
    """The lowest brick along an axis that has a cell, with its halo."""
    return np.int64(np.floor((cell - HALO) / BRICK))


@njit(cache=True, inline="always")
def _last_brick(cell):  # type: ignore[no-untyped-def]
    return np.int64(np.floor((cell + HALO) / BRICK))


@njit(cache=True, nogil=True)
def mark_ends(met, bricks, ends):  # type: ignore[no-untyped-def]
    """Set the bits of the cells that hold points.

    met: (G, S, S, W) uint8, the cells of G bricks with their halo, a bit each along z.  bricks: (G,) int64 ascending
    keys.  ends: (n, 3) float64 points in cells.
    """
    count = bricks.shape[0]
    cell = np.empty(3, dtype=np.int64)
    for row in range(ends.shape[0]):
        for axis in range(3):
            cell[axis] = np.int64(np.floor(ends[row, axis]))
        for x in range(_first_brick(cell[0]), _last_brick(cell[0]) + 1):
            for y in range(_first_brick(cell[1]), _last_brick(cell[1]) + 1):
                for z in range(_first_brick(cell[2]), _last_brick(cell[2]) + 1):
                    key = _key(x, y, z)
                    slot = lower_bound(bricks, 0, count, key)
                    if slot < count and bricks[slot] == key:
                        _set(
                            met[slot],
                            cell[0] - x * BRICK + HALO,
                            cell[1] - y * BRICK + HALO,
                            cell[2] - z * BRICK + HALO,
                        )


@njit(cache=True)
def _corners(bricks):  # type: ignore[no-untyped-def]
    """The lowest and the highest brick along each axis, (3,) int64 each; bricks: (G,) keys."""
    nearest, farthest = np.full(3, AXIS_LIMIT, dtype=np.int64), np.full(3, -AXIS_LIMIT, dtype=np.int64)
    for key in bricks:
        for axis in range(3):
            place = ((key >> ((2 - axis) * AXIS_BITS)) & ((1 << AXIS_BITS) - 1)) - AXIS_LIMIT
            nearest[axis], farthest[axis] = min(nearest[axis], place), max(farthest[axis], place)
    return nearest, farthest


@njit(cache=True, nogil=True)
def pass_bricks(passed, bricks, starts, ends, margin):  # type: ignore[no-untyped-def]
    """Set the bits of the cells that rays pass, up to `margin` cells before their ends.

    passed, bricks: as of mark_ends.  starts, ends: (n, 3) float64 in cells.  What is set in a brick depends on the rays
    alone, not on which bricks are asked for with it.
    """
    count = bricks.shape[0]
    nearest, farthest = _corners(bricks)
    way, low, high = np.empty(3), np.empty(3), np.empty(3)
    first, last, brick = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    for ray in range(starts.shape[0]):
        start = starts[ray]
        length = 0.0
        for axis in range(3):
            way[axis] = ends[ray, axis] - start[axis]
            length += way[axis] * way[axis]
        length = np.sqrt(length)
        followed = length - margin
        if not followed > 0:
            continue
        along = 0
        for axis in range(3):
            way[axis] /= length
            if abs(way[axis]) > abs(way[along]):
                along = axis
        stop = start[along] + followed * way[along]
        begin = max(_first_brick(min(start[along], stop)), nearest[along])
        end = min(_last_brick(max(start[along], stop)), farthest[along])
        for layer in range(begin, end + 1):
            # What of the ray lies in this layer of bricks, halo included, and which bricks it meets there.
            near = (layer * BRICK - HALO - start[along]) / way[along]
            far = ((layer + 1) * BRICK + HALO - start[along]) / way[along]
            near, far = max(min(near, far), 0.0), min(max(near, far), followed)
            for axis in range(3):
                low[axis] = start[axis] + way[axis] * (near if way[axis] > 0 else far)
                high[axis] = start[axis] + way[axis] * (far if way[axis] > 0 else near)
                first[axis], last[axis] = _first_brick(low[axis]), _last_brick(high[axis])
            first[along] = last[along] = layer
            for x in range(first[0], last[0] + 1):
                for y in range(first[1], last[1] + 1):
                    for z in range(first[2], last[2] + 1):
                        key = _key(x, y, z)
                        slot = lower_bound(bricks, 0, count, key)
                        if slot < count and bricks[slot] == key:
                            brick[0], brick[1], brick[2] = x, y, z
                            _pass_brick(passed[slot], brick, start, way, followed)


@njit(cache=True)
def _pass_brick(bits, brick, start, way, followed):  # type: ignore[no-untyped-def]
    """Set the bits of the cells of one brick and its halo that a ray passes (Amanatides and Woo 1987)."""
    size = BRICK + 2 * HALO
    near, far = 0.0, followed
    for axis in range(3):
        low = brick[axis] * BRICK - HALO
        if way[axis] == 0:
            if not low <= start[axis] < low + size:
                return
            continue
        one, other = (low - start[axis]) / way[axis], (low + size - start[axis]) / way[axis]
        near, far = max(near, min(one, other)), min(far, max(one, other))
    if near > far:
        return
    cell, step = np.empty(3, dtype=np.int64), np.empty(3, dtype=np.int64)
    following, each = np.empty(3), np.empty(3)
    for axis in range(3):
        low = brick[axis] * BRICK - HALO
        place = np.int64(np.floor(start[axis] + way[axis] * near)) - low
        cell[axis] = min(max(place, 0), size - 1)
        step[axis] = 1 if way[axis] > 0 else -1
        if way[axis] == 0:
            following[axis] = each[axis] = np.inf
        else:
            border = low + cell[axis] + (1 if way[axis] > 0 else 0)
            following[axis] = (border - start[axis]) / way[axis]
            each[axis] = abs(1 / way[axis])
    while True:
        _set(bits, cell[0], cell[1], cell[2])
        axis = nearest_border(following)
        if following[axis] > far:
            return
        cell[axis] += step[axis]
        if cell[axis] < 0 or cell[axis] >= size:
            return
        following[axis] += each[axis]


@njit(cache=True, nogil=True)
def look_up(keys, masks, places, shares, gradients, begin, end):  # type: ignore[no-untyped-def]
    """Share of free space around places begin to end, and its gradient, trilinear between the centres of cells.

    keys: (B,) int64 ascending, of blocks.  masks: (B, 8, 8) uint8, a bit of each cell along z.  places: (Q, 3) in cells.
    shares: (Q,) float32 and gradients: (Q, 3) float32, per cell, are written; (0, 3): no gradients.
    """
    count = keys.shape[0]
    differentiate = gradients.shape[0] > 0
    last_key, last_row = np.int64(-1), 0
    for query in range(begin, end):
        shares[query] = 0.0
        if differentiate:
            for axis in range(3):
                gradients[query, axis] = 0.0
        x, y, z = places[query, 0] - 0.5, places[query, 1] - 0.5, places[query, 2] - 0.5
        bx, by, bz = np.floor(x), np.floor(y), np.floor(z)
        limit = BLOCK * (AXIS_LIMIT - 1)
        if not (abs(bx) < limit and abs(by) < limit and abs(bz) < limit):
            continue
        x, y, z = x - bx, y - by, z - bz
        for corner in range(8):
            cx, cy, cz = np.int64(bx) + (corner >> 2), np.int64(by) + ((corner >> 1) & 1), np.int64(bz) + (corner & 1)
            key = _key(cx >> 3, cy >> 3, cz >> 3)
            if key != last_key:
                last_key, last_row = key, lower_bound(keys, 0, count, key)
                if last_row < count and keys[last_row] != key:
                    last_row = count
            if last_row < count and (masks[last_row, cx & 7, cy & 7] >> (cz & 7)) & 1:
                wx = x if corner & 4 else 1 - x
                wy = y if corner & 2 else 1 - y
                wz = z if corner & 1 else 1 - z
                shares[query] += wx * wy * wz
                if differentiate:
                    gradients[query, 0] += (1 if corner & 4 else -1) * wy * wz
                    gradients[query, 1] += (1 if corner & 2 else -1) * wx * wz
                    gradients[query, 2] += (1 if corner & 1 else -1) * wx * wy
