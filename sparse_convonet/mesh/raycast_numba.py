"""The compiled loops of raycast_tree.py: what rays meet in a tree of boxes over triangles, and what is nearest.

The tree is that of raycast_build_numba.py.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.mesh.raycast_build_numba import STACK
from sparse_convonet.runtime.numba_cache import njit

_BOX_MARGIN = 1.0 + 1e-12  # rounding must not lose a hit on the edge of a box


@njit(cache=True, inline="always")
def _enter(boxes, node, ox, oy, oz, ix, iy, iz, farthest):  # type: ignore[no-untyped-def]
    """Where a ray with inverse direction i enters a box, infinite where it does not before `farthest`.

    0 times infinity, of a ray that runs in a side of the box, is NaN, which no comparison heeds: such a side does not
    restrict.
    """
    near, far = 0.0, farthest
    first, second = (boxes[node, 0] - ox) * ix, (boxes[node, 3] - ox) * ix
    if first > second:
        first, second = second, first
    if first > near:
        near = first
    if second < far:
        far = second
    first, second = (boxes[node, 1] - oy) * iy, (boxes[node, 4] - oy) * iy
    if first > second:
        first, second = second, first
    if first > near:
        near = first
    if second < far:
        far = second
    first, second = (boxes[node, 2] - oz) * iz, (boxes[node, 5] - oz) * iz
    if first > second:
        first, second = second, first
    if first > near:
        near = first
    if second < far:
        far = second
    return near if near <= far * _BOX_MARGIN else np.inf


@njit(cache=True, inline="always")
def _prepare(dx, dy, dz):  # type: ignore[no-untyped-def]
    """The axes (kx, ky, kz), kz that along which the ray runs most, and the shear (sx, sy, sz) that turns it into z."""
    kz = 0 if abs(dx) >= abs(dy) and abs(dx) >= abs(dz) else (1 if abs(dy) >= abs(dz) else 2)
    along = dx if kz == 0 else (dy if kz == 1 else dz)
    kx, ky = (kz + 1) % 3, (kz + 2) % 3
    first = dx if kx == 0 else (dy if kx == 1 else dz)
    second = dx if ky == 0 else (dy if ky == 1 else dz)
    return kx, ky, kz, first / along, second / along, 1.0 / along


@njit(cache=True, inline="always")
def _meet(triangle, ox, oy, oz, axes):  # type: ignore[no-untyped-def]
    """Distance along the ray to a triangle (9,), negative where there is none (Woop, Benthin and Wald 2013).

    Watertight: a ray through an edge that two triangles share meets at least one of them.
    """
    kx, ky, kz, sx, sy, sz = axes
    px = ox if kx == 0 else (oy if kx == 1 else oz)
    py = ox if ky == 0 else (oy if ky == 1 else oz)
    pz = ox if kz == 0 else (oy if kz == 1 else oz)
    az, bz, cz = triangle[kz] - pz, triangle[3 + kz] - pz, triangle[6 + kz] - pz
    ax, ay = triangle[kx] - px - sx * az, triangle[ky] - py - sy * az
    bx, by = triangle[3 + kx] - px - sx * bz, triangle[3 + ky] - py - sy * bz
    cx, cy = triangle[6 + kx] - px - sx * cz, triangle[6 + ky] - py - sy * cz
    u, v, w = cx * by - cy * bx, ax * cy - ay * cx, bx * ay - by * ax
    if (u < 0.0 or v < 0.0 or w < 0.0) and (u > 0.0 or v > 0.0 or w > 0.0):
        return -1.0
    total = u + v + w
    if total == 0.0:
        return -1.0
    return sz * (u * az + v * bz + w * cz) / total


@njit(cache=True, nogil=True)
def first_hits(boxes, links, triangles, rays, distances, hits, begin, end):  # type: ignore[no-untyped-def]
    """Of rays (R, 6) float32 from begin to end: distances (R,), infinite without a hit, and hits (R,) int32 or -1."""
    stack, entries = np.empty(STACK, dtype=np.int32), np.empty(STACK)
    for ray in range(begin, end):
        ox, oy, oz = np.float64(rays[ray, 0]), np.float64(rays[ray, 1]), np.float64(rays[ray, 2])
        dx, dy, dz = np.float64(rays[ray, 3]), np.float64(rays[ray, 4]), np.float64(rays[ray, 5])
        best, found = np.inf, -1
        if dx != 0.0 or dy != 0.0 or dz != 0.0:
            ix = 1.0 / dx if dx != 0.0 else np.inf
            iy = 1.0 / dy if dy != 0.0 else np.inf
            iz = 1.0 / dz if dz != 0.0 else np.inf
            axes = _prepare(dx, dy, dz)
            number = 0
            entry = _enter(boxes, 0, ox, oy, oz, ix, iy, iz, best)
            if entry < np.inf:
                stack[0], entries[0] = 0, entry
                number = 1
            while number > 0:
                number -= 1
                if entries[number] > best:
                    continue
                node = stack[number]
                while links[node, 1] == 0:
                    left = links[node, 0]
                    to_left = _enter(boxes, left, ox, oy, oz, ix, iy, iz, best)
                    to_right = _enter(boxes, left + 1, ox, oy, oz, ix, iy, iz, best)
                    if to_left > to_right:
                        near, far, near_entry, far_entry = left + 1, left, to_right, to_left
                    else:
                        near, far, near_entry, far_entry = left, left + 1, to_left, to_right
                    if near_entry == np.inf:
                        node = -1
                        break
                    if far_entry < np.inf:
                        stack[number], entries[number] = far, far_entry
                        number += 1
                    node = near
                if node >= 0:
                    for place in range(links[node, 0], links[node, 0] + links[node, 1]):
                        distance = _meet(triangles[place], ox, oy, oz, axes)
                        if 0.0 <= distance < best:
                            best, found = distance, place
        distances[ray], hits[ray] = best, found


@njit(cache=True, nogil=True)
def all_hits(boxes, links, triangles, rays, starts, distances, counts, begin, end):  # type: ignore[no-untyped-def]
    """Every hit of rays (R, 6) from begin to end; counts (R,) int64 receives how many there are.

    distances: receives those of ray r from starts[r] on; of length 0 where they are only counted.
    """
    stack = np.empty(STACK, dtype=np.int32)
    for ray in range(begin, end):
        ox, oy, oz = np.float64(rays[ray, 0]), np.float64(rays[ray, 1]), np.float64(rays[ray, 2])
        dx, dy, dz = np.float64(rays[ray, 3]), np.float64(rays[ray, 4]), np.float64(rays[ray, 5])
        counts[ray] = 0
        if dx == 0.0 and dy == 0.0 and dz == 0.0:
            continue
        ix = 1.0 / dx if dx != 0.0 else np.inf
        iy = 1.0 / dy if dy != 0.0 else np.inf
        iz = 1.0 / dz if dz != 0.0 else np.inf
        axes = _prepare(dx, dy, dz)
        stack[0] = 0
        number = 1
        while number > 0:
            number -= 1
            node = stack[number]
            if _enter(boxes, node, ox, oy, oz, ix, iy, iz, np.inf) == np.inf:
                continue
            if links[node, 1] == 0:
                stack[number], stack[number + 1] = links[node, 0], links[node, 0] + 1
                number += 2
                continue
            for place in range(links[node, 0], links[node, 0] + links[node, 1]):
                distance = _meet(triangles[place], ox, oy, oz, axes)
                if distance >= 0.0:
                    if len(distances) > 0:
                        distances[starts[ray] + counts[ray]] = distance
                    counts[ray] += 1


@njit(cache=True, inline="always")
def _gap(boxes, node, x, y, z):  # type: ignore[no-untyped-def]
    """Squared distance from a point to a box."""
    gx = max(0.0, boxes[node, 0] - x, x - boxes[node, 3])
    gy = max(0.0, boxes[node, 1] - y, y - boxes[node, 4])
    gz = max(0.0, boxes[node, 2] - z, z - boxes[node, 5])
    return gx * gx + gy * gy + gz * gz


@njit(cache=True, inline="always")
def _dot(ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    return ax * bx + ay * by + az * bz


@njit(cache=True, inline="always")
def _ratio(part, whole):  # type: ignore[no-untyped-def]
    """0 where an edge or a triangle has no length or area: then any of its points is as good."""
    return part / whole if whole != 0.0 else 0.0


@njit(cache=True)
def squared_distance(t, x, y, z):  # type: ignore[no-untyped-def]
    """From a point to a triangle (9,), by the region of the plane it lies over (Ericson 2005, section 5.1.5)."""
    ux, uy, uz = np.float64(t[3]) - t[0], np.float64(t[4]) - t[1], np.float64(t[5]) - t[2]
    vx, vy, vz = np.float64(t[6]) - t[0], np.float64(t[7]) - t[1], np.float64(t[8]) - t[2]
    px, py, pz = x - t[0], y - t[1], z - t[2]
    d1, d2 = _dot(ux, uy, uz, px, py, pz), _dot(vx, vy, vz, px, py, pz)
    qx, qy, qz = px - ux, py - uy, pz - uz
    d3, d4 = _dot(ux, uy, uz, qx, qy, qz), _dot(vx, vy, vz, qx, qy, qz)
    rx, ry, rz = px - vx, py - vy, pz - vz
    d5, d6 = _dot(ux, uy, uz, rx, ry, rz), _dot(vx, vy, vz, rx, ry, rz)
    a, b, c = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    along, across = 0.0, 0.0  # the nearest point is the first corner + along u + across v
    if d1 <= 0.0 and d2 <= 0.0:
        along, across = 0.0, 0.0
    elif d3 >= 0.0 and d4 <= d3:
        along, across = 1.0, 0.0
    elif d6 >= 0.0 and d5 <= d6:
        along, across = 0.0, 1.0
    elif c <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        along, across = _ratio(d1, d1 - d3), 0.0
    elif b <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        along, across = 0.0, _ratio(d2, d2 - d6)
    elif a <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        across = _ratio(d4 - d3, (d4 - d3) + (d5 - d6))
        along = 1.0 - across
    else:
        along, across = _ratio(b, a + b + c), _ratio(c, a + b + c)
    sx = px - along * ux - across * vx
    sy = py - along * uy - across * vy
    sz = pz - along * uz - across * vz
    return sx * sx + sy * sy + sz * sz


@njit(cache=True, nogil=True)
def nearest(boxes, links, triangles, points, squares, places, begin, end):  # type: ignore[no-untyped-def]
    """Of points (N, 3) float32 from begin to end: squares (N,), distances squared, and places (N,) int32."""
    stack, gaps = np.empty(STACK, dtype=np.int32), np.empty(STACK)
    for point in range(begin, end):
        x, y, z = np.float64(points[point, 0]), np.float64(points[point, 1]), np.float64(points[point, 2])
        best, found = np.inf, -1
        stack[0], gaps[0] = 0, 0.0
        number = 1
        while number > 0:
            number -= 1
            if gaps[number] >= best:
                continue
            node = stack[number]
            if links[node, 1] == 0:
                left = links[node, 0]
                to_left, to_right = _gap(boxes, left, x, y, z), _gap(boxes, left + 1, x, y, z)
                right_first = to_right < to_left  # the nearer child goes on top
                stack[number] = left if right_first else left + 1
                gaps[number] = to_left if right_first else to_right
                stack[number + 1] = left + 1 if right_first else left
                gaps[number + 1] = to_right if right_first else to_left
                number += 2
                continue
            for place in range(links[node, 0], links[node, 0] + links[node, 1]):
                squared = squared_distance(triangles[place], x, y, z)
                if squared < best:
                    best, found = squared, place
        squares[point], places[point] = best, found
