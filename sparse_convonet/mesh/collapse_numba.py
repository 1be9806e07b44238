"""Stage mesh: the compiled loops of collapse.py: edges that cost little become vertices, sweep by sweep."""

from __future__ import annotations

import numpy as np

from sparse_convonet.mesh.raycast_numba import squared_distance
from sparse_convonet.runtime.numba_cache import njit

_TURN = 0.5  # cosine of the largest angle that a face may turn by in one collapse
_SLIM = 0.02  # least height of a face by its longest edge, unless it was slimmer before


@njit(cache=True, nogil=True)
def lock_rims(faces, locked):  # type: ignore[no-untyped-def]
    """Lock (V,) bool the ends of edges that do not have exactly two faces, once the way and once the other."""
    count = locked.shape[0]
    starts, corners = _stars(faces, faces.shape[0], count)
    met = np.zeros(count, dtype=np.int32)
    for vertex in range(count):
        begin, end = starts[vertex], starts[vertex + 1]
        for place in range(begin, end):  # each neighbour is met once as the next and once as the one before
            face, corner = corners[place] // 3, corners[place] % 3
            met[faces[face, (corner + 1) % 3]] += 1
            met[faces[face, (corner + 2) % 3]] += 1 << 16
        for place in range(begin, end):
            face = corners[place] // 3
            for corner in range(3):
                other = faces[face, corner]
                if other != vertex and met[other] != (1 << 16) + 1:
                    locked[vertex] = True
                    locked[other] = True
        for place in range(begin, end):
            face = corners[place] // 3
            for corner in range(3):
                met[faces[face, corner]] = 0


@njit(cache=True, nogil=True)
def fill_quadrics(vertices, faces, quadrics):  # type: ignore[no-untyped-def]
    """Add to quadrics (V, 11) float64 of each vertex those of its faces' planes, by area, and the area itself.

    Garland and Heckbert 1997, eq. 2: the sum of squared distances as xx xy xz x yy yz y zz z 1.
    """
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x, y, z = _normal(vertices[a], vertices[b], vertices[c])
        length = np.sqrt(x * x + y * y + z * z)
        if length == 0:
            continue
        x, y, z = x / length, y / length, z / length
        d = -(x * vertices[a, 0] + y * vertices[a, 1] + z * vertices[a, 2])
        for corner in range(3):
            row = quadrics[faces[face, corner]]
            row[0] += length * x * x
            row[1] += length * x * y
            row[2] += length * x * z
            row[3] += length * x * d
            row[4] += length * y * y
            row[5] += length * y * z
            row[6] += length * y * d
            row[7] += length * z * z
            row[8] += length * z * d
            row[9] += length * d * d
            row[10] += length


@njit(cache=True, nogil=True)
def sweep(vertices, faces, live, quadrics, farthest, values, locked, error, reach):  # type: ignore[no-untyped-def]
    """Collapse edges whose mean squared distance to the planes that they stand for is at most error squared.

    faces (F, 3) int32, of which the first `live` count; they come back in their order, without those that collapsed.
    farthest (V, 3): of the vertices that each one stands for, that which lies farthest from its faces; at most `reach`.
    values (V, C) float32: means over what each vertex stands for.  Each vertex takes part once.  Returns how many faces
    are left.
    """
    count = vertices.shape[0]
    starts, corners = _stars(faces, live, count)
    room = np.empty(2 * corners.shape[0], dtype=np.int32)
    room[: corners.shape[0]] = corners
    begins, ends = starts[:-1].copy(), starts[1:].copy()
    used = corners.shape[0]
    touched, stamps = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.int32)
    dead = np.zeros(live, dtype=np.bool_)
    place, stamp, bound = np.empty(3), 0, error * error
    for face in range(live):
        if dead[face]:
            continue
        for side in range(3):
            kept, gone = faces[face, side], faces[face, (side + 1) % 3]
            if touched[kept] or touched[gone] or (locked[kept] and locked[gone]):
                continue
            if locked[gone]:
                kept, gone = gone, kept
            if _place(vertices, quadrics[kept], quadrics[gone], kept, gone, locked[kept], place) > bound:
                continue
            stamp += 2
            if not _is_link(faces, dead, room, begins, ends, stamps, stamp, kept, gone):
                continue
            if not _stays_upright(vertices, faces, dead, room, begins[kept], ends[kept], kept, gone, place):
                continue
            if not _stays_upright(vertices, faces, dead, room, begins[gone], ends[gone], gone, kept, place):
                continue
            ours = _distance(farthest[kept], vertices, faces, dead, room, begins, ends, kept, gone, place)
            if ours > reach * reach:
                continue
            theirs = _distance(farthest[gone], vertices, faces, dead, room, begins, ends, kept, gone, place)
            if theirs > reach * reach:
                continue
            if theirs > ours:
                farthest[kept] = farthest[gone]
            _merge(vertices, quadrics, values, kept, gone, place)
            first = used
            for vertex in (kept, gone):
                for entry in range(begins[vertex], ends[vertex]):
                    other, corner = room[entry] // 3, room[entry] % 3
                    if dead[other]:
                        continue
                    if vertex == gone:
                        faces[other, corner] = kept
                    if (faces[other, 0] == kept) + (faces[other, 1] == kept) + (faces[other, 2] == kept) > 1 or (
                        vertex == kept and _has(faces, other, gone)
                    ):
                        dead[other] = True
                        continue
                    room[used] = room[entry]
                    used += 1
            begins[kept], ends[kept] = first, used
            touched[kept] = touched[gone] = True
            break
    left = 0
    for face in range(live):
        if not dead[face]:
            faces[left] = faces[face]
            left += 1
    return left


@njit(cache=True)
def _stars(faces, live, count):  # type: ignore[no-untyped-def]
    """(V + 1,) starts and (3 F,) corners (3 face + corner) of the faces around each vertex."""
    starts = np.zeros(count + 1, dtype=np.int64)
    for face in range(live):
        for corner in range(3):
            starts[faces[face, corner] + 1] += 1
    for vertex in range(count):
        starts[vertex + 1] += starts[vertex]
    filled, corners = starts[:-1].copy(), np.empty(3 * live, dtype=np.int32)
    for face in range(live):
        for corner in range(3):
            vertex = faces[face, corner]
            corners[filled[vertex]] = 3 * face + corner
            filled[vertex] += 1
    return starts, corners


@njit(cache=True, inline="always")
def _normal(a, b, c):  # type: ignore[no-untyped-def]
    """The normal of a triangle, twice its area long."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx


@njit(cache=True, inline="always")
def _longest(a, b, c):  # type: ignore[no-untyped-def]
    """The length of the longest edge of a triangle."""
    ab = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
    bc = (b[0] - c[0]) ** 2 + (b[1] - c[1]) ** 2 + (b[2] - c[2]) ** 2
    ca = (c[0] - a[0]) ** 2 + (c[1] - a[1]) ** 2 + (c[2] - a[2]) ** 2
    return np.sqrt(max(ab, bc, ca))


@njit(cache=True, inline="always")
def _has(faces, face, vertex):  # type: ignore[no-untyped-def]
    return faces[face, 0] == vertex or faces[face, 1] == vertex or faces[face, 2] == vertex


@njit(cache=True, inline="always")
def _cost(xx, xy, xz, x1, yy, yz, y1, zz, z1, one, x, y, z):  # type: ignore[no-untyped-def]
    """The sum of squared distances of a place to the planes of a quadric, and at least 0."""
    mixed = xy * x * y + xz * x * z + yz * y * z + x1 * x + y1 * y + z1 * z
    return max(0.0, xx * x * x + yy * y * y + zz * z * z + 2 * mixed + one)


@njit(cache=True)
def _place(vertices, first, second, kept, gone, is_fixed, place):  # type: ignore[no-untyped-def]
    """Where the vertex of a collapsed edge goes, and the mean squared distance there; infinite without area."""
    area = first[10] + second[10]
    if area == 0:
        return np.inf
    qxx, qxy, qxz, qx = first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]
    qyy, qyz, qy = first[4] + second[4], first[5] + second[5], first[6] + second[6]
    qzz, qz, q1 = first[7] + second[7], first[8] + second[8], first[9] + second[9]
    ax, ay, az = vertices[kept, 0], vertices[kept, 1], vertices[kept, 2]
    bx, by, bz = vertices[gone, 0], vertices[gone, 1], vertices[gone, 2]
    if is_fixed:
        place[0], place[1], place[2] = ax, ay, az
        return _cost(qxx, qxy, qxz, qx, qyy, qyz, qy, qzz, qz, q1, ax, ay, az) / area
    mx, my, mz = (ax + bx) / 2, (ay + by) / 2, (az + bz) / 2
    reach = (ax - bx) ** 2 + (ay - by) ** 2 + (az - bz) ** 2
    # The minimum, drawn to the middle where the planes leave it open (all in one plane, or along one line).
    pull = 1e-3 * (qxx + qyy + qzz)
    xx, yy, zz = qxx + pull, qyy + pull, qzz + pull
    rx, ry, rz = pull * mx - qx, pull * my - qy, pull * mz - qz
    cxx, cxy, cxz = yy * zz - qyz * qyz, qxz * qyz - qxy * zz, qxy * qyz - qxz * yy
    determinant = xx * cxx + qxy * cxy + qxz * cxz
    if determinant > 0:
        cyy, cyz, czz = xx * zz - qxz * qxz, qxy * qxz - xx * qyz, xx * yy - qxy * qxy
        x = (cxx * rx + cxy * ry + cxz * rz) / determinant
        y = (cxy * rx + cyy * ry + cyz * rz) / determinant
        z = (cxz * rx + cyz * ry + czz * rz) / determinant
        if (x - mx) ** 2 + (y - my) ** 2 + (z - mz) ** 2 <= reach:
            place[0], place[1], place[2] = x, y, z
            return _cost(qxx, qxy, qxz, qx, qyy, qyz, qy, qzz, qz, q1, x, y, z) / area
    best = np.inf
    for choice in range(3):
        x, y, z = mx, my, mz
        if choice == 1:
            x, y, z = ax, ay, az
        elif choice == 2:
            x, y, z = bx, by, bz
        cost = _cost(qxx, qxy, qxz, qx, qyy, qyz, qy, qzz, qz, q1, x, y, z)
        if cost < best:
            best = cost
            place[0], place[1], place[2] = x, y, z
    return best / area


@njit(cache=True)
def _is_link(faces, dead, room, begins, ends, stamps, stamp, kept, gone):  # type: ignore[no-untyped-def]
    """Whether the surface stays a manifold: two faces share the edge, and two vertices are neighbours of both ends."""
    shared = 0
    for entry in range(begins[kept], ends[kept]):
        face = room[entry] // 3
        if not dead[face]:
            shared += _has(faces, face, gone)
            for corner in range(3):
                stamps[faces[face, corner]] = stamp
    if shared != 2:
        return False
    common = 0
    for entry in range(begins[gone], ends[gone]):
        face = room[entry] // 3
        if not dead[face]:
            for corner in range(3):
                vertex = faces[face, corner]
                if vertex != kept and vertex != gone and stamps[vertex] == stamp:
                    stamps[vertex] = stamp + 1
                    common += 1
    return common == 2


@njit(cache=True)
def _stays_upright(vertices, faces, dead, room, begin, end, moved, other, place):  # type: ignore[no-untyped-def]
    """Whether no face around a vertex, but those of the edge, turns far or becomes a sliver when the vertex moves."""
    for entry in range(begin, end):
        face, corner = room[entry] // 3, room[entry] % 3
        if dead[face] or _has(faces, face, other):
            continue
        here, following = vertices[faces[face, corner]], vertices[faces[face, (corner + 1) % 3]]
        last = vertices[faces[face, (corner + 2) % 3]]
        ox, oy, oz = _normal(here, following, last)
        nx, ny, nz = _normal(place, following, last)
        old, new = ox * ox + oy * oy + oz * oz, nx * nx + ny * ny + nz * nz
        turned = ox * nx + oy * ny + oz * nz
        if turned <= 0 or turned * turned < _TURN * _TURN * old * new:
            return False
        longest, before = _longest(place, following, last), _longest(here, following, last)
        # Height by longest edge is the length of the normal by that edge squared.
        if new < (_SLIM * longest) ** 2 * longest**2 and new * before**4 < old * longest**4:
            return False
    return True


@njit(cache=True)
def _distance(point, vertices, faces, dead, room, begins, ends, kept, gone, place):  # type: ignore[no-untyped-def]
    """The squared distance of a point to the faces that there will be around a collapsed edge's vertex."""
    corners, best = np.empty(9), np.inf
    corners[:3] = place
    for moved, other in ((kept, gone), (gone, kept)):
        for entry in range(begins[moved], ends[moved]):
            face, corner = room[entry] // 3, room[entry] % 3
            if dead[face] or _has(faces, face, other):
                continue
            corners[3:6] = vertices[faces[face, (corner + 1) % 3]]
            corners[6:] = vertices[faces[face, (corner + 2) % 3]]
            best = min(best, squared_distance(corners, point[0], point[1], point[2]))
    return best


@njit(cache=True)
def _merge(vertices, quadrics, values, kept, gone, place):  # type: ignore[no-untyped-def]
    share = quadrics[gone, 10] / (quadrics[kept, 10] + quadrics[gone, 10])
    for column in range(values.shape[1]):
        values[kept, column] += share * (values[gone, column] - values[kept, column])
    quadrics[kept] += quadrics[gone]
    vertices[kept] = place
