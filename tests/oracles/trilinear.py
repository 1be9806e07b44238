"""Brute-force trilinear interpolation: a dictionary of cells, one query at a time."""

from __future__ import annotations

import math
from itertools import product

import numpy as np


def interpolate(
    cells: dict[tuple[int, int, int], np.ndarray], stride: int, query: np.ndarray
) -> tuple[np.ndarray, float]:
    """Sum of w * feature over the cells whose centre is less than a cell away, and the sum of w."""
    some = next(iter(cells.values()))
    total, weight_sum = np.zeros_like(some, dtype=np.float64), 0.0
    low = [math.floor(value / stride - 0.5) * stride for value in query]
    for corner in product((0, stride), repeat=3):
        cell = tuple(a + b for a, b in zip(low, corner, strict=True))
        if cell in cells:
            weight = 1.0
            for axis in range(3):
                weight *= 1 - abs(query[axis] - (cell[axis] + stride / 2)) / stride
            total += weight * cells[cell]
            weight_sum += weight
    return total, weight_sum
