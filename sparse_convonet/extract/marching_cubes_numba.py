"""Stage extract: marching cubes over blocks of cells, in compiled loops.

Masks as in lattice_numba.  The vertex on the lattice edge from point p along an axis belongs to point p and bit
8 * axis + z of an `edges` row (B, 8, 8) int32 of the block that holds p.  Vertices are numbered by point, then axis;
points and cells are in the order of x, y, z over all blocks.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.runtime.numba_cache import njit

# (8, 3): the bits of an `edges` row that belong to vertices before the one at z on an axis
_EARLIER = np.array(
    [[0x010101 * ((1 << z) - 1) | (0x010101 & ((1 << 8 * axis) - 1)) << z for axis in range(3)] for z in range(8)]
)
_AXIS_MASK = (1 << AXIS_BITS) - 1


@njit
def _bit_count(bits):  # type: ignore[no-untyped-def]
    """Of 24 bits."""
    bits = bits - ((bits >> 1) & 0x555555)
    bits = (bits & 0x333333) + ((bits >> 2) & 0x333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F
    return (bits + (bits >> 8) + (bits >> 16)) & 0x1F


@njit
def _case(padded, place, x, y, z):  # type: ignore[no-untyped-def]
    """Bit c is set where corner c of the cell is inside."""
    case = (np.int64(padded[place, x, y]) >> z) & 1
    case |= ((np.int64(padded[place, x + 1, y]) >> z) & 1) << 1
    case |= ((np.int64(padded[place, x, y + 1]) >> z) & 1) << 2
    case |= ((np.int64(padded[place, x + 1, y + 1]) >> z) & 1) << 3
    case |= ((np.int64(padded[place, x, y]) >> (z + 1)) & 1) << 4
    case |= ((np.int64(padded[place, x + 1, y]) >> (z + 1)) & 1) << 5
    case |= ((np.int64(padded[place, x, y + 1]) >> (z + 1)) & 1) << 6
    return case | ((np.int64(padded[place, x + 1, y + 1]) >> (z + 1)) & 1) << 7


@njit(cache=True, nogil=True)
def count_rows(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    padded,  # (M, 9, 9) uint16: points inside
    cells,  # (B, 8, 8) uint8: cells that have been looked at
    crossing,  # (B, 8, 8) uint8: those whose corners disagree
    face_counts,  # (256,) int64: triangles of each case
    edges,  # (M, 8, 8) int32, written: crossing edges
    counts,  # (M, 8, 8, 2) int64, written: vertices and faces of each row
    begin,
    end,
):
    """Find the crossing edges of blocks begin to end, and count what they hold.

    The search leaves no crossing cell out: all four cells at a crossing edge have been looked at, or none.
    """
    for place in range(begin, end):
        block = blocks[place]
        for x in range(8):
            for y in range(8):
                looked_at, row = np.int64(cells[block, x, y]), np.int64(padded[place, x, y])
                along_x = (row ^ np.int64(padded[place, x + 1, y])) & looked_at
                along_y = (row ^ np.int64(padded[place, x, y + 1])) & looked_at
                along_z = (row ^ (row >> 1)) & looked_at
                found = along_x | (along_y << 8) | (along_z << 16)
                edges[place, x, y] = found
                counts[place, x, y, 0] = _bit_count(found)
                faces, remaining = 0, np.int64(crossing[block, x, y])
                for z in range(8):
                    if (remaining >> z) & 1:
                        faces += face_counts[_case(padded, place, x, y, z)]
                counts[place, x, y, 1] = faces


@njit(cache=True, nogil=True)
def number_rows(keys, counts):  # type: ignore[no-untyped-def]
    """Replace the counts by the sums over all rows before, in the order of x, y, z; returns the two sums over all.

    keys: (M,) int64 sorted keys of the blocks.  counts: (M, 8, 8, 2) int64.
    """
    total, vertices, faces = keys.shape[0], 0, 0
    slab = 0
    while slab < total:
        slab_end = slab
        while slab_end < total and keys[slab_end] >> (2 * AXIS_BITS) == keys[slab] >> (2 * AXIS_BITS):
            slab_end += 1
        for x in range(8):
            column = slab
            while column < slab_end:
                column_end = column
                while column_end < slab_end and keys[column_end] >> AXIS_BITS == keys[column] >> AXIS_BITS:
                    column_end += 1
                for y in range(8):
                    for place in range(column, column_end):
                        vertex_count, face_count = counts[place, x, y, 0], counts[place, x, y, 1]
                        counts[place, x, y, 0], counts[place, x, y, 1] = vertices, faces
                        vertices += vertex_count
                        faces += face_count
                column = column_end
        slab = slab_end
    return vertices, faces


@njit(cache=True, nogil=True)
def write_vertices(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    keys,  # (M,) int64 of these blocks
    neighbours,  # (B, 11) int32
    edges,  # (M, 8, 8) int32
    firsts,  # (M, 8, 8, 2) int64: the first vertex of each row
    logits,  # (B, 8, 8, 8) float32
    threshold,  # float64
    margin,  # float64: share of an edge that vertices keep from its ends
    cell,  # float64: field units between lattice points
    offset,  # float64: of lattice point 0
    vertices,  # (V, 3) float64, written: field coordinates
    begin,
    end,
):
    """Place the vertices of blocks begin to end where the threshold is reached by linear interpolation."""
    for place in range(begin, end):
        block = blocks[place]
        for x in range(8):
            for y in range(8):
                row = np.int64(edges[place, x, y])
                if row == 0:
                    continue
                px = 8 * (((keys[place] >> (2 * AXIS_BITS)) & _AXIS_MASK) - AXIS_LIMIT) + x
                py = 8 * (((keys[place] >> AXIS_BITS) & _AXIS_MASK) - AXIS_LIMIT) + y
                pz = 8 * ((keys[place] & _AXIS_MASK) - AXIS_LIMIT)
                vertex = firsts[place, x, y, 0]
                for z in range(8):
                    for axis in range(3):
                        if (row >> (8 * axis + z)) & 1 == 0:
                            continue
                        hx, hy, hz = x + (axis == 0), y + (axis == 1), z + (axis == 2)
                        high = neighbours[block, (hx >> 3) | (hy >> 3) << 1 | (hz >> 3) << 2]
                        start = np.float64(logits[block, x, y, z])
                        stop = np.float64(logits[high, hx & 7, hy & 7, hz & 7])
                        share = min(max((threshold - start) / (stop - start), margin), 1 - margin)
                        vertices[vertex, 0] = (px + (share if axis == 0 else 0.0)) * cell + offset
                        vertices[vertex, 1] = (py + (share if axis == 1 else 0.0)) * cell + offset
                        vertices[vertex, 2] = (pz + z + (share if axis == 2 else 0.0)) * cell + offset
                        vertex += 1


@njit(cache=True, nogil=True)
def write_faces(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    places,  # (B,) int64: where each block stands in `blocks`
    neighbours,  # (B, 11) int32
    padded,  # (M, 9, 9) uint16: points inside
    crossing,  # (B, 8, 8) uint8
    edges,  # (M, 8, 8) int32
    firsts,  # (M, 8, 8, 2) int64: the first vertex and face of each row
    face_counts,  # (256,) int64
    face_starts,  # (256,) int64: first row of each case
    table,  # (T, 3) int64: cube edges of a triangle
    lows,  # (12,) int64: the lower corner of each cube edge, 4 * axis + n
    around,  # (2, 9, 9, 2) int64 scratch: edges and first vertex of the rows of a block, and of those after it
    faces,  # (F, 3) int64, written
    begin,
    end,
):
    """Write the triangles of blocks begin to end: the table's, in the order of the cells."""
    for place in range(begin, end):
        block = blocks[place]
        gathered = False
        for x in range(8):
            for y in range(8):
                row = np.int64(crossing[block, x, y])
                if row == 0:
                    continue
                if not gathered:
                    gathered = True
                    for octant in range(8):
                        dx, dy, dz = octant & 1, (octant >> 1) & 1, octant >> 2
                        source = neighbours[block, octant]
                        if source < 0:
                            continue
                        for px in range(8 * dx, 8 + dx):
                            for py in range(8 * dy, 8 + dy):
                                around[0, px, py, dz] = edges[places[source], px & 7, py & 7]
                                around[1, px, py, dz] = firsts[places[source], px & 7, py & 7, 0]
                face = firsts[place, x, y, 1]
                for z in range(8):
                    if (row >> z) & 1 == 0:
                        continue
                    case = _case(padded, place, x, y, z)
                    for entry in range(face_starts[case], face_starts[case] + face_counts[case]):
                        for corner in range(3):
                            edge = np.int64(table[entry, corner])
                            low = lows[edge]
                            px, py, pz = x + (low & 1), y + ((low >> 1) & 1), z + (low >> 2)
                            before = around[0, px, py, pz >> 3] & _EARLIER[pz & 7, edge >> 2]
                            faces[face, corner] = around[1, px, py, pz >> 3] + _bit_count(before)
                        face += 1


@njit(cache=True, nogil=True)
def mark_border_edges(  # type: ignore[no-untyped-def]
    blocks,  # (M,) int64
    places,  # (B,) int64: where each block stands in `blocks`
    own,  # (M,) bool
    neighbours,  # (B, 11) int32
    padded,  # (M, 9, 9) uint16: points inside
    crossing,  # (B, 8, 8) uint8
    lows,  # (12,) int64: the lower corner of each cube edge, 4 * axis + n
    edges,  # (M, 8, 8) int32, written: in blocks that are not own, the crossing edges that crossing cells of own ones use
    counts,  # (M, 8, 8, 2) int64, written: vertices and faces of each row of these
):
    """Find the vertices that the faces of own blocks need beyond them."""
    for place in range(blocks.shape[0]):
        if not own[place]:
            edges[place] = 0
            counts[place] = 0
    for place in range(blocks.shape[0]):
        if not own[place]:
            continue
        block = blocks[place]
        for x in range(8):
            for y in range(8):
                row = np.int64(crossing[block, x, y])
                for z in range(8):
                    if (row >> z) & 1 == 0 or (x < 7 and y < 7 and z < 7):
                        continue
                    case = _case(padded, place, x, y, z)
                    for edge in range(12):
                        low, axis = lows[edge], edge >> 2
                        if (case >> low) & 1 == (case >> (low + (1 << axis))) & 1:
                            continue
                        px, py, pz = x + (low & 1), y + ((low >> 1) & 1), z + (low >> 2)
                        target = places[neighbours[block, (px >> 3) | (py >> 3) << 1 | (pz >> 3) << 2]]
                        if not own[target]:
                            edges[target, px & 7, py & 7] |= np.int32(1 << (8 * axis + (pz & 7)))
    for place in range(blocks.shape[0]):
        if not own[place]:
            for x in range(8):
                for y in range(8):
                    counts[place, x, y, 0] = _bit_count(np.int64(edges[place, x, y]))


@njit(cache=True, nogil=True)
def write_vertex_keys(keys, edges, firsts, vertex_keys):  # type: ignore[no-untyped-def]
    """(V,) int64, written: 4 * the key of the lattice point that a vertex belongs to + the axis of its edge.

    keys: (M,) int64 of the blocks.  edges: (M, 8, 8) int32.  firsts: (M, 8, 8, 2) int64, as for write_vertices.
    """
    for place in range(keys.shape[0]):
        for x in range(8):
            for y in range(8):
                row = np.int64(edges[place, x, y])
                if row == 0:
                    continue
                key = 8 * ((keys[place] >> (2 * AXIS_BITS)) & _AXIS_MASK) - 7 * AXIS_LIMIT + x
                key = (key << AXIS_BITS) | (8 * ((keys[place] >> AXIS_BITS) & _AXIS_MASK) - 7 * AXIS_LIMIT + y)
                key = (key << AXIS_BITS) | (8 * (keys[place] & _AXIS_MASK) - 7 * AXIS_LIMIT)
                vertex = firsts[place, x, y, 0]
                for z in range(8):
                    for axis in range(3):
                        if (row >> (8 * axis + z)) & 1:
                            vertex_keys[vertex] = 4 * (key + z) + axis
                            vertex += 1
