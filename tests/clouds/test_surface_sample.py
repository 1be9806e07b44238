"""Density per square metre of surface and noise, against clouds of which both are known."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.clouds import surface_sample
from sparse_convonet.clouds.cloud_places import CloudPlaces
from sparse_convonet.clouds.surface_sample import SurfaceSample, sample_surface, weighted_quantile
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.furniture.library import FurnitureLibrary
from tests.one_station_hall import HALL_M2, one_station_hall
from tests.synthetic_scan import room_points


def sampled(points: np.ndarray) -> SurfaceSample:
    return sample_surface(CloudPlaces(points))


def plane(rng: np.random.Generator, per_m2: float, noise_m: float, size_m: tuple[float, float]) -> np.ndarray:
    """Points on a slanting rectangle, with noise in all directions."""
    count = int(per_m2 * size_m[0] * size_m[1])
    flat = np.column_stack([rng.random((count, 2)) * size_m, np.zeros(count)])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return flat @ turn.T + rng.normal(0, noise_m, (count, 3)) + [300.0, -20.0, 5.0]


@pytest.mark.parametrize("noise_m", [0.002, 0.005, 0.012, 0.03])
@pytest.mark.parametrize("per_m2", [100, 1000, 20_000])
def test_a_plane_has_its_density_and_its_noise_and_stands_for_its_area(
    rng: np.random.Generator, per_m2: float, noise_m: float
) -> None:
    surface = sampled(plane(rng, per_m2, noise_m, (5.0, 4.0)))
    assert surface.typical_per_m2 == pytest.approx(per_m2, rel=0.15)
    assert surface.noise_m == pytest.approx(noise_m, rel=0.2)
    assert surface.area_m2.sum() == pytest.approx(20.0, rel=0.15)


@pytest.mark.parametrize("noise_m", [0.002, 0.01, 0.03])
@pytest.mark.parametrize("count", [10_000, 100_000])
def test_a_room_with_a_box_has_its_noise_and_density(count: int, noise_m: float) -> None:
    surface = sampled(room_points(count, noise_m=noise_m))
    area = 2 * (3 * 2.5 + 3 * 2.4 + 2.5 * 2.4) + 0.8 * 0.8 + 4 * 0.8 * 0.7
    assert surface.noise_m == pytest.approx(noise_m, rel=0.2)
    assert surface.typical_per_m2 == pytest.approx(count / area, rel=0.15)


@pytest.mark.parametrize("noise_m", [0.002, 0.01, 0.03])
def test_a_generated_furnished_room_has_its_noise(rng: np.random.Generator, noise_m: float) -> None:
    scene = make_room(3, FurnitureLibrary.load().split("val"))
    points, _ = scene.sample_surface(150_000, rng)
    surface = sampled(points + rng.normal(0, noise_m, points.shape))
    assert surface.noise_m == pytest.approx(noise_m, rel=0.2)


@pytest.mark.parametrize("step_m", [0.01, 0.02, 0.1])
def test_coordinates_rounded_to_steps_have_the_noise_of_rounding(step_m: float) -> None:
    """On walls along the axes all points are rounded to one plane, which fits itself without noise."""
    exact = room_points(100_000, noise_m=0.0) + (0.003, 0.004, 0.0045)
    assert sampled(exact).noise_m == pytest.approx(0, abs=1e-5)
    assert sampled(np.round(exact / step_m) * step_m).noise_m == pytest.approx(step_m / 12**0.5, rel=0.2)


def test_where_some_of_a_scan_is_rounded_its_place_does_not_matter() -> None:
    """One half of a room is as it was measured, with 3 mm of noise, the other rounded to 5 cm."""
    exact = room_points(100_000, noise_m=0.003)
    rounded = np.round(exact / 0.05) * 0.05
    west, east = (np.where((exact[:, :1] < 1.5) == is_west, rounded, exact) for is_west in (True, False))
    assert sampled(west).noise_m == pytest.approx(sampled(east).noise_m, abs=0.002)


def test_heights_alone_may_be_rounded() -> None:
    """A floor and a ceiling then have the noise of that."""
    exact = room_points(100_000, noise_m=0.001)
    exact[:, 2] = np.round(exact[:, 2] / 0.02) * 0.02
    steps = surface_sample._steps(exact[:5000])
    assert steps[2] == pytest.approx(0.02) and steps[0] == steps[1] == 0
    level = [surface_sample._Patch(1.0, 0.0, False, np.array(normal), steps) for normal in ((0, 0, 1.0), (1.0, 0, 0))]
    assert surface_sample._rounding(level) == pytest.approx([0.02 / 12**0.5, 0])


def test_from_one_station_the_density_falls_with_the_square_of_the_distance_and_area_counts() -> None:
    """Seen straight on, walls have as many points as rays pass through a square metre at their distance."""
    points = one_station_hall(600_000)
    surface = sampled(points)
    assert surface.area_m2.sum() == pytest.approx(HALL_M2, rel=0.15)
    assert surface.noise_m == pytest.approx(0.003, rel=0.2)
    rays_per_steradian = 600_000 / (4 * np.pi)
    near, far = points[points[:, 0] < 0.05], points[points[:, 0] > 59.9]
    for wall, distance_m in ((near, 5.0), (far, 55.0)):  # the end walls, 8 x 5 m
        y, z = np.meshgrid(np.linspace(-3.95, 3.95, 80), np.linspace(-1.55, 3.35, 50))
        expected = np.median(rays_per_steradian * distance_m / (distance_m**2 + y**2 + z**2) ** 1.5)
        assert sampled(wall).typical_per_m2 == pytest.approx(expected, rel=0.25)
    # Half of the points are on the few square metres near the scanner; half of the area has few points.
    per_point = weighted_quantile(surface.per_m2, surface.area_m2 * surface.per_m2, 0.5)
    assert per_point > 20 * surface.typical_per_m2


def test_strays_in_mid_air_are_no_surface(rng: np.random.Generator) -> None:
    points = plane(rng, 2000, 0.005, (5.0, 4.0))
    strays = rng.uniform(points.min(axis=0), points.max(axis=0), (200, 3))
    surface = sampled(np.concatenate([points, strays]))
    assert surface.area_m2.sum() == pytest.approx(20.0, rel=0.2)
    assert surface.noise_m == pytest.approx(0.005, rel=0.2)


def test_neither_the_order_of_the_points_nor_where_the_scan_stands_changes_anything(rng: np.random.Generator) -> None:
    points = np.round(room_points(20_000) * 256) / 256
    first, mixed = sampled(points), sampled(rng.permutation(points))
    assert np.array_equal(first.per_m2, mixed.per_m2) and np.array_equal(first.area_m2, mixed.area_m2)
    assert first.noise_m == mixed.noise_m
    moved = sampled(points + [1024.0, -512.0, 64.0])
    assert np.allclose(first.per_m2, moved.per_m2) and first.noise_m == pytest.approx(moved.noise_m)


@pytest.mark.parametrize(
    "points", [np.zeros((1, 3)), np.ones((100, 3)), np.ones((500, 3)), np.eye(3), np.arange(30.0).reshape(10, 3)]
)
def test_few_points_and_all_in_one_place_give_finite_values(points: np.ndarray) -> None:
    surface = sampled(points)
    assert np.isfinite(surface.per_m2).all() and (surface.area_m2 > 0).all() and np.isfinite(surface.noise_m)
