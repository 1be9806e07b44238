"""A long hall seen from one place near its end: most of its surface has few points, most of its points are near."""

from __future__ import annotations

import numpy as np

SIZE_M, EYE_M = np.array([60.0, 8.0, 5.0]), np.array([5.0, 4.0, 1.6])
HALL_M2 = 2 * (60 * 8 + 60 * 5 + 8 * 5)


def one_station_hall(count: int, noise_m: float = 0.003) -> np.ndarray:
    """(count, 3) metres: where rays in all directions meet the inside of the hall."""
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(count, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    reach = np.where(rays > 0, (SIZE_M - EYE_M) / rays, -EYE_M / rays).min(axis=1)
    return EYE_M + rays * reach[:, None] + rng.normal(size=rays.shape) * noise_m
