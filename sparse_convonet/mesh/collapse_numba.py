"""Stage mesh: the compiled loops of collapse.py: edges that cost little become vertices, sweep by sweep."""

from __future__ import annotations

import numpy as np

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
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx


@njit(cache=True, inline="always")
def _has(faces, face, vertex):  # type: ignore[no-untyped-def]
    return faces[face, 0] == vertex or faces[face, 1] == vertex or faces[face, 2] == vertex


@njit(cache=True)
def _cost(q, x, y, z):  # type: ignore[no-untyped-def]
    """The sum of squared distances of a place to the planes of a quadric, and at least 0."""
    return max(
        0.0,
        q[0] * x * x + q[4] * y * y + q[7] * z * z
        + 2 * (q[1] * x * y + q[2] * x * z + q[5] * y * z + q[3] * x + q[6] * y + q[8] * z) + q[9],
    )  # fmt: skip


@njit(cache=True)
def _place(vertices, first, second, kept, gone, is_fixed, place):  # type: ignore[no-untyped-def]
    """Where the vertex of a collapsed edge goes, and the mean squared distance there; infinite without area."""
    q = first + second
    if q[10] == 0:
        return np.inf
    a, b = vertices[kept], vertices[gone]
    if is_fixed:
        place[:] = a
        return _cost(q, a[0], a[1], a[2]) / q[10]
    middle = (a + b) / 2
    reach = ((a - b) ** 2).sum()
    # The minimum, drawn to the middle where the planes leave it open (all in one plane, or along one line).
    pull = 1e-3 * (q[0] + q[4] + q[7])
    xx, yy, zz = q[0] + pull, q[4] + pull, q[7] + pull
    rx, ry, rz = pull * middle[0] - q[3], pull * middle[1] - q[6], pull * middle[2] - q[8]
    cxx, cxy, cxz = yy * zz - q[5] * q[5], q[2] * q[5] - q[1] * zz, q[1] * q[5] - q[2] * yy
    determinant = xx * cxx + q[1] * cxy + q[2] * cxz
    best = np.inf
    if determinant > 0:
        cyy, cyz, czz = xx * zz - q[2] * q[2], q[1] * q[2] - xx * q[5], xx * yy - q[1] * q[1]
        x = (cxx * rx + cxy * ry + cxz * rz) / determinant
        y = (cxy * rx + cyy * ry + cyz * rz) / determinant
        z = (cxz * rx + cyz * ry + czz * rz) / determinant
        if (x - middle[0]) ** 2 + (y - middle[1]) ** 2 + (z - middle[2]) ** 2 <= reach:
            place[0], place[1], place[2] = x, y, z
            best = _cost(q, x, y, z)
    if best == np.inf:
        for choice in (middle, a, b):
            cost = _cost(q, choice[0], choice[1], choice[2])
            if cost < best:
                best = cost
                place[:] = choice
    return best / q[10]


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
    corners = np.empty((3, 3))
    for entry in range(begin, end):
        face, corner = room[entry] // 3, room[entry] % 3
        if dead[face] or _has(faces, face, other):
            continue
        for each in range(3):
            corners[each] = vertices[faces[face, each]]
        ox, oy, oz = _normal(corners[0], corners[1], corners[2])
        before = _longest(corners)
        corners[corner] = place
        nx, ny, nz = _normal(corners[0], corners[1], corners[2])
        old, new = ox * ox + oy * oy + oz * oz, nx * nx + ny * ny + nz * nz
        turned = ox * nx + oy * ny + oz * nz
        if turned <= 0 or turned * turned < _TURN * _TURN * old * new:
            return False
        longest = _longest(corners)
        # Height by longest edge is the length of the normal by that edge squared.
        if new < (_SLIM * longest) ** 2 * longest**2 and new * before**4 < old * longest**4:
            return False
    return True


@njit(cache=True)
def _distance(point, vertices, faces, dead, room, begins, ends, kept, gone, place):  # type: ignore[no-untyped-def]
    """The squared distance of a point to the faces that there will be around a collapsed edge's vertex."""
    corners, best = np.empty((3, 3)), np.inf
    for moved, other in ((kept, gone), (gone, kept)):
        for entry in range(begins[moved], ends[moved]):
            face, corner = room[entry] // 3, room[entry] % 3
            if dead[face] or _has(faces, face, other):
                continue
            for each in range(3):
                corners[each] = vertices[faces[face, each]]
            corners[corner] = place
            best = min(best, _to_triangle(point, corners[0], corners[1], corners[2]))
    return best


@njit(cache=True)
def _to_triangle(p, a, b, c):  # type: ignore[no-untyped-def]
    """The squared distance of a point to a triangle, by the region of its nearest place (Ericson 2004, section 5.1.5)."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    x, y, z = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    d1, d2 = ux * x + uy * y + uz * z, wx * x + wy * y + wz * z
    uu, uw, ww = ux * ux + uy * uy + uz * uz, ux * wx + uy * wy + uz * wz, wx * wx + wy * wy + wz * wz
    d3, d4, d5, d6 = d1 - uu, d2 - uw, d1 - uw, d2 - ww
    vc, vb, va = d1 * d4 - d3 * d2, d5 * d2 - d1 * d6, d3 * d6 - d5 * d4
    if d1 <= 0 and d2 <= 0:
        s, t = 0.0, 0.0
    elif d3 >= 0 and d4 <= d3:
        s, t = 1.0, 0.0
    elif d6 >= 0 and d5 <= d6:
        s, t = 0.0, 1.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        s, t = d1 / (d1 - d3), 0.0
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        s, t = 0.0, d2 / (d2 - d6)
    elif va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        s = 1 - t
    else:
        s, t = vb / (va + vb + vc), vc / (va + vb + vc)
    return (s * ux + t * wx - x) ** 2 + (s * uy + t * wy - y) ** 2 + (s * uz + t * wz - z) ** 2


@njit(cache=True)
def _longest(corners):  # type: ignore[no-untyped-def]
    found = 0.0
    for corner in range(3):
        following = (corner + 1) % 3
        length = 0.0
        for axis in range(3):
            length += (corners[corner, axis] - corners[following, axis]) ** 2
        found = max(found, length)
    return np.sqrt(found)


@njit(cache=True)
def _merge(vertices, quadrics, values, kept, gone, place):  # type: ignore[no-untyped-def]
    share = quadrics[gone, 10] / (quadrics[kept, 10] + quadrics[gone, 10])
    for column in range(values.shape[1]):
        values[kept, column] += share * (values[gone, column] - values[kept, column])
    quadrics[kept] += quadrics[gone]
    vertices[kept] = place
