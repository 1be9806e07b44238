"""The unit cube of the papers' files and the world: one similarity, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_convonet.coordinates import UP_AXES, UnitFrame, up_rotation

PLACES = st.floats(-1e4, 1e4)
SIDES = st.floats(1e-2, 1e3)


def some_points(count: int = 50) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.55, 0.55, (count, 3))


def test_up_in_the_cube_is_up_in_the_world_and_right_stays_right() -> None:
    frame = UnitFrame(np.array([10.0, 20.0, 30.0]), 4.0)
    axes = frame.to_world(np.eye(3)) - frame.centre_world
    assert np.array_equal(axes, [[4, 0, 0], [0, 0, 4], [0, -4, 0]])  # x, y, z of the cube
    assert np.linalg.det(axes) == pytest.approx(64)  # no mirror image
    assert np.array_equal(frame.to_world(np.zeros((1, 3))), [[10, 20, 30]])
    assert np.array_equal(frame.to_unit(np.array([[10.0, 20.0, 32.0]])), [[0, 0.5, 0]])
    assert np.array_equal(axes / 4, up_rotation("y").T)


@pytest.mark.parametrize("up", UP_AXES)
def test_the_up_axis_becomes_z_and_nothing_is_mirrored(up: str) -> None:
    rotation = up_rotation(up)
    axis = np.eye(3)["xyz".index(up[-1])] * (-1 if up.startswith("-") else 1)
    assert (rotation @ axis).tolist() == [0, 0, 1]
    assert np.array_equal(rotation @ rotation.T, np.eye(3)) and np.linalg.det(rotation) == pytest.approx(1)


@given(centre=st.tuples(PLACES, PLACES, PLACES), side=SIDES)
def test_there_and_back_is_where_it_was(centre: tuple[float, float, float], side: float) -> None:
    frame, points = UnitFrame(np.array(centre), side), some_points()
    rounding = 8 * np.finfo(np.float64).eps * (np.abs(centre).max() / side + 1)
    assert np.allclose(frame.to_unit(frame.to_world(points)), points, rtol=0, atol=rounding)


@given(centre=st.tuples(PLACES, PLACES, PLACES), side=SIDES)
def test_lengths_grow_by_the_side_of_the_cube(centre: tuple[float, float, float], side: float) -> None:
    frame, points = UnitFrame(np.array(centre), side), some_points()
    world = frame.to_world(points)
    assert world.dtype == np.float64 and frame.to_unit(world.astype(np.float32)).dtype == np.float64
    gaps = np.linalg.norm(points[1:] - points[:-1], axis=1)
    assert np.allclose(np.linalg.norm(world[1:] - world[:-1], axis=1), side * gaps, rtol=1e-9, atol=1e-11 * 1e4)


@given(low=st.tuples(PLACES, PLACES, PLACES), size=st.tuples(SIDES, SIDES, SIDES))
def test_a_box_stands_on_the_floor_of_its_cube_in_the_middle_and_fills_its_longest_side(
    low: tuple[float, float, float], size: tuple[float, float, float]
) -> None:
    bounds = np.array([low, np.add(low, size)])
    frame = UnitFrame.around(bounds)
    unit = np.sort(frame.to_unit(bounds), axis=0)
    extent = unit[1] - unit[0]
    near = {"rtol": 0, "atol": 1e-9 + 1e-12 * np.abs(bounds).max() / frame.metres_per_unit}
    assert np.allclose(unit[0, 1], -0.5, **near)  # y: the floor
    assert np.allclose(unit[:, [0, 2]].sum(axis=0), 0, **near)  # x, z: centred
    assert np.allclose(extent.max(), 1, **near)
    assert np.allclose(extent * frame.metres_per_unit, np.array(size)[[0, 2, 1]], rtol=1e-6, atol=1e-8)


def test_arguments_stay_as_they_are() -> None:
    bounds, points = np.array([[0.0, 0, 0], [4, 2, 3]]), some_points()
    before = bounds.copy(), points.copy()
    frame = UnitFrame.around(bounds)
    frame.to_unit(points), frame.to_world(points)
    assert np.array_equal(bounds, before[0]) and np.array_equal(points, before[1])
    assert frame.to_unit(np.zeros((0, 3))).shape == frame.to_world(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("side", [0.0, -1.0, np.nan, np.inf])
def test_sides_that_are_no_length_are_refused(side: float) -> None:
    with pytest.raises(ValueError, match="expected a positive number of metres per side, found"):
        UnitFrame(np.zeros(3), side)


@pytest.mark.parametrize("centre", [np.zeros(2), np.zeros((1, 3)), np.array([0, np.nan, 0]), np.array([np.inf, 0, 0])])
def test_centres_that_are_no_place_are_refused(centre: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a centre of 3 finite coordinates, found"):
        UnitFrame(centre, 1.0)


def test_a_box_without_size_has_no_cube() -> None:
    with pytest.raises(ValueError, match="expected a positive number of metres per side, found 0.0"):
        UnitFrame.around(np.ones((2, 3)))
