"""Extent, spacing, and guesses of the up axis and the units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sparse_convonet.clouds.cleaning import clean_points
from sparse_convonet.clouds.summary import CloudSummary, describe, median_spacing
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud


def _house(rng: np.random.Generator) -> np.ndarray:
    """Two storeys of 9 x 7 x 2.6 m, z up."""
    points = rng.random((60_000, 3))
    areas = np.array([7 * 2.6, 9 * 2.6, 9 * 7.0])
    axis = rng.choice(3, 60_000, p=areas / areas.sum())
    points[np.arange(60_000), axis] = rng.integers(0, 2, 60_000)
    points = points * [9.0, 7.0, 2.6]
    points[30_000:, 2] += 2.8
    return points + rng.normal(0, 0.01, points.shape)


@pytest.mark.parametrize("up", ["x", "y", "z"])
@pytest.mark.parametrize("turn", [0, 20, 45])
def test_the_up_axis_of_a_house_is_found_at_any_turn(rng: np.random.Generator, up: str, turn: int) -> None:
    turned = Rotation.from_euler("z", turn, degrees=True).apply(_house(rng))
    summary = describe(PointCloud(turned @ up_rotation(up)))  # the rows of the inverse rotation
    assert summary.up == up and 0.1 < summary.up_confidence <= 1


@pytest.mark.parametrize("up", ["x", "y", "-x", "-y"])
def test_floors_at_zero_tell_which_way_an_axis_points(rng: np.random.Generator, up: str) -> None:
    assert describe(PointCloud(_house(rng) @ up_rotation(up))).up == up


@pytest.mark.parametrize("up", ["x", "y", "-x", "-y"])
def test_furniture_on_the_floor_tells_which_way_the_axis_of_a_camera_points(rng: np.random.Generator, up: str) -> None:
    table = rng.random((20_000, 3)) * [6.0, 4.0, 0.8] + [1.0, 1.0, 0.1]
    house = np.concatenate([_house(rng)[:30_000], table]) - [0, 0, 1.2]  # the camera is the origin
    assert describe(PointCloud(house @ up_rotation(up))).up == up


@pytest.mark.parametrize("noise_m", [0.0, 0.01])
@pytest.mark.parametrize("on_the_street", [20_000, 40_000])
def test_of_a_facade_and_its_street_nothing_tells_which_is_the_ground(
    rng: np.random.Generator, noise_m: float, on_the_street: int
) -> None:
    wall, street = rng.random((40_000, 3)) * [20, 0, 9], rng.random((on_the_street, 3)) * [20, 8, 0]
    points = np.concatenate([wall, street])
    summary = describe(PointCloud(points + rng.normal(size=points.shape) * noise_m))
    assert summary.up == "z" and summary.up_confidence <= 0.1


def test_a_ball_has_no_confident_up_axis(rng: np.random.Generator) -> None:
    directions = rng.normal(size=(20_000, 3))
    ball = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert describe(PointCloud(ball)).up_confidence < 0.05


@pytest.mark.parametrize(("units", "scale"), [("metres", 1.0), ("centimetres", 0.01), ("millimetres", 0.001)])
def test_units_of_a_house_are_guessed_and_the_scale_gives_metres(
    rng: np.random.Generator, units: str, scale: float
) -> None:
    house = _house(rng)
    summary = describe(PointCloud(house / scale))
    assert summary.units == units and summary.suggested_scale == scale and summary.units_confidence > 0.5
    assert summary.extent_m == pytest.approx(np.ptp(house, axis=0))
    assert summary.spacing_m == pytest.approx(describe(PointCloud(house)).spacing, rel=1e-6)
    assert summary.points == 60_000 and units in str(summary)


def test_a_scan_of_one_room_in_inches_is_no_hall_of_a_hundred_metres(rng: np.random.Generator) -> None:
    points = rng.random((60_000, 3)) * [6, 4.5, 2.7]
    axis = rng.integers(0, 3, 60_000)
    points[np.arange(60_000), axis] = np.array([6, 4.5, 2.7])[axis] * rng.integers(0, 2, 60_000)
    assert describe(PointCloud(points / 0.0254)).units == "inches"
    assert describe(PointCloud(points)).units == "metres"


@pytest.mark.parametrize(("side", "count", "height"), [(120, 58_000, 12.0), (400, 300_000, 60.0), (60, 200_000, 20.0)])
def test_open_ground_and_tall_halls_stay_in_metres(
    rng: np.random.Generator, side: float, count: int, height: float
) -> None:
    x, y = rng.random((2, count)) * side
    z = height / 2 * np.sin(x / side * 9) * np.cos(y / side * 7)
    assert describe(PointCloud(np.stack([x, y, z], axis=1))).units == "metres"


def test_the_spacing_of_a_grid_is_its_step_however_often_its_points_repeat() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(12) * 0.25] * 3), axis=-1).reshape(-1, 3) + 500_000
    for repeats in (1, 2, 7):
        spacing = median_spacing(np.repeat(grid, repeats, axis=0), np.random.default_rng(0))
        assert spacing == pytest.approx(0.25, abs=1e-9)
    assert median_spacing(np.zeros((100, 3)), np.random.default_rng(0)) == 0


def test_the_spacing_is_the_median_of_all_nearest_distances(rng: np.random.Generator) -> None:
    points = rng.random((600, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(600, np.inf))
    assert median_spacing(points, rng) == pytest.approx(np.median(distances.min(axis=1)), abs=1e-12)


def test_far_outliers_do_not_change_the_guesses(rng: np.random.Generator) -> None:
    house = _house(rng)
    summary = describe(PointCloud(np.concatenate([house, [[3000.0, 0, 0]]])))
    assert (summary.up, summary.units) == ("z", "metres") and summary.extent[0] > 2900


def test_the_same_seed_gives_the_same_summary(rng: np.random.Generator) -> None:
    cloud = PointCloud(rng.random((30_000, 3)))
    assert str(describe(cloud, seed=3)) == str(describe(cloud, seed=3))
    assert isinstance(describe(cloud), CloudSummary)


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.array([[0.0, np.nan, 0]])])
def test_clouds_that_were_not_cleaned_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite points, found NaN, inf or none in .; clean it first"):
        describe(PointCloud(points))


@pytest.mark.parametrize(
    ("name", "up", "spacing_m"), [("two_storey_hall.laz", "y", 0.0141), ("lidar_room.pcd", "z", 0.026)]
)
def test_the_shared_scans_are_described_rightly(shared_data: Path, name: str, up: str, spacing_m: float) -> None:
    if name.endswith(".laz"):
        pytest.importorskip("laspy", reason="laspy is not installed (extra las)")
    cloud, _ = clean_points(read_points(shared_data / "real" / name))
    summary = describe(cloud)
    assert summary.up == up and summary.up_confidence > 0.5
    assert summary.units == "metres" and summary.suggested_scale == 1.0
    assert summary.spacing_m == pytest.approx(spacing_m, rel=0.1)
    for scale, units in ((100, "centimetres"), (1000, "millimetres")):
        assert describe(PointCloud(cloud.points * scale)).units == units
