from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.coordinates import AXIS_LIMIT
from sparse_convonet.mesh.lattice import (
    CORNERS,
    KeyTable,
    axis_shift,
    cell_cases,
    cell_corners,
    coarse_keys,
    contains,
    corner_places,
    lower_bounds,
    pack_lattice,
    sorted_unique,
    unique_keys,
    unpack_lattice,
)


def test_packing_is_inverted_and_ordered_by_x_then_y_then_z(rng: np.random.Generator) -> None:
    points = np.concatenate([rng.integers(-AXIS_LIMIT, AXIS_LIMIT, (500, 3)), rng.integers(-2, 2, (100, 3))])
    keys = pack_lattice(points)
    np.testing.assert_array_equal(unpack_lattice(keys), points)
    np.testing.assert_array_equal(np.sort(keys), keys[np.lexsort(points.T[::-1])])


@pytest.mark.parametrize("bits", [0, 1, 3])
def test_coarse_keys_floor_also_below_zero(bits: int, rng: np.random.Generator) -> None:
    points = rng.integers(-50, 50, (300, 3))
    edge = 1 << bits
    np.testing.assert_array_equal(unpack_lattice(coarse_keys(pack_lattice(points), bits)), points // edge * edge)


@pytest.mark.parametrize("stride", [1, 4])
def test_corner_places_point_at_the_corners(stride: int, rng: np.random.Generator) -> None:
    cells = np.unique(rng.integers(-6, 6, (200, 3)), axis=0) * stride
    keys = np.sort(pack_lattice(cells))
    corners = cell_corners(keys, stride)
    expected = np.unique((cells[:, None] + CORNERS * stride).reshape(-1, 3), axis=0)
    np.testing.assert_array_equal(unpack_lattice(corners), expected)
    places = corner_places(keys, corners, stride)
    found = unpack_lattice(corners[places.ravel()]).reshape(-1, 8, 3)
    np.testing.assert_array_equal(found, unpack_lattice(keys)[:, None] + CORNERS * stride)


def test_axis_shift_moves_along_its_axis() -> None:
    key = pack_lattice(np.array([[-1, 5, 0]]))
    for axis in range(3):
        moved = unpack_lattice(key + axis_shift(axis, -3))[0]
        np.testing.assert_array_equal(moved, np.array([-1, 5, 0]) - 3 * np.eye(3, dtype=np.int64)[axis])


def test_sorted_unique_equals_numpy(rng: np.random.Generator) -> None:
    runs = [np.sort(rng.integers(0, 100, size)) for size in (0, 1, 50, 200)]
    np.testing.assert_array_equal(sorted_unique(runs), np.unique(np.concatenate(runs)))
    assert len(sorted_unique([])) == 0


def test_key_table_equals_a_dictionary_over_many_insertions(rng: np.random.Generator) -> None:
    table, expected = KeyTable(np.float32), {}
    fresh = rng.permutation(5000)
    for chunk in np.split(fresh, [2000, 2001, 2100, 2105, 3000, 3001, 3002]):
        keys = np.sort(chunk)
        table.insert(keys, keys * 0.5)
        expected.update(dict(zip(keys.tolist(), (keys * 0.5).tolist(), strict=True)))
        queries = rng.integers(0, 6000, 700)
        present, values = table.find(queries)
        np.testing.assert_array_equal(present, [query in expected for query in queries.tolist()])
        np.testing.assert_array_equal(table.contains(queries), present)
        np.testing.assert_array_equal(values, [expected.get(query, 0.0) for query in queries.tolist()])
    keys, values = table.merged()
    np.testing.assert_array_equal(keys, np.arange(5000))
    np.testing.assert_array_equal(values, np.arange(5000) * 0.5)
    assert len(table) == 5000


def test_empty_sets_hold_nothing() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    np.testing.assert_array_equal(contains(nothing, np.array([1, 2])), [False, False])
    keys, values = KeyTable(np.uint8).merged()
    assert (len(keys), len(values), values.dtype) == (0, 0, np.uint8)


keys_in_any_order = st.lists(st.integers(-20, 60), max_size=60).map(lambda values: np.array(values, dtype=np.int64))


@given(keys_in_any_order, keys_in_any_order)
def test_lower_bounds_are_those_of_searchsorted_in_any_order_of_the_queries(
    keys: np.ndarray, queries: np.ndarray
) -> None:
    keys = np.sort(keys)
    np.testing.assert_array_equal(lower_bounds(keys, queries), np.searchsorted(keys, queries))


def test_lower_bounds_hold_across_the_parts_of_threads(rng: np.random.Generator) -> None:
    keys, queries = np.sort(rng.integers(0, 10**12, 300_000)), rng.integers(-10, 10**12 + 10, 200_000)
    np.testing.assert_array_equal(lower_bounds(keys, queries), np.searchsorted(keys, queries))
    np.testing.assert_array_equal(lower_bounds(keys, np.sort(queries)), np.searchsorted(keys, np.sort(queries)))


@given(keys_in_any_order, keys_in_any_order, keys_in_any_order)
def test_unions_are_those_of_sets(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> None:
    runs = [np.sort(first), np.sort(second), np.sort(third)]
    for count in range(4):
        np.testing.assert_array_equal(sorted_unique(runs[:count]), sorted(set(np.concatenate([[], *runs[:count]]))))
    np.testing.assert_array_equal(unique_keys(first), sorted(set(first.tolist())))


@pytest.mark.parametrize("stride", [1, 4])
def test_cases_have_a_bit_for_each_corner_inside(stride: int, rng: np.random.Generator) -> None:
    cells = unique_keys(pack_lattice(rng.integers(-6, 6, (300, 3)) * stride))
    corners = cell_corners(cells, stride)
    inside = rng.random(len(corners)) < 0.5
    by_point = {
        tuple(point): bool(state) for point, state in zip(unpack_lattice(corners).tolist(), inside, strict=True)
    }
    expected = [
        sum(by_point[tuple(cell + CORNERS[corner] * stride)] << corner for corner in range(8))
        for cell in unpack_lattice(cells)
    ]
    np.testing.assert_array_equal(cell_cases(cells, corners, inside, stride), expected)
