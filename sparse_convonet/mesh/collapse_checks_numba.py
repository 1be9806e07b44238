"""Stage mesh: the compiled checks of collapse_numba.py: what an edge that becomes a vertex must leave as it is."""

from __future__ import annotations

import numpy as np

from sparse_convonet.mesh.raycast_numba import squared_distance
from sparse_convonet.runtime.numba_cache import njit

_TURN = 0.5  # cosine of the largest angle that a face may turn by in one collapse
_SLIM = 0.02  # least height of a face by its longest edge, unless it was slimmer before


@njit(cache=True)
def is_link(faces, dead, room, begins, ends, stamps, stamp, kept, gone):  # type: ignore[no-untyped-def]
    """Whether the surface stays a manifold: two faces share the edge, two vertices are neighbours of both ends, and these
    two are not joined by a face at either end, which would become one face twice (the edge of a tetrahedron)."""
    shared = 0
    for entry in range(begins[kept], ends[kept]):
        face = room[entry] // 3
        if not dead[face]:
            shared += has(faces, face, gone)
            for corner in range(3):
                stamps[faces[face, corner]] = stamp
    if shared != 2:
        return False
    common, first, second = 0, kept, kept
    for entry in range(begins[gone], ends[gone]):
        face = room[entry] // 3
        if not dead[face]:
            for corner in range(3):
                vertex = faces[face, corner]
                if vertex != kept and vertex != gone and stamps[vertex] == stamp:
                    stamps[vertex] = stamp + 1
                    common += 1
                    first, second = second, vertex
    if common != 2:
        return False
    return not (
        _joined(faces, dead, room, begins[kept], ends[kept], first, second)
        and _joined(faces, dead, room, begins[gone], ends[gone], first, second)
    )


@njit(cache=True)
def _joined(faces, dead, room, begin, end, first, second):  # type: ignore[no-untyped-def]
    """Whether one of the faces around a vertex has both others."""
    for entry in range(begin, end):
        face = room[entry] // 3
        if not dead[face] and has(faces, face, first) and has(faces, face, second):
            return True
    return False


@njit(cache=True)
def fits(vertices, faces, dead, room, begin, end, other, place, first, second, gaps):  # type: ignore[no-untyped-def]
    """Whether no face around a vertex, but those of the edge, turns far or becomes a sliver when the vertex moves to place.

    gaps (2,): lowered to the squared distances of two points (3,) to those of the new faces that they lie over.
    """
    x, y, z = place[0], place[1], place[2]
    px, py, pz = first[0] - x, first[1] - y, first[2] - z
    qx, qy, qz = second[0] - x, second[1] - y, second[2] - z
    for entry in range(begin, end):
        face, corner = room[entry] // 3, room[entry] % 3
        if dead[face] or has(faces, face, other):
            continue
        here, following = vertices[faces[face, corner]], vertices[faces[face, (corner + 1) % 3]]
        last = vertices[faces[face, (corner + 2) % 3]]
        ox, oy, oz = normal(here, following, last)
        ux, uy, uz = following[0] - x, following[1] - y, following[2] - z
        vx, vy, vz = last[0] - x, last[1] - y, last[2] - z
        nx, ny, nz = _cross(ux, uy, uz, vx, vy, vz)
        old, new = _dot(ox, oy, oz, ox, oy, oz), _dot(nx, ny, nz, nx, ny, nz)
        turned = _dot(ox, oy, oz, nx, ny, nz)
        if turned <= 0 or turned * turned < _TURN * _TURN * old * new:
            return False
        wx, wy, wz = vx - ux, vy - uy, vz - uz
        longest = max(_dot(ux, uy, uz, ux, uy, uz), _dot(vx, vy, vz, vx, vy, vz), _dot(wx, wy, wz, wx, wy, wz))
        # Height by longest edge is the length of the normal by that edge squared.
        if new < _SLIM * _SLIM * longest * longest and new * _longest(here, following, last) ** 2 < old * longest**2:
            return False
        # Inward across the sides u and v, times the area: a point is over the face where it is on neither's far side.
        sx, sy, sz = _cross(nx, ny, nz, ux, uy, uz)
        tx, ty, tz = _cross(vx, vy, vz, nx, ny, nz)
        along, across = _dot(tx, ty, tz, px, py, pz), _dot(sx, sy, sz, px, py, pz)
        if along >= 0 and across >= 0 and along + across <= new:
            gaps[0] = min(gaps[0], _dot(nx, ny, nz, px, py, pz) ** 2 / new)
        along, across = _dot(tx, ty, tz, qx, qy, qz), _dot(sx, sy, sz, qx, qy, qz)
        if along >= 0 and across >= 0 and along + across <= new:
            gaps[1] = min(gaps[1], _dot(nx, ny, nz, qx, qy, qz) ** 2 / new)
    return True


@njit(cache=True)
def distance_after(point, vertices, faces, dead, room, begins, ends, kept, gone, place):  # type: ignore[no-untyped-def]
    """The squared distance of a point to the faces that there will be around a collapsed edge's vertex."""
    corners, best = np.empty(9), np.inf
    corners[:3] = place
    for moved, other in ((kept, gone), (gone, kept)):
        for entry in range(begins[moved], ends[moved]):
            face, corner = room[entry] // 3, room[entry] % 3
            if dead[face] or has(faces, face, other):
                continue
            corners[3:6] = vertices[faces[face, (corner + 1) % 3]]
            corners[6:] = vertices[faces[face, (corner + 2) % 3]]
            best = min(best, squared_distance(corners, point[0], point[1], point[2]))
    return best


@njit(cache=True, inline="always")
def normal(a, b, c):  # type: ignore[no-untyped-def]
    """The normal of a triangle, twice its area long."""
    return _cross(b[0] - a[0], b[1] - a[1], b[2] - a[2], c[0] - a[0], c[1] - a[1], c[2] - a[2])


@njit(cache=True, inline="always")
def _cross(ux, uy, uz, vx, vy, vz):  # type: ignore[no-untyped-def]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@njit(cache=True, inline="always")
def _dot(ux, uy, uz, vx, vy, vz):  # type: ignore[no-untyped-def]
    return ux * vx + uy * vy + uz * vz


@njit(cache=True, inline="always")
def _longest(a, b, c):  # type: ignore[no-untyped-def]
    """The squared length of the longest edge of a triangle."""
    ab = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
    bc = (b[0] - c[0]) ** 2 + (b[1] - c[1]) ** 2 + (b[2] - c[2]) ** 2
    ca = (c[0] - a[0]) ** 2 + (c[1] - a[1]) ** 2 + (c[2] - a[2]) ** 2
    return max(ab, bc, ca)


@njit(cache=True, inline="always")
def has(faces, face, vertex):  # type: ignore[no-untyped-def]
    return faces[face, 0] == vertex or faces[face, 1] == vertex or faces[face, 2] == vertex
