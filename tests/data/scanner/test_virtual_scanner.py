"""The virtual scanner: exact where it should be exact, and wrong in the way its settings say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.scanner.ray_patterns import head_rays, panorama_directions
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from tests.data.scanner.box_scenes import IDEAL, box_mesh, distance_inside_box, joined


def test_hits_of_a_closed_box_lie_on_its_sides_and_every_ray_returns(room):
    points = room.panorama(np.array([0.5, 0.2, 1.5]), 20_000, IDEAL, np.random.default_rng(0))
    assert len(points) == 20_000
    assert distance_inside_box(points, [-2, -3, 0], [4, 3, 2.5]).max() < 1e-5


def test_hits_of_a_sphere_lie_between_its_triangles_and_its_radius():
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=2.0)
    scanner = VirtualScanner(sphere.vertices, sphere.faces)
    points = scanner.panorama(np.array([0.3, -0.5, 0.2]), 20_000, IDEAL, np.random.default_rng(0))
    radii = np.linalg.norm(points, axis=1)
    innermost = np.abs(np.einsum("ij,ij->i", sphere.face_normals, sphere.triangles[:, 0])).min()
    assert len(points) == 20_000
    assert innermost - 1e-5 <= radii.min() and radii.max() <= 2.0 + 1e-5


def test_first_hits_from_outside_a_box_match_the_slab_method(room):
    rng = np.random.default_rng(1)
    low, high = np.array([-2.0, -3.0, 0.0]), np.array([4.0, 3.0, 2.5])
    origins = rng.uniform(-8, 8, (5000, 3)) + [1, 0, 1.25]
    directions = rng.normal(size=(5000, 3))
    hit, points, normals = room.first_hits(origins, directions)
    entries = np.sort(np.stack([(low - origins) / directions, (high - origins) / directions]), axis=0)
    enter, leave = entries[0].max(axis=1), entries[1].min(axis=1)
    distance = np.where(enter > 0, enter, leave)
    expected = (leave > np.maximum(enter, 0)) & (distance > 0)
    assert 0.05 < expected.mean() < 0.95
    np.testing.assert_array_equal(hit, expected)
    np.testing.assert_allclose(points[hit], (origins + distance[:, None] * directions)[hit], atol=1e-5)
    assert np.isnan(points[~hit]).all() and (normals[~hit] == 0).all()
    assert (np.einsum("ij,ij->i", normals[hit], directions[hit]) < 0).all()
    np.testing.assert_allclose(np.abs(normals[hit]).max(axis=1), 1.0, atol=1e-6)


def test_a_room_far_from_the_origin_is_measured_as_exactly(room):
    shift = np.array([4_000_000.0, -500_000.0, 300.0])
    vertices, faces = box_mesh([-2, -3, 0], [4, 3, 2.5])
    far = VirtualScanner(vertices + shift, faces)
    station = np.array([0.5, 0.2, 1.5])
    near_points = room.panorama(station, 5000, IDEAL, np.random.default_rng(3))
    far_points = far.panorama(station + shift, 5000, IDEAL, np.random.default_rng(3))
    np.testing.assert_allclose(far_points - shift, near_points, atol=1e-5)


def test_density_of_a_panorama_falls_with_the_square_of_the_distance():
    # A ray meets the floor at height h below at the distance r with density  rays / 4 pi * cos / r^2 = ... h / r^3.
    floor = VirtualScanner(*box_mesh([-30, -30, -1], [30, 30, 0]))
    height, rays = 1.5, 400_000
    points = floor.panorama(np.array([0, 0, height]), rays, IDEAL, np.random.default_rng(0))
    distance_level = np.linalg.norm(points[:, :2], axis=1)
    for inner, outer in ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0), (8.0, 9.0)):
        found = ((distance_level >= inner) & (distance_level < outer)).sum()
        expected = rays / 2 * (height / np.hypot(inner, height) - height / np.hypot(outer, height))
        assert abs(found / expected - 1) < 0.05
    on_walls = VirtualScanner(*box_mesh([-1, -4, -10], [4, 4, 10]))
    points = on_walls.panorama(np.zeros(3), rays, IDEAL, np.random.default_rng(0))
    near, far = (
        (np.abs(points[:, 0] - wall) < 1e-4) & (np.linalg.norm(points[:, 1:], axis=1) < 0.2) for wall in (-1, 4)
    )
    assert abs(near.sum() / far.sum() / 4.0**2 - 1) < 0.15


def test_crowding_one_spreads_rays_evenly_over_the_elevation_angles():
    settings = dataclasses.replace(IDEAL, lowest_deg=-60.0, highest_deg=80.0, pole_crowding=1.0)
    directions = panorama_directions(14_000, settings, np.random.default_rng(0))
    counts, _ = np.histogram(np.rad2deg(np.arcsin(directions[:, 2])), bins=14, range=(-60, 80))
    np.testing.assert_allclose(counts, 1000, atol=2)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-12)


def test_what_stands_behind_a_cupboard_is_unseen_and_a_door_shows_the_next_room():
    room = box_mesh([-3, -3, 0], [3, 3, 2.5])
    cupboard = box_mesh([1.0, -1.0, 0.0], [1.6, 1.0, 2.5])
    station = np.array([-2.0, 0.0, 1.5])
    points = VirtualScanner(*joined(room, cupboard)).panorama(station, 50_000, IDEAL, np.random.default_rng(0))
    assert not ((points[:, 0] > 1.0 + 1e-4) & (np.abs(points[:, 1]) < 1.0)).any()
    # A wall at x = 0 with a door 1 m wide: beyond it only what lies in the cone through the door.
    walls = joined(room, box_mesh([-0.05, -3, 0], [0.05, -0.5, 2.5]), box_mesh([-0.05, 0.5, 0], [0.05, 3, 2.5]))
    points = VirtualScanner(*walls).panorama(station, 50_000, IDEAL, np.random.default_rng(0))
    beyond = points[points[:, 0] > 0.1]
    assert len(beyond) > 500
    slope = np.abs(beyond[:, 1]) / (beyond[:, 0] - station[0])
    assert slope.max() <= 0.5 / 1.95 + 1e-4


def test_a_walk_sees_rooms_that_its_start_cannot_see():
    # Two rooms side by side with a door at the far end of the wall between them.
    walls = joined(box_mesh([-4, -3, 0], [4, 3, 2.5]), box_mesh([-0.05, -3, 0], [0.05, 2, 2.5]))
    scanner = VirtualScanner(*walls)
    path = np.array([[-2, -1, 1.5], [-2, 2.5, 1.5], [2, 2.5, 1.5], [2, -2, 1.5]])
    hidden = np.array([1.0, -2.9, 0.0]), np.array([3.9, -2.0, 2.5])
    walk = scanner.scan_path(path, 30_000, IDEAL, np.random.default_rng(0)).points
    still = scanner.scan_path(path[:1], 30_000, IDEAL, np.random.default_rng(0)).points

    def within(points):
        return ((points >= hidden[0]) & (points <= hidden[1])).all(axis=1).sum()

    assert within(still) == 0 and within(walk) > 100
    # Every exact point is on the outer box or on the wall.
    outer = distance_inside_box(walk, [-4, -3, 0], [4, 3, 2.5])
    wall = np.minimum(np.abs(np.abs(walk[:, 0]) - 0.05), np.abs(walk[:, 1] - 2))
    assert np.minimum(outer, wall).max() < 1e-5


def test_the_rays_of_a_walk_start_on_the_path_in_its_order():
    path = np.array([[0.0, 0, 1.5], [3, 0, 1.5], [3, 4, 2.5]])
    origins, directions, drift = head_rays(path, 5000, IDEAL, np.random.default_rng(0))
    steps = np.linalg.norm(np.diff(origins, axis=0), axis=1)
    length = 3 + np.hypot(4, 1)
    assert abs(steps.sum() - length) < 0.02
    on_first = np.abs(origins[:, 1:] - [0, 1.5]).max(axis=1) < 1e-9
    assert abs(on_first.mean() - 3 / length) < 0.01
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-12)
    assert (drift == 0).all()


def test_the_head_reaches_as_high_as_its_fan_and_its_sway():
    settings = dataclasses.replace(IDEAL, head_fov_deg=30.0, head_tilt_deg=0.0)
    path = np.array([[0.0, 0, 1.5], [30, 0, 1.5]])
    _, level, _ = head_rays(path, 20_000, settings, np.random.default_rng(0))
    elevations = np.rad2deg(np.arcsin(level[:, 2]))
    assert len(np.unique(elevations.round(6))) == settings.rings
    assert abs(np.abs(elevations).max() - 15.0) < 1e-9
    swaying = dataclasses.replace(settings, head_tilt_deg=60.0)
    _, directions, _ = head_rays(path, 20_000, swaying, np.random.default_rng(0))
    assert np.rad2deg(np.arcsin(directions[:, 2])).max() > 45


@pytest.mark.parametrize("mode", ["stations", "path"])
def test_a_scan_is_a_function_of_its_seed(room, mode):
    settings = ScannerSettings.draw(np.random.default_rng(7))
    positions = np.array([[0.5, 0.2, 1.5], [2.0, 1.0, 1.5]])
    scan = room.scan_stations if mode == "stations" else room.scan_path
    first, again, other = (scan(positions, 3000, settings, np.random.default_rng(seed)).points for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("tilt_deg", [0.0, 5.0])
@pytest.mark.parametrize("mode", ["stations", "path"])
def test_each_point_has_its_scanner_and_a_normal_towards_it_also_out_of_level(room, mode, tilt_deg):
    settings = dataclasses.replace(IDEAL, tilt_deg=tilt_deg)
    positions = np.array([[0.5, 0.2, 1.5], [2.0, 1.0, 1.5]])
    scan = room.scan_stations if mode == "stations" else room.scan_path
    cloud = scan(positions, 3000, settings, np.random.default_rng(0))
    assert len(cloud) >= 3000 and cloud.scanners.shape == cloud.normals.shape == cloud.points.shape
    assert cloud.normals.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1.0, atol=1e-5)
    assert (((cloud.scanners - cloud.points) * cloud.normals).sum(axis=1) > 0).all()
    # Level again by what the points say themselves: the box's six planes each have one normal and one offset.
    level = scan(positions, 3000, IDEAL, np.random.default_rng(0))
    turn = np.linalg.lstsq(level.normals, cloud.normals, rcond=None)[0].T  # of the same rays
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)
    assert abs(np.rad2deg(np.arccos(np.clip(turn[2, 2], -1, 1))) - tilt_deg) < 0.02
    for name in ("points", "scanners"):
        moved = getattr(level, name) @ turn.T
        np.testing.assert_allclose(
            getattr(cloud, name) - moved, np.tile((cloud.points - level.points @ turn.T)[0], (len(cloud), 1)), atol=1e-3
        )
    known = level.scanners if mode == "path" else np.unique(level.scanners, axis=0)
    if mode == "stations":
        np.testing.assert_allclose(known, positions, atol=1e-9)
    else:
        assert (known >= positions.min(axis=0) - 1e-9).all() and (known <= positions.max(axis=0) + 1e-9).all()
    assert distance_inside_box(level.points, [-2, -3, 0], [4, 3, 2.5]).max() < 1e-5


def test_what_moves_the_points_of_a_station_moves_where_it_stood(room):
    settings = dataclasses.replace(IDEAL, registration_m=0.05, registration_deg=1.0)
    station = np.array([[0.5, 0.2, 1.5]])
    cloud = room.scan_stations(station, 2000, settings, np.random.default_rng(0))
    exact = room.scan_stations(station, 2000, IDEAL, np.random.default_rng(0))
    assert np.abs(cloud.scanners[0] - station[0]).max() > 1e-3
    ranges, expected = (np.linalg.norm(each.points - each.scanners, axis=1) for each in (cloud, exact))
    np.testing.assert_allclose(ranges, expected, atol=1e-9)


def test_drawn_settings_are_valid_varied_and_scan_near_the_surfaces(room):
    drawn = [ScannerSettings.draw(np.random.default_rng(seed)) for seed in range(50)]
    assert len({settings.noise_m for settings in drawn}) == 50
    assert all(0.003 <= settings.noise_m <= 0.03 and settings.tilt_deg == 0 for settings in drawn)
    assert {settings.quantum_m for settings in drawn} == {0.0, 0.001, 0.01}
    for settings in drawn[:8]:
        cloud = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 4000, settings, np.random.default_rng(0))
        assert len(cloud) > 400
        assert np.median(distance_inside_box(cloud.points, [-2, -3, 0], [4, 3, 2.5])) < 0.06


def test_stations_that_see_nothing_give_an_empty_cloud(room):
    settings = dataclasses.replace(IDEAL, max_range_m=0.5)
    cloud = room.scan_stations(np.array([[0.5, 0.2, 1.5]]), 100, settings, np.random.default_rng(0))
    assert cloud.points.shape == (0, 3)


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), dtype=int), "at least one face, found none"),
        (np.zeros((3, 3)), np.zeros((0, 3), dtype=int), "at least one face, found none"),
        (np.zeros((3, 3)), np.array([[0, 1, 3]]), "indices from 0 to 2, found 0 to 3"),
        (np.full((3, 3), np.nan), np.array([[0, 1, 2]]), "finite numbers"),
        (np.zeros((3, 2)), np.array([[0, 1, 2]]), r"shape \(N, 3\), found \(3, 2\)"),
    ],
)
def test_broken_meshes_are_refused(vertices, faces, message):
    with pytest.raises(ValueError, match=message):
        VirtualScanner(vertices, faces)


def test_bad_requests_are_refused(room):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="stations: expected positions"):
        room.scan_stations(np.zeros((0, 3)), 10, IDEAL, rng)
    with pytest.raises(ValueError, match="path: expected finite"):
        room.scan_path(np.full((2, 3), np.nan), 10, IDEAL, rng)
    with pytest.raises(ValueError, match="rays: expected at least 1, found 0"):
        room.scan_path(np.ones((2, 3)), 0, IDEAL, rng)
    with pytest.raises(ValueError, match="length above zero"):
        room.first_hits(np.zeros((1, 3)), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="min_range_m < max_range_m"):
        ScannerSettings(min_range_m=3.0, max_range_m=2.0)
    with pytest.raises(ValueError, match="outlier_share: expected a number from 0 to 1, found 2"):
        ScannerSettings(outlier_share=2.0)
