"""What scans miss each other by where they overlap: told as it is, by any parts, and not of the two sides of a wall."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.overlap import measure_overlap

NOISE_M = 0.002
STATIONS = np.array([[-2.0, -1.0, 1.5], [2.0, 1.0, 1.5]])


def scans(shift: np.ndarray, stations: np.ndarray = STATIONS, count: int = 250_000) -> tuple[np.ndarray, np.ndarray]:
    """Points and scanners of a room of 7 x 5 x 2.6 m, divided by a wall of 8 cm; the second station is shifted."""
    room = trimesh.creation.box((7, 5, 2.6)).apply_translation((0, 0, 1.3))
    room.invert()
    wall = trimesh.creation.box((0.08, 3.0, 2.6)).apply_translation((0, -1.0, 1.3))
    solid = trimesh.util.concatenate([room, wall])
    scene, rng = TriangleScene(solid.vertices, solid.faces), np.random.default_rng(0)
    points, scanners = [], []
    for number, station in enumerate(stations):
        ways = rng.normal(size=(count, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        origins = np.tile(station, (count, 1))
        ranges, _ = scene.first_hits(origins, ways)
        moved = shift * (number == 1)
        points.append(origins + ways * ranges[:, None] + rng.normal(size=(count, 3)) * NOISE_M + moved)
        scanners.append(origins + moved)
    return np.concatenate(points), np.concatenate(scanners)


@pytest.mark.parametrize("missed_m", [0.0, 0.004, 0.03])
def test_what_scans_miss_each_other_by_is_told(missed_m: float) -> None:
    """Shifted aslant: floors and walls miss each other by the share of the shift that is along their normals."""
    points, scanners = scans(missed_m * np.ones(3))
    found = measure_overlap([(points, scanners)], points.min(axis=0))
    assert found is not None and found.viewpoints == 2 and 30 < found.area_m2 < 110
    assert found.median_m == pytest.approx(missed_m, abs=NOISE_M / 2)
    assert found.within_95_m == pytest.approx(missed_m, abs=NOISE_M)
    assert len(found.places) == 5 and found.places[0].missed_m >= found.places[-1].missed_m


def test_the_two_sides_of_a_wall_are_no_overlap() -> None:
    """Each station sees its own side alone, 8 cm from the other."""
    points, scanners = scans(np.zeros(3), np.array([[-2.0, -1.0, 1.5], [2.0, -1.0, 1.5]]))
    of_wall = (np.abs(points[:, 0]) < 0.06) & (points[:, 1] < 0.3) & (np.abs(points[:, 2] - 1.3) < 1.1)
    assert of_wall.sum() > 5000
    assert measure_overlap([(points[of_wall], scanners[of_wall])], points.min(axis=0)) is None


def test_places_name_where_it_is_worst() -> None:
    points, scanners = scans(np.zeros(3))
    bent = (scanners[:, 0] > 0) & (points[:, 2] < 0.05) & (np.abs(points[:, 0] - 1.5) < 0.5) & (points[:, 1] > 1)
    points[bent, 2] += 0.015  # the second scan's floor, in one place
    found = measure_overlap([(points, scanners)], points.min(axis=0))
    assert found is not None and found.places[0].missed_m == pytest.approx(0.015, abs=0.002)
    assert np.abs(found.places[0].at_world[:2] - [1.5, 1.5]).max() < 0.8 and found.places[0].at_world[2] < 0.1
    assert found.median_m < 0.001


def test_parts_order_and_place_change_nothing() -> None:
    points, scanners = scans(np.array([0.0, 0.0, 0.01]), count=120_000)
    points, scanners = np.round(points * 2**20) / 2**20, np.round(scanners * 2**20) / 2**20  # so that shifts are exact
    whole = measure_overlap([(points, scanners)], points.min(axis=0))
    order = np.random.default_rng(1).permutation(len(points))
    far = np.array([2.0**19, 2.0**22, 0.0])
    parts = [(points[rows] + far, scanners[rows] + far) for rows in np.array_split(order, 7)]
    shifted = measure_overlap(parts, points.min(axis=0) + far)
    assert whole is not None and shifted is not None
    assert (whole.median_m, whole.within_95_m, whole.area_m2) == (
        shifted.median_m,
        shifted.within_95_m,
        shifted.area_m2,
    )
    for one, other in zip(whole.places, shifted.places, strict=True):
        assert one.missed_m == other.missed_m
        np.testing.assert_allclose(one.at_world + far, other.at_world, atol=1e-6)


def test_one_viewpoint_unknown_ones_and_nothing_tell_nothing() -> None:
    points, scanners = scans(np.zeros(3), STATIONS[:1], 20_000)
    low = points.min(axis=0)
    assert measure_overlap([(points, scanners)], low) is None
    assert measure_overlap([(points, np.full_like(points, np.nan))], low) is None
    assert measure_overlap([], low) is None


def test_a_walk_has_a_bounded_number_of_viewpoints() -> None:
    points, scanners = scans(np.zeros(3), count=120_000)
    walked = scanners + np.linspace(0, 90, len(scanners))[:, None] * [1, 0, 0]
    found = measure_overlap([(points, walked)], points.min(axis=0))
    assert found is None or found.viewpoints <= 64
    parts = [(points[rows], walked[rows]) for rows in np.array_split(np.arange(len(points)), 9)]
    again = measure_overlap(parts, points.min(axis=0))
    assert (found is None) == (again is None)
    if found is not None and again is not None:
        assert (again.viewpoints, again.median_m, again.area_m2) == (found.viewpoints, found.median_m, found.area_m2)


def test_stations_beside_each_other_are_two() -> None:
    """As a scanner on a tripod that was moved by half a metre."""
    points, scanners = scans(np.array([0.0, 0.0, 0.01]), STATIONS[:1] + [[0, 0, 0], [0.4, 0, 0]])
    found = measure_overlap([(points, scanners)], points.min(axis=0))
    assert found is not None and found.viewpoints == 2 and found.within_95_m == pytest.approx(0.01, abs=NOISE_M)
