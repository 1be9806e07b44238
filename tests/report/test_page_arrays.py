from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from sparse_convonet.report.page_arrays import (
    POSITION_STEP_M,
    PackedArray,
    near_in_order,
    pack_faces,
    pack_integers,
    pack_numbers,
    pack_positions,
)


def read(packed: PackedArray) -> list[list[int]]:
    """The integers of an array by row, as its page reads them, one after the other."""
    data = zlib.decompress(base64.b64decode(packed.text))
    assert len(data) == packed.rows * packed.columns * packed.planes
    rows: list[list[int]] = [[] for _ in range(packed.rows)]
    for column in range(packed.columns):
        previous = 0
        for row in range(packed.rows):
            value = 0
            for plane in range(packed.planes):
                value += data[(column * packed.planes + plane) * packed.rows + row] << (8 * plane)
            if packed.differences:
                previous += value // 2 if value % 2 == 0 else -(value + 1) // 2
                value = previous
            rows[row].append(value)
    return rows


@pytest.mark.parametrize("differences", [True, False])
@pytest.mark.parametrize("largest", [0, 200, 70_000, 1 << 28])
def test_integers_come_back_and_take_no_more_bytes_than_they_need(
    rng: np.random.Generator, largest: int, differences: bool
) -> None:
    values = rng.integers(-largest if differences else 0, largest + 1, (50, 3))
    packed = pack_integers(values, differences=differences)
    assert read(packed) == values.tolist()
    if not differences:
        assert packed.planes == max(1, -(-int(values.max()).bit_length() // 8))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows_come_back(count: int) -> None:
    values = np.arange(3 * count).reshape(count, 3)
    assert read(pack_integers(values)) == values.tolist()
    assert read(pack_faces(values)) == np.zeros((3 * count, 1)).tolist()


def test_positions_come_back_within_half_a_step_far_from_the_origin(rng: np.random.Generator) -> None:
    origin = np.array([4.5e5, 5.2e6, -30.0])
    for reach, step in ((40.0, POSITION_STEP_M), (200_000.0, 4 * POSITION_STEP_M)):
        places = origin + rng.uniform(-reach, reach, (200, 3))
        packed = pack_positions(places, origin)
        assert packed.step <= step
        np.testing.assert_allclose(np.array(read(packed)) * packed.step + origin, places, atol=0.51 * packed.step)


def test_numbers_come_back_within_half_a_step(rng: np.random.Generator) -> None:
    values = rng.uniform(0, 900, 100)
    packed = pack_numbers(values, 0.1)
    np.testing.assert_allclose(np.array(read(packed))[:, 0] * packed.step, values, atol=0.0501)


def test_faces_come_back() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3], [0, 2, 4], [4, 3, 0]])
    back, following, found = read(pack_faces(faces)), 0, []
    for row in back:
        for value in row:
            found.append(following - value)
            following += value == 0
    assert found == faces.reshape(-1).tolist()


def test_places_that_follow_each_other_are_near(rng: np.random.Generator) -> None:
    axis = np.arange(16)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) * 0.5 + 7.0
    places = lattice[rng.permutation(len(lattice))]
    order = near_in_order(places)
    assert sorted(order.tolist()) == list(range(len(places)))
    steps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
    assert steps.mean() < 0.8 and np.linalg.norm(np.diff(places, axis=0), axis=1).mean() > 3
