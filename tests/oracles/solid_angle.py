"""Winding numbers by the definition: the solid angles of all triangles, one pair at a time, over the full sphere.

van Oosterom, Strackee: The Solid Angle of a Plane Triangle, IEEE Transactions on Biomedical Engineering, 1983, eq. 8.
"""

from __future__ import annotations

import math

import numpy as np


def solid_angle(corners: np.ndarray) -> float:
    """Of the triangle corners (3, 3) seen from the origin; positive where it is counter-clockwise from far outside."""
    a, b, c = corners
    la, lb, lc = (float(np.linalg.norm(corner)) for corner in corners)
    numerator = float(a @ np.cross(b, c))
    denominator = la * lb * lc + float(a @ b) * lc + float(b @ c) * la + float(c @ a) * lb
    return 2.0 * math.atan2(numerator, denominator)


def winding_number(point: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    return sum(solid_angle(vertices[face] - point) for face in faces) / (4.0 * math.pi)
