"""Stage extract: the marching-cubes table, derived from the cube instead of copied.

Corner c has its position in the bits of c (bit 0 x, bit 1 y, bit 2 z); case number = sum of 2**c over the
corners inside.  Edge e = 4 * axis + n joins two corners that differ in `axis`.

For each of the 256 cases every face of the cube gets directed segments between its crossing edges, the
segments join into loops, and each loop is cut into triangles.  On a face whose diagonal corners agree (the
ambiguous one) the two inside corners are always *joined*: both cells at a face take the same decision, so the
surface closes, and thin walls stay whole.  No triangle edge other than the segments lies in a face of the
cube (two cells could use it twice): every edge of a closed surface then has exactly two triangles, and every
vertex one fan (Lorensen and Cline 1987; ambiguity: Nielson and Hamann 1991).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np


def _edge_ends() -> np.ndarray:
    """(12, 2): the two corners of every edge, lower one first."""
    ends = []
    for axis in range(3):
        first, second = [other for other in range(3) if other != axis]
        for n in range(4):
            low = ((n & 1) << first) | ((n >> 1) << second)
            ends.append((low, low | (1 << axis)))
    return np.array(ends)


EDGE_ENDS = _edge_ends()
_EDGE_BETWEEN = {frozenset(map(int, ends)): edge for edge, ends in enumerate(EDGE_ENDS)}


def _faces() -> list[tuple[int, int, int, int]]:
    """The four corners of each of the six faces, counter-clockwise seen from outside the cube.

    Face number 2 * axis is the low side, 2 * axis + 1 the high side.
    """
    faces = []
    for axis in range(3):
        u, v = 1 << (axis + 1) % 3, 1 << (axis + 2) % 3
        faces.append((0, v, u | v, u))
        far = 1 << axis
        faces.append((far, far | u, far | u | v, far | v))
    return faces


FACE_CORNERS = _faces()


@dataclass(frozen=True)
class CubeTable:
    """counts: (256,) triangles per case.  starts: (256,) first row.  edges: (T, 3) cube edges of a triangle."""

    counts: np.ndarray
    starts: np.ndarray
    edges: np.ndarray


def _face_segments(case: int, face: tuple[int, int, int, int]) -> list[tuple[int, int]]:
    """Directed segments (edge to edge) of the surface on one face, the inside to their right from outside.

    Each segment ends where the walk around the face enters the inside; joining the inside corners
    means: it starts where the walk last *left* the inside.
    """
    inside = [bool(case >> corner & 1) for corner in face]
    segments = []
    for n in range(4):
        if not inside[n] and inside[(n + 1) % 4]:
            back = n
            while not inside[back]:
                back = (back - 1) % 4
            left_at = _EDGE_BETWEEN[frozenset((face[back], face[(back + 1) % 4]))]
            enters_at = _EDGE_BETWEEN[frozenset((face[n], face[(n + 1) % 4]))]
            segments.append((enters_at, left_at))
    return segments


def _loops(case: int) -> list[list[int]]:
    """The closed loops of crossing edges of one case, counter-clockwise seen from outside the surface."""
    following = dict(segment for face in FACE_CORNERS for segment in _face_segments(case, face))
    loops = []
    while following:
        start = min(following)
        loop = [start]
        step = following.pop(start)
        while step != start:
            loop.append(step)
            step = following.pop(step)
        loops.append(loop)
    return loops


def _share_a_face(first: int, second: int) -> bool:
    corners = {int(corner) for edge in (first, second) for corner in EDGE_ENDS[edge]}
    return any(corners <= set(face) for face in FACE_CORNERS)


def _triangulations(loop: tuple[int, ...]) -> list[list[tuple[int, int, int]]]:
    """All ways to cut a loop into triangles by diagonals that do not lie in a face of the cube."""
    if len(loop) == 2:
        return [[]]
    found = []
    for n in range(1, len(loop) - 1):  # the triangle on the side from the last to the first
        sides = [(0, n), (n, len(loop) - 1)]
        if any(b - a > 1 and _share_a_face(loop[a], loop[b]) for a, b in sides):
            continue
        for before in _triangulations(loop[: n + 1]):
            found += [[*before, (loop[0], loop[n], loop[-1]), *after] for after in _triangulations(loop[n:])]
    return found


def _most_even(triangulations: list[list[tuple[int, int, int]]]) -> list[tuple[int, int, int]]:
    """The one whose busiest vertex has the fewest triangles: no long fans."""
    return min(triangulations, key=lambda triangles: max(np.bincount(np.ravel(triangles))))


@cache
def cube_table() -> CubeTable:
    """The table for all 256 cases (computed once)."""
    rows: list[tuple[int, int, int]] = []
    starts = [0]
    for case in range(256):
        for loop in _loops(case):
            rows += _most_even(_triangulations(tuple(loop)))
        starts.append(len(rows))
    counts = np.array([end - start for start, end in pairwise(starts)])
    return CubeTable(counts, np.array(starts[:-1]), np.array(rows))
