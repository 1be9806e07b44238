"""Stage extract: the rounds of multiresolution isosurface extraction over blocks, in compiled loops.

Masks and block keys as in lattice_numba, `neighbours` as in lattice.LatticeLevel.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.runtime.numba_cache import njit

_AXIS_MASK = (1 << AXIS_BITS) - 1
# For each of the four upright faces of a cell: x and y of two of its columns of corners, and of the cell beyond, plus 1.
_SIDE_FACES = np.array([[0, 0, 0, 1, 0, 1], [1, 0, 1, 1, 2, 1], [0, 0, 1, 0, 1, 0], [0, 1, 1, 1, 1, 2]])
# A block itself and those that share a face with it: column in `neighbours`, step along x, y, z.
_SIDES = np.array(
    [[0, 0, 0, 0], [8, -1, 0, 0], [1, 1, 0, 0], [9, 0, -1, 0], [2, 0, 1, 0], [10, 0, 0, -1], [4, 0, 0, 1]]
)
_STEP_X, _STEP_Y = 1 << (2 * AXIS_BITS), 1 << AXIS_BITS  # what moves a block's key by one


@njit(cache=True, nogil=True)
def need_corners(  # type: ignore[no-untyped-def]
    active,  # (A,) int64: blocks with cells in `cells`
    keys,  # (B,) int64
    neighbours,  # (B, 11) int32
    cells,  # (B, 8, 8) uint8
    known,  # (B, 8, 8) uint8
    needed,  # (B, 8, 8) uint8, written: corners of the cells that are not known
    queued,  # (B,) bool, written: blocks that have been marked
    corners,  # (9, 9) int64 scratch
    absent,  # (8 * A,) int64, written: keys (with repetitions) of absent blocks that hold corners
    marked,  # (8 * A,) int64, written: blocks that hold marked points and were not queued before
):
    """Mark the unknown corners of cells; returns the numbers of `absent` and `marked` blocks."""
    absent_count, marked_count = 0, 0
    for block in active:
        for x in range(9):
            for y in range(9):
                corners[x, y] = 0
        for x in range(8):
            for y in range(8):
                row = np.int64(cells[block, x, y])
                row |= row << 1
                corners[x, y] |= row
                corners[x, y + 1] |= row
                corners[x + 1, y] |= row
                corners[x + 1, y + 1] |= row
        for octant in range(8):
            dx, dy, dz = octant & 1, (octant >> 1) & 1, octant >> 2
            target = np.int64(neighbours[block, octant])
            is_absent, is_marked = False, False
            for x in range(8 * dx, 8 + dx):
                for y in range(8 * dy, 8 + dy):
                    row = (corners[x, y] >> (8 * dz)) & 255
                    if row == 0:
                        continue
                    if target < 0:
                        is_absent = True
                        continue
                    row &= ~np.int64(known[target, x & 7, y & 7])
                    needed[target, x & 7, y & 7] |= np.uint8(row)
                    is_marked |= row != 0
            if is_absent:
                absent[absent_count] = keys[block] + dx * _STEP_X + dy * _STEP_Y + dz
                absent_count += 1
            if is_marked and not queued[target]:
                queued[target] = True
                marked[marked_count] = target
                marked_count += 1
    return absent_count, marked_count


@njit(cache=True, nogil=True)
def settle_border(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    interior,  # (B, 8, 8) uint8
    beyond,  # float32: the logit of points that are not interior
    needed,  # (B, 8, 8) uint8, written: only the interior points remain
    known,  # (B, 8, 8) uint8, written
    logits,  # (B, 8, 8, 8) float32, written
    counts,  # (M,) int64, written: points that remain
):
    """Give needed points on the domain's border their logit; returns how many there were."""
    settled = 0
    for place in range(blocks.shape[0]):
        block, count = blocks[place], 0
        for x in range(8):
            for y in range(8):
                row = np.int64(needed[block, x, y])
                border = row & ~np.int64(interior[block, x, y])
                if border:
                    known[block, x, y] |= np.uint8(border)
                    for z in range(8):
                        if (border >> z) & 1:
                            logits[block, x, y, z] = beyond
                            settled += 1
                    row &= ~border
                    needed[block, x, y] = row
                while row:
                    row &= row - 1
                    count += 1
        counts[place] = count
    return settled


@njit(cache=True, nogil=True)
def list_points(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    keys,  # (B,) int64
    needed,  # (B, 8, 8) uint8
    skip,  # how many needed points of the first block to leave out
    shift,  # a point i here is lattice point i * 2**shift
    cell,  # float64: field units between lattice points
    offset,  # float64: of lattice point 0
    positions,  # (Q, 3) float32, written: field coordinates
    slots,  # (Q,) int64, written: 512 * block + 64 * x + 8 * y + z
):
    """List the next Q needed points of the blocks, in order."""
    count = -skip
    for block in blocks:
        bx = ((keys[block] >> (2 * AXIS_BITS)) & _AXIS_MASK) - AXIS_LIMIT
        by = ((keys[block] >> AXIS_BITS) & _AXIS_MASK) - AXIS_LIMIT
        bz = (keys[block] & _AXIS_MASK) - AXIS_LIMIT
        for x in range(8):
            for y in range(8):
                row = np.int64(needed[block, x, y])
                if row == 0:
                    continue
                for z in range(8):
                    if (row >> z) & 1 == 0:
                        continue
                    if count >= 0:
                        if count == slots.shape[0]:
                            return
                        slots[count] = ((block * 8 + x) * 8 + y) * 8 + z
                        positions[count, 0] = ((8 * bx + x) << shift) * cell + offset
                        positions[count, 1] = ((8 * by + y) << shift) * cell + offset
                        positions[count, 2] = ((8 * bz + z) << shift) * cell + offset
                    count += 1


@njit(cache=True, nogil=True)
def store_logits(  # type: ignore[no-untyped-def]
    slots,  # (Q,) int64
    answers,  # (Q,) float32
    threshold,  # float32
    known,  # (B, 8, 8) uint8, written
    inside,  # (B, 8, 8) uint8, written: logit above the threshold
    logits,  # (B, 8, 8, 8) float32, written
):
    """Enter the logits of points into their blocks."""
    for row in range(slots.shape[0]):
        slot = slots[row]
        block, x, y, z = slot >> 9, (slot >> 6) & 7, (slot >> 3) & 7, slot & 7
        known[block, x, y] |= np.uint8(1 << z)
        inside[block, x, y] |= np.uint8(np.int64(answers[row] > threshold) << z)
        logits[block, x, y, z] = answers[row]


@njit
def _first(direction):  # type: ignore[no-untyped-def]
    """Where the rows of a block (direction 0), or of the one below or above, begin among ten rows around it."""
    return 1 if direction == 0 else (0 if direction < 0 else 9)


@njit(cache=True, nogil=True)
def grow(  # type: ignore[no-untyped-def]
    active,  # (A,) int64: blocks with cells in `fresh`
    padded,  # (A, 9, 9) uint16: points inside
    keys,  # (B,) int64
    neighbours,  # (B, 11) int32
    within,  # (B, 8, 8) uint8: cells of the domain
    cells,  # (B, 8, 8) uint8: cells that have been looked at, the fresh ones among them
    fresh,  # (B, 8, 8) uint8
    crossing,  # (B, 8, 8) uint8, written: fresh cells whose corners disagree
    wanted,  # (B, 8, 8) uint8, written: neighbours across faces whose corners disagree, not looked at yet
    queued,  # (B,) bool, written: blocks that have been marked
    targets,  # (10, 10) int64 scratch: rows of ten bits, one cell around a block on each side
    absent,  # (8 * A,) int64, written: keys (with repetitions) of absent blocks that hold such neighbours
    marked,  # (8 * A,) int64, written: blocks that hold wanted cells and were not queued before
):
    """Find the crossing cells among the fresh ones, and the cells the surface leaves them for.

    Returns the numbers of `absent` and `marked` blocks.
    """
    absent_count, marked_count = 0, 0
    for place in range(active.shape[0]):
        block = active[place]
        any_crossing = 0
        for x in range(10):
            for y in range(10):
                targets[x, y] = 0
        for x in range(8):
            for y in range(8):
                row = np.int64(fresh[block, x, y])
                if row == 0:
                    continue
                some, every = 0, 511
                for column in range(4):
                    points = np.int64(padded[place, x + (column & 1), y + (column >> 1)])
                    some |= points
                    every &= points
                disagree = (some | (some >> 1)) & ~(every & (every >> 1)) & row
                if disagree == 0:
                    continue
                crossing[block, x, y] |= np.uint8(disagree)
                any_crossing |= disagree
                level_face = some & ~every
                targets[x + 1, y + 1] |= (level_face & row) | (((level_face >> 1) & row) << 2)
                for face in range(4):
                    dx, dy = _SIDE_FACES[face, 0], _SIDE_FACES[face, 1]
                    first = np.int64(padded[place, x + dx, y + dy])
                    second = np.int64(padded[place, x + _SIDE_FACES[face, 2], y + _SIDE_FACES[face, 3]])
                    some, every = first | second, first & second
                    disagree = (some | (some >> 1)) & ~(every & (every >> 1)) & row
                    targets[x + _SIDE_FACES[face, 4], y + _SIDE_FACES[face, 5]] |= disagree << 1
        if any_crossing == 0:
            continue
        for side in range(7):
            dx, dy, dz = _SIDES[side, 1], _SIDES[side, 2], _SIDES[side, 3]
            target = np.int64(neighbours[block, _SIDES[side, 0]])
            is_absent, is_marked = False, False
            for x in range(_first(dx), _first(dx) + (8 if dx == 0 else 1)):
                for y in range(_first(dy), _first(dy) + (8 if dy == 0 else 1)):
                    row = (targets[x, y] << 7 if dz < 0 else targets[x, y] >> _first(dz)) & 255
                    if row == 0:
                        continue
                    if target < 0:
                        is_absent = True
                        continue
                    tx, ty = (x - 1) & 7, (y - 1) & 7
                    row &= np.int64(within[target, tx, ty]) & ~np.int64(cells[target, tx, ty])
                    wanted[target, tx, ty] |= np.uint8(row)
                    is_marked |= row != 0
            if is_absent:
                absent[absent_count] = keys[block] + dx * _STEP_X + dy * _STEP_Y + dz
                absent_count += 1
            if is_marked and not queued[target]:
                queued[target] = True
                marked[marked_count] = target
                marked_count += 1
    return absent_count, marked_count
