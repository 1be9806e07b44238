"""The virtual scanner: exact where it should be exact, and wrong in the way its settings say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.scanner.ray_patterns import head_rays, panorama_directions
from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner

IDEAL = ScannerSettings.ideal()


def box_mesh(low, high, faces=None):
    mesh = trimesh.creation.box(bounds=np.array([low, high], dtype=float))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces if faces is None else mesh.faces[faces])


def joined(*meshes):
    offsets = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    return (
        np.concatenate([vertices for vertices, _ in meshes]),
        np.concatenate([faces + offset for (_, faces), offset in zip(meshes, offsets, strict=False)]),
    )


def distance_inside_box(points, low, high):
    """From points inside or on a box to its surface."""
    return np.abs(np.minimum(points - low, np.asarray(high) - points)).min(axis=1)


@pytest.fixture(scope="module")
def room():
    return VirtualScanner(*box_mesh([-2, -3, 0], [4, 3, 2.5]))


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
