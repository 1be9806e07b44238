"""Stage extract: blocks of 8 x 8 x 8 lattice points or cells, in compiled loops.

A mask holds one bit per point or cell: (B, 8, 8) uint8, row (x, y) of a block has bit z.  A block's key is
lattice.pack_lattice of its coordinates (those of its lowest point, divided by 8).
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.runtime.numba_cache import njit

ABSENT = -1
_MIX = -7046029254386353131  # 2**64 divided by the golden ratio: spreads neighbouring keys over the table
_AXIS_MASK = (1 << AXIS_BITS) - 1


@njit
def _slot(table_keys, key):  # type: ignore[no-untyped-def]
    """Where a key stands in the hash table, or the empty slot where it would stand."""
    last = table_keys.shape[0] - 1  # the size is a power of two
    slot = ((np.int64(key) * _MIX) >> 32) & last
    while table_keys[slot] != key and table_keys[slot] != ABSENT:
        slot = (slot + 1) & last
    return slot


@njit
def _block_key(x, y, z):  # type: ignore[no-untyped-def]
    return ((((x + AXIS_LIMIT) << AXIS_BITS) | (y + AXIS_LIMIT)) << AXIS_BITS) | (z + AXIS_LIMIT)


@njit
def _block_coordinates(key):  # type: ignore[no-untyped-def]
    x = ((key >> (2 * AXIS_BITS)) & _AXIS_MASK) - AXIS_LIMIT
    y = ((key >> AXIS_BITS) & _AXIS_MASK) - AXIS_LIMIT
    return x, y, (key & _AXIS_MASK) - AXIS_LIMIT


@njit(cache=True, nogil=True)
def insert_keys(  # type: ignore[no-untyped-def]
    table_keys,  # (T,) int64, written: ABSENT where empty
    table_numbers,  # (T,) int32, written
    keys,  # (K,) int64
    first,  # the keys get the numbers first, first + 1, ...
):
    """Enter keys that are not in the table yet."""
    for number in range(keys.shape[0]):
        slot = _slot(table_keys, keys[number])
        table_keys[slot] = keys[number]
        table_numbers[slot] = first + number


@njit(cache=True, nogil=True)
def mark_cells(  # type: ignore[no-untyped-def]
    cells,  # (N, 3) int32
    shift,  # the marked cells are 2**shift times as large as the given ones
    table_keys,
    table_numbers,
    rows,  # (B, 8, 8) uint8, written: a bit for each cell that holds a given one
    begin,
    end,
):
    """Mark cells begin to end in the blocks that exist; whether all of them do."""
    last_key, number, complete = np.int64(ABSENT), np.int64(ABSENT), True
    for row in range(begin, end):
        x, y, z = np.int64(cells[row, 0]) >> shift, np.int64(cells[row, 1]) >> shift, np.int64(cells[row, 2]) >> shift
        key = _block_key(x >> 3, y >> 3, z >> 3)
        if key != last_key:
            last_key = key
            slot = _slot(table_keys, key)
            number = np.int64(table_numbers[slot]) if table_keys[slot] == key else np.int64(ABSENT)
        if number == ABSENT:
            complete = False
        else:
            rows[number, x & 7, y & 7] |= np.uint8(1 << (z & 7))
    return complete


@njit(cache=True, nogil=True)
def link_blocks(  # type: ignore[no-untyped-def]
    keys,  # (B,) int64
    table_keys,
    table_numbers,
    neighbours,  # (B, 11) int32, written: see lattice.LatticeLevel
    begin,
    end,
):
    """Link blocks begin to end, which are new, with their neighbours, both ways."""
    for block in range(begin, end):
        neighbours[block, 0] = block
        for column in range(1, 11):
            neighbours[block, column] = ABSENT
    for block in range(begin, end):
        for octant in range(1, 8):
            shift = _block_key(octant & 1, (octant >> 1) & 1, octant >> 2) - _block_key(0, 0, 0)
            axis = octant >> 1  # of octants 1, 2, 4, which share a face
            face = octant == 1 or octant == 2 or octant == 4
            key = keys[block] + shift
            slot = _slot(table_keys, key)
            if table_keys[slot] == key:
                upper = table_numbers[slot]
                neighbours[block, octant] = upper
                if face:
                    neighbours[upper, 8 + axis] = block
            key = keys[block] - shift
            slot = _slot(table_keys, key)
            if table_keys[slot] == key:
                lower = table_numbers[slot]
                neighbours[lower, octant] = block
                if face:
                    neighbours[block, 8 + axis] = lower


@njit(cache=True, nogil=True)
def clip_blocks(  # type: ignore[no-untyped-def]
    keys,  # (B,) int64
    shift,  # a cell of the domain is 2**shift times as large as a cell of the blocks
    table_keys,  # of the domain's blocks
    table_numbers,
    domain_rows,  # (D, 8, 8) uint8: the cells of the domain
    within,  # (B, 8, 8) uint8, written: cells within the domain
    interior,  # (B, 8, 8) uint8, written: points all of whose eight cells lie within it
    large,  # (9, 9, 9) bool scratch: cells of the domain, from the one that holds the cell before the block
    begin,
    end,
):
    """Which cells and points of blocks begin to end belong to the domain."""
    for block in range(begin, end):
        bx, by, bz = _block_coordinates(keys[block])
        x0, y0, z0 = (8 * bx - 1) >> shift, (8 * by - 1) >> shift, (8 * bz - 1) >> shift
        all_within = True
        for x in range(x0, ((8 * bx + 7) >> shift) + 1):
            for y in range(y0, ((8 * by + 7) >> shift) + 1):
                for z in range(z0, ((8 * bz + 7) >> shift) + 1):
                    key = _block_key(x >> 3, y >> 3, z >> 3)
                    slot = _slot(table_keys, key)
                    found = table_keys[slot] == key
                    if found:
                        found = (domain_rows[table_numbers[slot], x & 7, y & 7] >> (z & 7)) & 1 == 1
                    large[x - x0, y - y0, z - z0] = found
                    all_within &= found
        if all_within:
            for x in range(8):
                for y in range(8):
                    within[block, x, y], interior[block, x, y] = 255, 255
            continue
        for x in range(8):
            for y in range(8):
                cell_row, point_row = 0, 0
                for z in range(8):
                    inner = True
                    for corner in range(8):
                        inner &= large[
                            ((8 * bx + x - (corner & 1)) >> shift) - x0,
                            ((8 * by + y - ((corner >> 1) & 1)) >> shift) - y0,
                            ((8 * bz + z - (corner >> 2)) >> shift) - z0,
                        ]
                    point_row |= np.int64(inner) << z
                    same = large[
                        ((8 * bx + x) >> shift) - x0, ((8 * by + y) >> shift) - y0, ((8 * bz + z) >> shift) - z0
                    ]
                    cell_row |= np.int64(same) << z
                within[block, x, y], interior[block, x, y] = cell_row, point_row


@njit(cache=True, nogil=True)
def inherit_points(  # type: ignore[no-untyped-def]
    keys,  # (B,) int64
    blocks,  # (M,) int64: which of them; written: those that the coarse level has no block for
    shift,  # a point i here is point i / 2**shift of the coarse level, if that is whole
    table_keys,  # of the coarse level's blocks
    table_numbers,
    coarse_known,
    coarse_inside,
    coarse_logits,
    known,  # (B, 8, 8) uint8, written
    inside,  # (B, 8, 8) uint8, written
    logits,  # (B, 8, 8, 8) float32, written
):
    """Copy what a coarse level knows about blocks; returns the number of those that it has no block for."""
    step = 1 << min(shift, 3)
    orphan_count = 0
    for place in range(blocks.shape[0]):
        block = blocks[place]
        bx, by, bz = _block_coordinates(keys[block])
        key = _block_key(bx >> shift, by >> shift, bz >> shift)
        slot = _slot(table_keys, key)
        if table_keys[slot] != key:
            blocks[orphan_count] = block
            orphan_count += 1
            continue
        if ((8 * bx) | (8 * by) | (8 * bz)) & (step - 1) or (
            shift > 3 and (bx | by | bz) & ((1 << (shift - 3)) - 1)
        ):  # cells of the coarse level larger than a block: no point, unless at the block's lowest
            continue
        coarse = table_numbers[slot]
        for x in range(0, 8, step):
            for y in range(0, 8, step):
                cx, cy = ((8 * bx + x) >> shift) & 7, ((8 * by + y) >> shift) & 7
                coarse_row = np.int64(coarse_known[coarse, cx, cy])
                if coarse_row == 0:
                    continue
                for z in range(0, 8, step):
                    cz = ((8 * bz + z) >> shift) & 7
                    if (coarse_row >> cz) & 1:
                        known[block, x, y] |= np.uint8(1 << z)
                        inside[block, x, y] |= np.uint8(((np.int64(coarse_inside[coarse, cx, cy]) >> cz) & 1) << z)
                        logits[block, x, y, z] = coarse_logits[coarse, cx, cy, cz]
    return orphan_count


@njit(cache=True, nogil=True)
def halve_cells(  # type: ignore[no-untyped-def]
    keys,  # (B,) int64
    rows,  # (B, 8, 8) uint8
    fine_keys,  # (8 * B,) int64, written
    fine_rows,  # (8 * B, 8, 8) uint8, written
):
    """The eight halves (along each edge) of every cell, in blocks of the finer level; returns the number of blocks."""
    count = 0
    for block in range(keys.shape[0]):
        bx, by, bz = _block_coordinates(keys[block])
        for octant in range(8):
            ox, oy, oz = octant & 1, (octant >> 1) & 1, octant >> 2
            any_cell = 0
            for x in range(8):
                for y in range(8):
                    row = (np.int64(rows[block, 4 * ox + (x >> 1), 4 * oy + (y >> 1)]) >> (4 * oz)) & 15
                    row = (row | (row << 2)) & 0x33
                    row = (row | (row << 1)) & 0x55
                    fine_rows[count, x, y] = row | (row << 1)
                    any_cell |= row
            if any_cell:
                fine_keys[count] = _block_key(2 * bx + ox, 2 * by + oy, 2 * bz + oz)
                count += 1
    return count


@njit(cache=True, nogil=True)
def pad_rows(blocks, neighbours, rows, padded, begin, end):  # type: ignore[no-untyped-def]
    """Masks of 9 x 9 x 9 points, the corners of a block's cells: bits 0 to 8 of `padded` (M, 9, 9) uint16, written.

    blocks: (M,) int64, those for rows begin to end of `padded`.  rows: (B, 8, 8) uint8; zero where there is no block.
    """
    for place in range(begin, end):
        for x in range(9):
            for y in range(9):
                padded[place, x, y] = 0
        for octant in range(8):
            dx, dy, dz = octant & 1, (octant >> 1) & 1, octant >> 2
            source = neighbours[blocks[place], octant]
            if source < 0:
                continue
            for x in range(8 * dx, 8 + dx):
                for y in range(8 * dy, 8 + dy):
                    row = np.int64(rows[source, x & 7, y & 7])
                    padded[place, x, y] |= np.uint16((row & 1) << 8 if dz else row)
