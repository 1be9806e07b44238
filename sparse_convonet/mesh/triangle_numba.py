"""Stage mesh: single triangles in compiled loops; corners are (3,) float64."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, inline="always")
def scaled_normal(a, b, c):  # type: ignore[no-untyped-def]
    """The normal of a triangle, twice its area long."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    wx, wy, wz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx


@njit(cache=True, inline="always")
def longest_edge(a, b, c):  # type: ignore[no-untyped-def]
    """The length of the longest edge of a triangle."""
    ab = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2
    bc = (b[0] - c[0]) ** 2 + (b[1] - c[1]) ** 2 + (b[2] - c[2]) ** 2
    ca = (c[0] - a[0]) ** 2 + (c[1] - a[1]) ** 2 + (c[2] - a[2]) ** 2
    return np.sqrt(max(ab, bc, ca))


@njit(cache=True)
def squared_distance(p, a, b, c):  # type: ignore[no-untyped-def]
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
