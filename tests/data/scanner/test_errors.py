"""What a real scanner does wrong, as the settings of the virtual one say."""

from __future__ import annotations

import dataclasses

import numpy as np
import trimesh

from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from tests.data.scanner.box_scenes import IDEAL, box_mesh, joined


def test_noise_along_the_ray_has_the_sigma_of_the_settings():
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=2.0)
    settings = dataclasses.replace(IDEAL, noise_m=0.02, noise_per_metre=0.005)
    station = np.zeros(3)
    noisy = VirtualScanner(sphere.vertices, sphere.faces).panorama(station, 20_000, settings, np.random.default_rng(0))
    exact = VirtualScanner(sphere.vertices, sphere.faces).panorama(station, 20_000, IDEAL, np.random.default_rng(0))
    error = noisy - exact
    rays = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    along = np.einsum("ij,ij->i", error, rays)
    assert np.abs(error - along[:, None] * rays).max() < 1e-9
    assert abs(along.std() / (0.02 + 0.005 * 2.0) - 1) < 0.05
    assert abs(along.mean()) < 4 * 0.03 / np.sqrt(20_000)


def test_noise_grows_with_the_angle_of_incidence(room):
    settings = dataclasses.replace(IDEAL, noise_m=0.01, incidence_gain=2.0)
    station = np.array([0.5, 0.2, 1.5])
    exact = room.panorama(station, 100_000, IDEAL, np.random.default_rng(0))
    error = np.linalg.norm(room.panorama(station, 100_000, settings, np.random.default_rng(0)) - exact, axis=1)
    floor = exact[:, 2] < 1e-4
    cosine = 1.5 / np.linalg.norm(exact - station, axis=1)
    for low, high in ((0.95, 1.0), (0.45, 0.55)):
        band = floor & (cosine > low) & (cosine < high)
        expected = 0.01 * (1 + 2.0 * (1 - (low + high) / 2))
        assert band.sum() > 1000
        assert abs(np.sqrt((error[band] ** 2).mean()) / expected - 1) < 0.1


def test_ranges_outside_the_limits_are_lost(room):
    settings = dataclasses.replace(IDEAL, min_range_m=1.4, max_range_m=2.2)
    station = np.array([0.5, 0.2, 1.5])
    ranges = np.linalg.norm(room.panorama(station, 20_000, settings, np.random.default_rng(0)) - station, axis=1)
    exact = np.linalg.norm(room.panorama(station, 20_000, IDEAL, np.random.default_rng(0)) - station, axis=1)
    assert ranges.min() >= 1.4 and ranges.max() <= 2.2
    assert len(ranges) == ((exact >= 1.4) & (exact <= 2.2)).sum() > 1000


def test_outliers_are_as_many_as_the_settings_say(room):
    settings = dataclasses.replace(IDEAL, outlier_share=0.05, max_range_m=20.0)
    points = room.panorama(np.array([0.5, 0.2, 1.5]), 40_000, settings, np.random.default_rng(0))
    inner = np.abs(np.minimum(points - [-2, -3, 0], np.array([4, 3, 2.5]) - points)).min(axis=1)
    assert abs((inner > 1e-4).mean() - 0.05) < 4 * np.sqrt(0.05 / 40_000)


def test_mixed_pixels_lie_between_front_and_back_beside_edges_only():
    # A screen before a wall: mixed points have x between them and see the edge of the screen within the beam.
    scene = joined(box_mesh([3.9, -8, -8], [4, 8, 8]), box_mesh([1.9, -1, -1], [2, 1, 1]))
    settings = dataclasses.replace(IDEAL, mixed_share=1.0, beam_width_deg=0.5)
    points = VirtualScanner(*scene).panorama(np.zeros(3), 100_000, settings, np.random.default_rng(0))
    mixed = points[(points[:, 0] > 1.91) & (points[:, 0] < 3.89)]
    assert len(mixed) > 50
    from_edge = np.abs(np.abs(mixed[:, 1:] / mixed[:, :1]).max(axis=1) - 1 / 1.9)
    assert from_edge.max() < np.tan(np.deg2rad(0.5 * 5))


def test_a_share_of_the_points_goes_missing_in_patches(room):
    settings = dataclasses.replace(IDEAL, patch_share=0.1)
    station = np.array([[0.5, 0.2, 1.5]])
    whole = room.scan_stations(station, 40_000, IDEAL, np.random.default_rng(5))
    holed = room.scan_stations(station, 40_000, settings, np.random.default_rng(5))
    assert abs(len(holed) / len(whole) - 0.9) < 1e-3
    kept = {tuple(point) for point in holed.points}
    assert kept <= {tuple(point) for point in whole.points}
    # Lost points have lost neighbours: patches, not salt and pepper.
    lost = np.array([tuple(point) not in kept for point in whole.points])
    _, neighbour = trimesh.proximity.cKDTree(whole.points).query(whole.points[lost], k=2)
    assert lost[neighbour[:, 1]].mean() > 0.8


def test_uneven_density_thins_by_at_most_the_share(room):
    settings = dataclasses.replace(IDEAL, thinning=0.8)
    cloud = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 40_000, settings, np.random.default_rng(0))
    assert 0.45 < len(cloud) / 40_000 < 0.75


def test_a_pane_of_glass_leaves_a_round_hole_in_one_wall(room):
    settings = dataclasses.replace(IDEAL, glass_panes=1)
    whole = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 40_000, IDEAL, np.random.default_rng(2)).points
    cloud = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 40_000, settings, np.random.default_rng(2)).points
    kept = {tuple(point) for point in cloud}
    lost = np.array([point for point in whole if tuple(point) not in kept])
    assert len(lost) > 50
    on_wall = np.abs(lost[:, :2] - np.round(np.median(lost[:, :2], axis=0))) < 0.07
    assert on_wall.all(axis=0).any()
    assert np.ptp(lost, axis=0).max() < 2 * 0.9 + 1e-6


def test_shadows_remove_directions(room):
    settings = dataclasses.replace(IDEAL, shadows_per_station=30.0)
    points = room.panorama(np.array([0.5, 0.2, 1.5]), 20_000, settings, np.random.default_rng(0))
    assert 5000 < len(points) < 19_000


def test_quantised_coordinates_are_whole_multiples(room):
    settings = dataclasses.replace(IDEAL, quantum_m=0.01, noise_m=0.02)
    points = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 2000, settings, np.random.default_rng(0)).points
    np.testing.assert_allclose(points * 100, np.round(points * 100), atol=1e-9)


def test_tilt_turns_the_floor_by_its_angle(room):
    settings = dataclasses.replace(IDEAL, tilt_deg=1.0)
    station = np.array([[0.5, 0.2, 1.5]])
    level = room.scan_stations(station, 20_000, IDEAL, np.random.default_rng(0)).points
    tilted = room.scan_stations(station, 20_000, settings, np.random.default_rng(0)).points
    floor = tilted[level[:, 2] < 1e-4]
    normal = np.linalg.svd(floor - floor.mean(axis=0))[2][2]
    assert abs(np.rad2deg(np.arccos(abs(normal[2]))) - 1.0) < 1e-3


def test_registration_moves_each_station_as_one(room):
    settings = dataclasses.replace(IDEAL, registration_m=0.01)
    stations = np.array([[0.5, 0.2, 1.5], [2.0, 1.0, 1.5]])
    cloud = room.scan_stations(stations, 3000, settings, np.random.default_rng(0)).points
    offsets = []
    for part in (cloud[:3000], cloud[3000:]):
        # The floor, without the feet of the walls.
        inner = (np.abs(part[:, 0] - 1) < 2.9) & (np.abs(part[:, 1]) < 2.9)
        floor = part[inner & (part[:, 2] < 1), 2]
        assert len(floor) > 500 and np.ptp(floor) < 1e-5
        offsets.append(floor[0])
    assert offsets[0] != offsets[1] and np.abs(offsets).max() < 0.05
