"""Which points have a scanner whose position can be true."""

from __future__ import annotations

import numpy as np

MOST_RANGE_M = 10_000.0  # no scanner of buildings reaches farther: such a position is in another frame or unit


def has_scanner(points_world: np.ndarray, scanners_world: np.ndarray) -> np.ndarray:
    """Points and where the scanner of each stood, (N, 3) each, metres -> (N,) bool: it is finite and within range."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((np.abs(scanners_world - points_world) < MOST_RANGE_M).all(axis=1))
