"""Oracle for extract_mesh: evaluate a whole dense grid, and let scikit-image march it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skimage.measure import marching_cubes

from sparse_convonet.structures import Mesh


def dense_logits(
    evaluate: Callable[[np.ndarray], np.ndarray], low: int, high: int, cell: float, offset: float
) -> np.ndarray:
    """(n, n, n) float32 with n = high - low + 1: logits at all lattice points low..high along each axis."""
    axis = np.arange(low, high + 1) * cell + offset
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return evaluate(grid.reshape(-1, 3).astype(np.float32)).reshape(grid.shape[:3])


def dense_mesh(
    evaluate: Callable[[np.ndarray], np.ndarray],
    low: int,
    high: int,
    cell: float,
    offset: float = 0.0,
    threshold: float = 0.0,
) -> Mesh:
    """The surface over the lattice points low..high along each axis, in field coordinates, outside = below."""
    logits = dense_logits(evaluate, low, high, cell, offset)
    vertices, faces, _, _ = marching_cubes(logits, threshold, gradient_direction="ascent")
    return Mesh((vertices.astype(np.float64) + low) * cell + offset, faces.astype(np.int64))


def dense_crossing_edges(logits: np.ndarray, threshold: float) -> int:
    """How many lattice edges join a point inside to one outside."""
    inside = logits > threshold
    return sum(int(np.count_nonzero(np.diff(inside, axis=axis))) for axis in range(3))
