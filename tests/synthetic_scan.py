"""A small room with a box in it, as points on its inner surfaces."""

from __future__ import annotations

import numpy as np

ROOM = np.array([3.0, 2.5, 2.4])  # metres
BOX_LOW, BOX_HIGH = np.array([1.0, 0.8, 0.0]), np.array([1.8, 1.6, 0.7])


def room_points(count: int = 20_000, seed: int = 0, noise_m: float = 0.01) -> np.ndarray:
    """(count, 3) float64: points uniform by area on floor, ceiling, walls and the box, with noise; z up."""
    rng = np.random.default_rng(seed)
    faces = [(np.zeros(3), ROOM, axis, side) for axis in range(3) for side in (0, 1)]
    faces += [(BOX_LOW, BOX_HIGH, axis, side) for axis, side in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1))]
    areas = np.array([np.prod(np.delete(high - low, axis)) for low, high, axis, _ in faces])
    points = np.empty((count, 3))
    for row, face in enumerate(rng.choice(len(faces), count, p=areas / areas.sum())):
        low, high, axis, side = faces[face]
        points[row] = rng.uniform(low, high)
        points[row, axis] = (low, high)[side][axis]
    return points + rng.normal(0, noise_m, (count, 3))
