"""Stage mesh: sweeps over sorted lattice keys, compiled by Numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(inline="always")
def _lower_bound(keys, key, near):  # type: ignore[no-untyped-def]
    """First place in sorted `keys` that is not below `key`, searched in growing steps from the place `near`."""
    total = len(keys)
    if near < total and keys[near] < key:
        low, step = near + 1, 1
        while low + step <= total and keys[low + step - 1] < key:
            low += step
            step *= 2
        high = min(low + step - 1, total)
    else:
        high, step = near, 1
        while high - step >= 0 and keys[high - step] >= key:
            high -= step
            step *= 2
        low = max(high - step + 1, 0)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def lower_bounds(keys, queries, places, begin, end):  # type: ignore[no-untyped-def]
    """places (Q,) int64, written from begin to end: as np.searchsorted; fast where queries follow each other closely.

    keys: (V,) int64 sorted.  queries: (Q,) int64 in any order.
    """
    place = np.int64(0)
    for query in range(begin, end):
        place = _lower_bound(keys, queries[query], place)
        places[query] = place


@njit(cache=True, nogil=True)
def merge(first, second, merged):  # type: ignore[no-untyped-def]
    """The union of two sorted key arrays, each key once, into merged (N + M,); how many there are."""
    a, b, written = 0, 0, 0
    while a < len(first) or b < len(second):
        if b == len(second) or (a < len(first) and first[a] <= second[b]):
            key = first[a]
            a += 1
        else:
            key = second[b]
            b += 1
        if written == 0 or merged[written - 1] != key:
            merged[written] = key
            written += 1
    return written


@njit(cache=True, nogil=True)
def merge_order(first, second, keys, order):  # type: ignore[no-untyped-def]
    """Merge two sorted arrays without common keys; order (N + M,) int64: where each key stood, one after the other."""
    a, b = 0, 0
    for n in range(len(keys)):
        if b == len(second) or (a < len(first) and first[a] < second[b]):
            keys[n], order[n] = first[a], a
            a += 1
        else:
            keys[n], order[n] = second[b], len(first) + b
            b += 1


@njit(cache=True, nogil=True)
def corner_rows(cells, corners, shifts, places, begin, end):  # type: ignore[no-untyped-def]
    """places (M, 8) int32 of the cells' corners, rows begin to end; shifts (4,) of the lower four.

    cells: (M,) sorted.  corners: sorted, all corners of the cells; the one above in z is the next.
    """
    for low in range(4):
        place = np.int64(0)
        for cell in range(begin, end):
            place = _lower_bound(corners, cells[cell] + shifts[low], place)
            places[cell, low], places[cell, low + 4] = place, place + 1


@njit(cache=True, nogil=True)
def cell_cases(cells, corners, inside, shifts, cases, begin, end):  # type: ignore[no-untyped-def]
    """cases (M,) uint8, rows begin to end: bit c is set where corner c is inside (P,) uint8; see corner_rows."""
    cases[begin:end] = 0
    for low in range(4):
        place = np.int64(0)
        for cell in range(begin, end):
            place = _lower_bound(corners, cells[cell] + shifts[low], place)
            cases[cell] |= (inside[place] << low) | (inside[place + 1] << (low + 4))


@njit(cache=True, nogil=True)
def mark_edges(places, cases, edge_ends, edge_axis, crossing):  # type: ignore[no-untyped-def]
    """Set crossing (3 P,) bool at 3 * low end + axis for each of a cell's edges whose ends differ.

    places: (M, 8) int32 of the cells' corners.  edge_ends: (12, 2), edge_axis: (12,) int64.
    """
    for cell in range(len(cases)):
        for edge in range(12):
            low, high = edge_ends[edge, 0], edge_ends[edge, 1]
            if (cases[cell] >> low ^ cases[cell] >> high) & 1:
                crossing[3 * np.int64(places[cell, low]) + edge_axis[edge]] = True


@njit(cache=True, nogil=True)
def fill_faces(  # type: ignore[no-untyped-def]
    places, cases, first_face, starts, counts, edges, edge_ends, edge_axis, vertex_of, faces, begin, end
):
    """faces (F, 3) int64: the table's triangles of cells begin to end, from each cell's first face on."""
    for cell in range(begin, end):
        start, face = starts[cases[cell]], first_face[cell]
        for triangle in range(counts[cases[cell]]):
            for corner in range(3):
                edge = edges[start + triangle, corner]
                slot = 3 * np.int64(places[cell, edge_ends[edge, 0]]) + edge_axis[edge]
                faces[face + triangle, corner] = vertex_of[slot]
