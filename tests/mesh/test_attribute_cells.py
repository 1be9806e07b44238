"""Attributes of points, cell by cell: means of measures, the most frequent kind, and the nearest cell around."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.mesh.attribute_cells import attribute_cells, is_kind

LOW = np.array([500_000.0, 5_000_000.0, -2.0])


def test_means_and_the_most_frequent_kind_of_each_cell_in_any_parts() -> None:
    rng = np.random.default_rng(0)
    points = LOW + rng.uniform(0, 1, (600, 3))
    intensity, kind = rng.integers(0, 60_000, 600).astype(np.uint16), rng.integers(1, 5, 600).astype(np.uint8)
    names = ("intensity", "classification")

    def part(rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return points[rows], {"intensity": intensity[rows], "classification": kind[rows]}

    whole = attribute_cells([part(np.arange(600))], names, LOW, 0.5)
    again = attribute_cells(map(part, np.split(np.arange(600), 6)), names, LOW, 0.5)
    assert len(whole.keys) == 8
    found = whole.at(points)
    assert found["intensity"].dtype == np.float32 and found["classification"].dtype == np.uint8
    for name in names:
        np.testing.assert_allclose(found[name], again.at(points)[name], rtol=1e-6)
    for place, mean, most in zip(points, found["intensity"], found["classification"], strict=True):
        same = (np.floor((points - LOW) / 0.5) == np.floor((place - LOW) / 0.5)).all(axis=1)
        assert mean == pytest.approx(intensity[same].mean(), rel=1e-6)
        counts = np.bincount(kind[same])
        assert counts[most] == counts.max()


def test_a_place_takes_its_own_cell_else_the_nearest_that_touches_it_else_nothing() -> None:
    points = LOW + [[0.5, 0.5, 0.5], [2.5, 0.5, 0.5]]
    numbers = {"intensity": np.array([10.0, 20.0]), "classification": np.array([2, 6])}
    cells = attribute_cells([(points, numbers)], list(numbers), LOW, 1.0)
    places = LOW + [[0.9, 0.1, 0.2], [1.2, 0.5, 0.5], [1.8, 0.9, 0.9], [9.0, 9.0, 9.0], [-0.2, -0.2, 0.5]]
    found = cells.at(places)
    np.testing.assert_array_equal(found["intensity"], [10, 10, 20, np.nan, 10])
    np.testing.assert_array_equal(found["classification"], [2, 2, 6, 0, 2])


def test_what_is_not_finite_is_left_out_and_large_or_negative_kinds_are_kept() -> None:
    points = np.array([[0.5, 0.5, 0.5], [0.4, 0.4, 0.4], [np.nan, 0, 0], [1e12, 0, 0]])
    numbers = {"amplitude": np.array([4.0, np.nan, 1.0, 1.0]), "room": np.array([-7, -7, 3, 300])}
    found = attribute_cells([(points, numbers)], list(numbers), np.zeros(3), 1.0).at(points[:2])
    assert found["amplitude"].tolist() == [4.0, 4.0] and found["room"].tolist() == [-7, -7]
    assert found["room"].dtype == np.int32


def test_kinds_are_whole_numbers_but_for_what_is_measured() -> None:
    assert is_kind("classification", np.zeros(1, np.uint8)) and is_kind("label", np.zeros(1, np.int32))
    assert not is_kind("Intensity", np.zeros(1, np.uint16)) and not is_kind("label", np.zeros(1, np.float32))
    assert not is_kind("scan_angle", np.zeros(1, np.int16)) and not is_kind("Reflectivity", np.zeros(1, np.uint16))


@pytest.mark.parametrize("first", [np.uint8, np.float32])
def test_where_files_differ_in_type_all_of_it_counts_as_measured(first: type) -> None:
    second = np.float32 if first is np.uint8 else np.uint8
    points = np.array([[0.5, 0.5, 0.5], [0.6, 0.5, 0.5], [5.5, 0.5, 0.5]])
    one: dict[str, np.ndarray] = {"label": np.array([3, 5], first)}
    two: dict[str, np.ndarray] = {"label": np.array([4, 7], second)}
    cells = attribute_cells([(points[:2], one), (points[1:], two)], ["label"], np.zeros(3), 1.0)
    found = cells.at(points)["label"]
    assert found.dtype == np.float32 and found.tolist() == [4.0, 4.0, 7.0]


def test_large_numbers_keep_their_digits() -> None:
    points = np.array([[0.5, 0.5, 0.5]])
    numbers = {
        "gps_time": np.array([320000000.25]),
        "label": np.array([4_000_000_000], np.uint32),
        "huge": np.array([1e300]),
    }
    found = attribute_cells([(points, numbers)], list(numbers), np.zeros(3), 1.0).at(points)
    assert {name: values.tolist() for name, values in found.items()} == {
        "gps_time": [320000000.25], "label": [4_000_000_000], "huge": [1e300],
    }  # fmt: skip
