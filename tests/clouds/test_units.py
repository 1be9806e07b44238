"""The unit of several files, and the scale that follows."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from sparse_convonet.clouds.cleaning import clean_points, describe
from sparse_convonet.clouds.steps import coordinate_step
from sparse_convonet.clouds.units import common_unit, metres_per_unit, require_fine_steps
from sparse_convonet.structures import LengthUnit, PointCloud

METRE, FOOT = LengthUnit("metre", 1.0), LengthUnit("foot", 0.3048)


def test_files_of_one_unit_have_it_and_those_of_several_have_none() -> None:
    assert common_unit([None, None]) is None
    assert common_unit([FOOT, FOOT]) == FOOT
    assert common_unit([METRE, None]) == METRE
    for units, names in (([METRE, FOOT], "metre and foot"), ([FOOT, None], "foot and an undeclared unit")):
        found = common_unit(units)
        assert found is not None and found.name == names and math.isnan(found.metres)


def _shell(rng: np.random.Generator, count: int = 60_000) -> np.ndarray:
    points, size = rng.random((count, 3)), np.array([6, 4.5, 2.7])
    axis = rng.integers(0, 3, count)
    points[np.arange(count), axis] = rng.integers(0, 2, count)
    return points * size


FAR = [5e5, 4e6, 120]
DIGITS = np.vectorize(lambda value: float(f"{value:g}"))


@pytest.mark.parametrize(
    ("written", "step_m"),
    [
        (lambda points: (points + FAR).astype(np.float32), 0.25),
        (lambda points: DIGITS(points + FAR), 1.0),
        (lambda points: (points + FAR).round(1), 0.1),
        (lambda points: (points + 1000).astype(np.float16), 0.5),
    ],
)
def test_coordinates_that_were_rounded_to_more_than_the_points_are_apart_are_refused(
    rng: np.random.Generator, written: Callable[[np.ndarray], np.ndarray], step_m: float
) -> None:
    cloud, dropped = clean_points(PointCloud(np.asarray(written(_shell(rng)), dtype=np.float64)))
    summary = describe(cloud)
    assert summary.step == pytest.approx(step_m, rel=1e-9)
    with pytest.raises(ValueError, match=f"found steps of {step_m:g} m between points .* with --voxel-size"):
        require_fine_steps(summary, 1.0, dropped.duplicates, None)
    require_fine_steps(summary, 1.0, dropped.duplicates, 2 * step_m)


@pytest.mark.parametrize(
    "points",
    [
        lambda points: points,
        lambda points: (points * 1000 + FAR).round() / 1000,  # whole millimetres
        lambda points: points.round(2),  # dense scans in whole centimetres
        lambda points: (points + [5e4, 4e4, 120]).astype(np.float32),  # 4 mm
        lambda points: np.unique((points / 0.1).round(), axis=0) * 0.1,  # thinned to a grid
        lambda points: points * [1, 1, 0],
    ],
)
def test_scans_in_fine_steps_and_thinned_ones_are_taken(
    rng: np.random.Generator, points: Callable[[np.ndarray], np.ndarray]
) -> None:
    cloud, dropped = clean_points(PointCloud(np.asarray(points(_shell(rng)), dtype=np.float64)))
    require_fine_steps(describe(cloud), 1.0, dropped.duplicates, None)


def test_distances_of_things_are_no_step() -> None:
    assert coordinate_step(np.array([0.0, 3.0, 6.0, 9.0])) == 0  # storeys
    assert coordinate_step(np.array([0.0, 1.0, 1.0])) == 0  # two planes
    assert coordinate_step(np.array([0.0, 0.1, 0.37, 0.5])) == 0
    assert coordinate_step(np.zeros(5)) == 0 and coordinate_step(np.zeros(0)) == 0
    assert coordinate_step(np.array([0.0, 1.0, 4.0, 7.0])) == 1


@pytest.mark.parametrize("asked", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_no_length_is_refused(rng: np.random.Generator, asked: float) -> None:
    summary = describe(PointCloud(rng.random((100, 3))))
    with pytest.raises(ValueError, match="scale: expected a positive number .metres per unit of the scan., found"):
        metres_per_unit(summary, asked)


def test_a_declared_unit_counts_more_than_the_size(rng: np.random.Generator) -> None:
    points = rng.random((2000, 3)) * [9000, 6000, 2700]
    with pytest.raises(
        ValueError,
        match="looks like millimetres; run again with --scale 0.001 .0.01 for centimetres.* or with --scale 1",
    ):
        metres_per_unit(describe(PointCloud(points)), None)
    assert metres_per_unit(describe(PointCloud(points, unit=METRE)), None) == 1.0
    with pytest.raises(ValueError, match="expected one unit of length, found an extent of .* in metre and foot"):
        metres_per_unit(describe(PointCloud(points, unit=common_unit([METRE, FOOT]))), None)
