from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.metrics.point_distance import PointDistance


@pytest.mark.parametrize("parts", [1, 7])
def test_distances_are_those_of_brute_force_in_whatever_parts_the_points_come(
    rng: np.random.Generator, parts: int
) -> None:
    places, points = rng.uniform(0, 10, (300, 3)), rng.uniform(0, 10, (500, 3))
    points = points[np.argsort(points[:, 0])]
    exact = np.sqrt(((places[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1)
    measured = PointDistance(places, 0.8)
    for part in np.array_split(points, parts):
        measured.add(part)
    np.testing.assert_allclose(measured.distance, np.minimum(exact, 0.8), atol=1e-6)
    assert (exact > 0.8).any() and (exact < 0.8).any()


def test_without_points_near_distances_are_the_most() -> None:
    measured = PointDistance(np.zeros((2, 3)), 1.0)
    measured.add(np.zeros((0, 3)))
    measured.add(np.full((4, 3), 50.0))
    assert measured.distance.tolist() == [1.0, 1.0]
