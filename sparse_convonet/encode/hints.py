"""What a network may be told of a point besides its place: which way its scanner lies, and the surface's normal."""

from __future__ import annotations

import numpy as np

from sparse_convonet.clouds.scanners import has_scanner

HINTS = 6  # numbers: direction to the scanner, normal


def directions_to_scanners(points_world: np.ndarray, scanners_world: np.ndarray) -> np.ndarray:
    """Points and where the scanner of each stood, (N, 3) each, metres -> (N, HINTS) float32.

    The first three are the unit vector to the scanner: zeros where it cannot be true (clouds.scanners) or stands in the
    point.
    """
    known = has_scanner(points_world, scanners_world)[:, None]
    way = np.where(known, scanners_world, 0.0) - points_world
    length = np.linalg.norm(way, axis=1, keepdims=True)
    known &= length > 0
    hints = np.zeros((len(way), HINTS), dtype=np.float32)
    hints[:, :3] = np.where(known, way / np.where(known, length, 1.0), 0.0)
    return hints
