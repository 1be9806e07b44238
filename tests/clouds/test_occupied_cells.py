"""Cells with points, one point of each, and points by their place, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.clouds.cloud_places import CloudPlaces
from sparse_convonet.clouds.occupied_cells import first_by_chance, numbers_of_chance


def test_cells_counts_and_seeds_are_those_of_the_points(rng: np.random.Generator) -> None:
    points = rng.uniform(-3, 4, (5000, 3))
    found = CloudPlaces(points, 0.3).occupied(0.7)
    low = points.min(axis=0) - 0.3137 * 0.7

    def cells_of(places: np.ndarray) -> np.ndarray:
        return np.floor(np.round((places - low) / 0.7 * 4096) / 4096).astype(int)

    cells, counts = np.unique(cells_of(points), axis=0, return_counts=True)
    assert np.array_equal(found.cells, cells) and np.array_equal(found.counts, counts)
    assert np.array_equal(cells_of(found.seeds), cells)
    assert set(map(tuple, found.seeds)) <= set(map(tuple, points))


@pytest.mark.parametrize("edge_m", [0.05, 0.4, 100.0])
def test_points_within_a_box_are_all_of_them(rng: np.random.Generator, edge_m: float) -> None:
    points = rng.uniform(-3, 4, (3000, 3))
    cloud = CloudPlaces(points, edge_m)
    for _ in range(20):
        low = rng.uniform(-5, 4, 3)
        high = low + rng.uniform(0, 4, 3)
        expected = points[np.all((points >= low) & (points < high), axis=1)]
        found = cloud.within(low, high)
        assert np.array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def test_every_point_of_a_cell_is_as_likely_to_be_its_seed() -> None:
    places = np.arange(300_000).reshape(-1, 3)
    keys = np.repeat(np.arange(10_000), 10)
    unique, counts, rows = first_by_chance(keys, places)
    assert np.array_equal(unique, np.arange(10_000)) and (counts == 10).all()
    assert np.array_equal(keys[rows], unique)
    drawn = np.bincount(rows % 10, minlength=10)
    assert (np.abs(drawn - 1000) < 4 * np.sqrt(1000 * 0.9)).all()
    assert len(np.unique(numbers_of_chance(places))) == len(places)
