"""Stage mesh: the compiled loops of topology.py; each sees a face's vertices once, without sorting all edges."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, inline="always")
def _scaled_normal(vertices, faces, face):  # type: ignore[no-untyped-def]
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
    wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
    return uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx


@njit(cache=True, nogil=True)
def fill_normals(vertices, faces, normals, begin, end):  # type: ignore[no-untyped-def]
    """normals (F, 3) float64: cross product of two edges of each face from begin to end."""
    for face in range(begin, end):
        normals[face, 0], normals[face, 1], normals[face, 2] = _scaled_normal(vertices, faces, face)


@njit(cache=True, nogil=True)
def fill_areas(vertices, faces, areas, begin, end):  # type: ignore[no-untyped-def]
    """areas (F,) float64 of the faces from begin to end."""
    for face in range(begin, end):
        x, y, z = _scaled_normal(vertices, faces, face)
        areas[face] = np.sqrt(x * x + y * y + z * z) / 2


@njit(cache=True, inline="always")
def _root(parent, vertex):  # type: ignore[no-untyped-def]
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]
        vertex = parent[vertex]
    return vertex


@njit(cache=True, nogil=True)
def label_components(faces, labels):  # type: ignore[no-untyped-def]
    """labels (V,) int32: the pieces, numbered by their lowest vertices; returns how many.

    A forest in which no vertex hangs below a higher one (union-find), so that one ascending pass numbers it.
    """
    for vertex in range(labels.shape[0]):
        labels[vertex] = vertex
    for face in range(faces.shape[0]):
        lowest = _root(labels, faces[face, 0])
        for corner in range(1, 3):
            other = _root(labels, faces[face, corner])
            labels[max(lowest, other)] = min(lowest, other)
            lowest = min(lowest, other)
    count = 0
    for vertex in range(labels.shape[0]):
        if labels[vertex] == vertex:
            labels[vertex] = count
            count += 1
        else:
            labels[vertex] = labels[labels[vertex]]
    return count


@njit(cache=True, nogil=True)
def measure_pieces(vertices, faces, labels, areas, piece_faces, piece_area, low, high):  # type: ignore[no-untyped-def]
    """Add up (P,) faces and areas, and widen the boxes (P, 3) low to high, of the pieces that labels (V,) name."""
    for face in range(faces.shape[0]):
        piece = labels[faces[face, 0]]
        piece_faces[piece] += 1
        piece_area[piece] += areas[face]
    for vertex in range(labels.shape[0]):
        piece = labels[vertex]
        for axis in range(3):
            low[piece, axis] = min(low[piece, axis], vertices[vertex, axis])
            high[piece, axis] = max(high[piece, axis], vertices[vertex, axis])


@njit(cache=True, inline="always")
def _sort(values, begin, end):  # type: ignore[no-untyped-def]
    """Shell's sort in place: as fast as insertion for the usual six values, and no disaster for a vertex of a million."""
    gap = 1
    while 3 * gap + 1 < end - begin:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(begin + gap, end):
            value = values[place]
            hole = place
            while hole - gap >= begin and values[hole - gap] > value:
                values[hole] = values[hole - gap]
                hole -= gap
            values[hole] = value
        gap //= 3


@njit(cache=True, nogil=True)
def check_edges(faces, first, last, apart):  # type: ignore[no-untyped-def]
    """(distinct edges, whether each has one face on either side) of those whose lower vertex is in first to last.

    apart: (V,) bool; edges between two such vertices are left out; (0,) leaves none out.
    The faces' edges are gathered by their lower vertex, as the higher vertex doubled plus one where the face
    runs down the edge; each vertex's few are then sorted.  An edge from a vertex to itself has but one side.
    """
    starts = np.zeros(last - first + 1, dtype=np.int64)
    for face in range(faces.shape[0]):
        for corner in range(3):
            start, end = faces[face, corner], faces[face, (corner + 1) % 3]
            low = min(start, end)
            if first <= low < last and not (len(apart) and apart[start] and apart[end]):
                starts[low - first] += 1
    total = 0
    for vertex in range(last - first + 1):
        total += starts[vertex]
        starts[vertex] = total  # where the next vertex begins; filling moves it to where this one begins
    others = np.empty(total, dtype=np.int64)
    for face in range(faces.shape[0]):
        for corner in range(3):
            start, end = faces[face, corner], faces[face, (corner + 1) % 3]
            low = min(start, end)
            if first <= low < last and not (len(apart) and apart[start] and apart[end]):
                starts[low - first] -= 1
                others[starts[low - first]] = 2 * max(start, end) + (1 if end < start else 0)
    edges, closed = 0, True
    for vertex in range(first, last):
        begin, end = starts[vertex - first], starts[vertex - first + 1]
        _sort(others, begin, end)
        place = begin
        while place < end:
            high = others[place] >> 1
            sides = 1
            while place + sides < end and others[place + sides] >> 1 == high:
                sides += 1
            if high == vertex:
                closed = closed and sides == 1
            else:
                closed = closed and sides == 2 and others[place] != others[place + 1]
            edges += 1
            place += sides
    return edges, closed


@njit(cache=True, nogil=True)
def keep_and_number(faces, keep, number, kept):  # type: ignore[no-untyped-def]
    """Number the vertices of the kept faces in their order; -1 in number (V,) int64 marks those that go.

    number: filled with -1.  kept: (K, 3) int64, receives the kept faces with the new numbers.
    Returns the vertices left.
    """
    for face in range(faces.shape[0]):
        if keep[face]:
            for corner in range(3):
                number[faces[face, corner]] = 0
    count = 0
    for vertex in range(number.shape[0]):
        if number[vertex] == 0:
            number[vertex] = count
            count += 1
    row = 0
    for face in range(faces.shape[0]):
        if keep[face]:
            for corner in range(3):
                kept[row, corner] = number[faces[face, corner]]
            row += 1
    return count
