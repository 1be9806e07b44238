"""Loops of mesh.point_support."""

from __future__ import annotations

import math

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, nogil=True)
def _find_runs(cx, cy, cz, keys, starts, runs):  # type: ignore[no-untyped-def]
    """Fill runs (9, 2) with where the points of the 27 cells around a cell begin and end."""
    for column in range(9):  # cells above each other follow each other
        key = ((cx + column // 3 - 1 + AXIS_LIMIT) << (2 * AXIS_BITS)) + (
            (cy + column % 3 - 1 + AXIS_LIMIT) << AXIS_BITS
        )
        low = np.searchsorted(keys, key + cz - 1 + AXIS_LIMIT)
        high = low
        while high < len(keys) and keys[high] <= key + cz + 1 + AXIS_LIMIT:
            high += 1
        runs[column, 0], runs[column, 1] = starts[low], starts[high]


@njit(cache=True, nogil=True)
def measure_support(
    vertices, normals, points, weights, keys, starts, reach, near,
    count, nearest, offset, spread, lean, others, begin, end,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill count, nearest, offset, spread, lean and others of vertices begin to end; see PointSupport.

    points: (N, 3) float64 by cell, each standing for weights (N,) float32 points.  keys: (C,) int64 ascending, of the
    cells, whose edge is `reach` (coordinates.pack_keys).  starts: (C + 1,) where the points of each begin.
    """
    last_x, last_y, last_z = -(1 << 40), 0, 0
    runs = np.zeros((9, 2), dtype=np.int64)
    for vertex in range(begin, end):
        x, y, z = vertices[vertex, 0], vertices[vertex, 1], vertices[vertex, 2]
        nx, ny, nz = np.float64(normals[vertex, 0]), np.float64(normals[vertex, 1]), np.float64(normals[vertex, 2])
        cx, cy, cz = int(math.floor(x / reach)), int(math.floor(y / reach)), int(math.floor(z / reach))
        if cx != last_x or cy != last_y or cz != last_z:
            last_x, last_y, last_z = cx, cy, cz
            _find_runs(cx, cy, cz, keys, starts, runs)
        least, total, moment, square, beside = reach * reach, 0.0, 0.0, 0.0, 0.0
        sum_x, sum_y, sum_z = 0.0, 0.0, 0.0
        found = False
        for column in range(9):
            for row in range(runs[column, 0], runs[column, 1]):
                dx, dy, dz = points[row, 0] - x, points[row, 1] - y, points[row, 2] - z
                squared = dx * dx + dy * dy + dz * dz
                if squared > reach * reach:
                    continue
                along = nx * dx + ny * dy + nz * dz
                share = 1.0 - squared / (reach * reach)
                weight = share * share * np.float64(weights[row])
                if abs(along) <= near:
                    found = True
                    least = min(least, squared)
                    total += weight
                    moment += weight * along
                    square += weight * along * along
                    sum_x += weight * dx
                    sum_y += weight * dy
                    sum_z += weight * dz
                else:
                    beside += weight
        nearest[vertex] = math.sqrt(least) if found else np.inf
        count[vertex] = total
        mean = moment / total if total > 0.0 else 0.0
        offset[vertex] = mean
        spread[vertex] = math.sqrt(max(square / total - mean * mean, 0.0)) if total > 0.0 else 0.0
        length = sum_x * sum_x + sum_y * sum_y + sum_z * sum_z
        lean[vertex] = math.sqrt(max(length - moment * moment, 0.0)) / total if total > 0.0 else 0.0
        others[vertex] = beside / (beside + total) if total > 0.0 else 0.0


@njit(cache=True, nogil=True)
def find_shown(
    vertices, faces, points, directions, keys, starts, reach, near, near_behind, least_cosine, shown, begin, end
):  # type: ignore[no-untyped-def]
    """Fill shown (F,) bool of faces begin to end; see SupportingPoints.shown.

    directions: (N, 3) float32 from points to their scanners, zeros where these are not known.  Others: of measure_support.
    """
    last_x, last_y, last_z = -(1 << 40), 0, 0
    runs = np.zeros((9, 2), dtype=np.int64)
    for face in range(begin, end):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x = (vertices[a, 0] + vertices[b, 0] + vertices[c, 0]) / 3.0
        y = (vertices[a, 1] + vertices[b, 1] + vertices[c, 1]) / 3.0
        z = (vertices[a, 2] + vertices[b, 2] + vertices[c, 2]) / 3.0
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        length = math.sqrt(nx * nx + ny * ny + nz * nz)
        if length > 0.0:
            nx, ny, nz = nx / length, ny / length, nz / length
        cx, cy, cz = int(math.floor(x / reach)), int(math.floor(y / reach)), int(math.floor(z / reach))
        if cx != last_x or cy != last_y or cz != last_z:
            last_x, last_y, last_z = cx, cy, cz
            _find_runs(cx, cy, cz, keys, starts, runs)
        shown[face] = False
        for column in range(9):
            row, last = runs[column, 0], runs[column, 1]
            while row < last and not shown[face]:
                dx, dy, dz = points[row, 0] - x, points[row, 1] - y, points[row, 2] - z
                if dx * dx + dy * dy + dz * dz <= reach * reach:
                    facing = nx * np.float64(directions[row, 0]) + ny * np.float64(directions[row, 1])
                    facing += nz * np.float64(directions[row, 2])
                    height = abs(nx * dx + ny * dy + nz * dz)
                    shown[face] = height <= (near if facing >= least_cosine else near_behind)
                row += 1


@njit(cache=True, nogil=True)
def evaluate_polynomial(features, low, high, coefficients, values):  # type: ignore[no-untyped-def]
    """Fill values (V,): exp of a polynomial of degree 2 in features (V, K), each held between low and high (K,).

    coefficients: of 1, then of each feature, then of each product of two, those with the first feature first.
    """
    count = len(low)
    held = np.zeros(count)
    for row in range(len(features)):
        for each in range(count):
            held[each] = min(max(features[row, each], low[each]), high[each])
        total, place = coefficients[0], 1
        for each in range(count):
            total += coefficients[place] * held[each]
            place += 1
        for first in range(count):
            for second in range(first, count):
                total += coefficients[place] * held[first] * held[second]
                place += 1
        values[row] = math.exp(total)
