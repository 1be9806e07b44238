"""Stage mesh: the compiled loops of collapse.py: edges that cost little become vertices, sweep by sweep."""

from __future__ import annotations

import numpy as np

from sparse_convonet.mesh.collapse_checks_numba import distance_after, fits, has, is_link, normal
from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, nogil=True)
def lock_rims(faces, locked):  # type: ignore[no-untyped-def]
    """Lock (V,) bool the ends of edges that do not have exactly two faces, once the way and once the other."""
    count = locked.shape[0]
    starts, corners = _stars(faces, faces.shape[0], count)
    met = np.zeros(count, dtype=np.uint32)
    for vertex in range(count):
        begin, end = starts[vertex], starts[vertex + 1]
        for place in range(begin, end):  # each neighbour is met once as the next and once as the one before
            face, corner = corners[place] // 3, corners[place] % 3
            met[faces[face, (corner + 1) % 3]] += 1
            met[faces[face, (corner + 2) % 3]] += 1 << 16
        for place in range(begin, end):
            face, corner = corners[place] // 3, corners[place] % 3
            for step in range(1, 3):
                other = faces[face, (corner + step) % 3]
                if met[other] != 0 and met[other] != (1 << 16) + 1:
                    locked[vertex] = True
                    locked[other] = True
                met[other] = 0


@njit(cache=True, nogil=True)
def fill_quadrics(vertices, faces, quadrics):  # type: ignore[no-untyped-def]
    """Add to quadrics (V, 11) float64 of each vertex those of its faces' planes, by area, and the area itself.

    Garland and Heckbert 1997, eq. 2: the sum of squared distances as xx xy xz x yy yz y zz z 1.
    """
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x, y, z = normal(vertices[a], vertices[b], vertices[c])
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

    faces (F, 3) uint32 (signed numbers would be looked at for counting from the end), of which the first `live` count;
    they come back in their order, without those that collapsed.
    farthest (V, 3): of the vertices that each one stands for, that which lies farthest from its faces; at most `reach`.
    values (V, C) float32: means over what each vertex stands for.  Each vertex takes part once.  Returns how many faces
    are left.
    """
    count = vertices.shape[0]
    starts, corners = _stars(faces, live, count)
    room = np.empty(2 * corners.shape[0], dtype=np.uint32)
    room[: corners.shape[0]] = corners
    begins, ends = starts[:-1].copy(), starts[1:].copy()
    used = corners.shape[0]
    touched, stamps = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.uint32)
    dead = np.zeros(live, dtype=np.bool_)
    place, gaps, stamp, bound = np.empty(3), np.empty(2), 0, error * error
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
            if not is_link(faces, dead, room, begins, ends, stamps, stamp, kept, gone):
                continue
            gaps[0] = gaps[1] = np.inf
            first, second = farthest[kept], farthest[gone]
            if not fits(vertices, faces, dead, room, begins[kept], ends[kept], gone, place, first, second, gaps):
                continue
            if not fits(vertices, faces, dead, room, begins[gone], ends[gone], kept, place, first, second, gaps):
                continue
            if gaps[0] > reach * reach:
                gaps[0] = distance_after(first, vertices, faces, dead, room, begins, ends, kept, gone, place)
            if gaps[1] > reach * reach:
                gaps[1] = distance_after(second, vertices, faces, dead, room, begins, ends, kept, gone, place)
            if max(gaps[0], gaps[1]) > reach * reach:
                continue
            if gaps[1] > gaps[0]:
                farthest[kept] = second
            _merge(vertices, quadrics, values, kept, gone, place)
            begin = used
            for vertex in (kept, gone):
                for entry in range(begins[vertex], ends[vertex]):
                    other, corner = room[entry] // 3, room[entry] % 3
                    if dead[other]:
                        continue
                    if vertex == gone:
                        faces[other, corner] = kept
                    if (faces[other, 0] == kept) + (faces[other, 1] == kept) + (faces[other, 2] == kept) > 1 or (
                        vertex == kept and has(faces, other, gone)
                    ):
                        dead[other] = True
                        continue
                    room[used] = room[entry]
                    used += 1
            begins[kept], ends[kept] = begin, used
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
    starts = np.zeros(count + 1, dtype=np.uint32)
    for face in range(live):
        for corner in range(3):
            starts[faces[face, corner] + 1] += 1
    for vertex in range(count):
        starts[vertex + 1] += starts[vertex]
    filled, corners = starts[:-1].copy(), np.empty(3 * live, dtype=np.uint32)
    for face in range(live):
        for corner in range(3):
            vertex = faces[face, corner]
            corners[filled[vertex]] = 3 * face + corner
            filled[vertex] += 1
    return starts, corners


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
def _merge(vertices, quadrics, values, kept, gone, place):  # type: ignore[no-untyped-def]
    share = quadrics[gone, 10] / (quadrics[kept, 10] + quadrics[gone, 10])
    for column in range(values.shape[1]):
        values[kept, column] += share * (values[gone, column] - values[kept, column])
    quadrics[kept] += quadrics[gone]
    vertices[kept] = place
