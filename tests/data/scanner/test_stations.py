"""Stations and walks in arbitrary meshes: free, inside, on every storey, connected through doors only."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.scanner.stations import EYE_HEIGHT_M, find_stations, find_walks
from sparse_convonet.mesh.raycast import TriangleScene
from tests.oracles.nearest import distance_to_mesh


def solid(*boxes):
    mesh = trimesh.util.concatenate(
        [trimesh.creation.box(bounds=np.array([low, high], dtype=float)) for low, high in boxes]
    )
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


ROOM = ([-3, -2, 0], [3, 2, 2.6])
TABLE = ([-1, -1, 0.7], [1, 1, 0.75])


def test_stations_of_a_closed_room_stand_at_eye_height_clear_of_everything():
    mesh = solid(ROOM, ([-3, -0.2, 0], [-1, 0.2, 2.6]))
    stations = find_stations(*mesh, 1.0, np.random.default_rng(0))
    assert len(stations) >= 8
    np.testing.assert_allclose(stations[:, 2], EYE_HEIGHT_M, atol=0.011)
    assert ((stations > [-3, -2, 0]) & (stations < [3, 2, 2.6])).all()
    assert min(distance_to_mesh(station, *mesh) for station in stations) > 0.3
    between = np.linalg.norm(stations[:, None] - stations[None], axis=2)
    assert between[~np.eye(len(stations), dtype=bool)].min() >= 1.0


def test_no_station_stands_on_a_table():
    stations = find_stations(*solid(ROOM, TABLE), 0.8, np.random.default_rng(0))
    assert np.ptp(stations[:, 2]) < 0.011


@pytest.mark.parametrize("thickness", [0.1, 0.3, 0.6, 1.1])
def test_storeys_on_thick_slabs_have_stations_and_large_tables_on_them_none(thickness):
    parts = []
    for low in (0.0, 2.6 + thickness):
        parts += [([-4, -3, low - thickness], [4, 3, low]), ([-0.9, -2, low + 0.7], [0.9, 2, low + 0.75])]
        for x, y in ((4.1, 0), (-4.1, 0), (0, 3.1), (0, -3.1)):
            half = np.array([0.1, 3.2]) if x else np.array([4.0, 0.1])
            parts.append(([*((x, y) - half), low - thickness], [*((x, y) + half), low + 2.6]))
    parts.append(([-4.2, -3.2, 5.2 + thickness], [4.2, 3.2, 5.3 + 2 * thickness]))
    stations = find_stations(*solid(*parts), 1.0, np.random.default_rng(0))
    heights, counts = np.unique(stations[:, 2].round(1), return_counts=True)
    np.testing.assert_allclose(heights, [1.5, 4.1 + thickness], atol=0.051)
    assert (counts >= 8).all()


def test_no_station_stands_outside_or_on_the_roof():
    ground = ([-15, -15, -0.2], [15, 15, 0])
    walls = (
        ([-3.2, -2.2, 0], [-3, 2.2, 2.6]),
        ([3, -2.2, 0], [3.2, 2.2, 2.6]),
        ([-3.2, -2.2, 0], [3.2, -2, 2.6]),
        ([-3.2, 2, 0], [3.2, 2.2, 2.6]),
        ([-3.2, -2.2, 2.6], [3.2, 2.2, 2.8]),
    )
    stations = find_stations(*solid(ground, *walls), 1.0, np.random.default_rng(0))
    assert len(stations) >= 5
    assert (np.abs(stations) < [3, 2, 2.6]).all()
    with pytest.raises(ValueError, match="inside a building, found none"):
        find_stations(*solid(ground), 1.0, np.random.default_rng(0))


def test_every_storey_has_stations():
    stations = find_stations(*solid(ROOM, ([-3, -2, 2.8], [3, 2, 5.4])), 1.0, np.random.default_rng(0))
    levels = np.unique(stations[:, 2].round(1))
    np.testing.assert_allclose(levels, [1.5, 4.3], atol=0.05)
    for level in levels:
        assert (np.abs(stations[:, 2] - level) < 0.1).sum() >= 5


def test_stations_are_a_function_of_the_seed_and_move_with_the_building():
    vertices, faces = solid(ROOM, TABLE)
    first, again, other = (find_stations(vertices, faces, 1.0, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    shift = np.array([1000.0, -2000.0, 50.0])
    moved = find_stations(vertices + shift, faces, 1.0, np.random.default_rng(0))
    np.testing.assert_allclose(moved - shift, first, atol=0.011)


def test_a_walk_goes_through_the_door_and_never_through_a_wall():
    mesh = solid(ROOM, ([-0.05, -2, 0], [0.05, 1, 2.6]), ([-0.05, 1, 2.1], [0.05, 2, 2.6]))
    walks = find_walks(*mesh, 1.0, np.random.default_rng(0))
    assert len(walks) == 1
    walk = walks[0]
    assert walk[:, 0].min() < -1 and walk[:, 0].max() > 1
    crossings = [(a, b) for a, b in pairwise(walk) if a[0] * b[0] < 0]
    assert crossings and all(min(a[1], b[1]) > 0.9 for a, b in crossings)
    scene = TriangleScene(*mesh)
    steps = np.diff(walk, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    free, _ = scene.first_hits(walk[:-1], steps / lengths[:, None])
    assert (free > lengths).all()


def test_a_closed_wall_makes_two_walks_that_visit_all_stations():
    mesh = solid(ROOM, ([-0.05, -2, 0], [0.05, 2, 2.6]))
    walks = find_walks(*mesh, 1.0, np.random.default_rng(0))
    assert len(walks) == 2
    assert {bool(walk[0, 0] > 0) for walk in walks} == {True, False}
    for walk in walks:
        assert (np.sign(walk[:, 0]) == np.sign(walk[0, 0])).all()
    stations = find_stations(*mesh, 1.0, np.random.default_rng(0))
    visited = np.concatenate(walks)
    assert np.linalg.norm(stations[:, None] - visited[None], axis=2).min(axis=1).max() == 0


def test_a_bad_spacing_is_refused():
    with pytest.raises(ValueError, match="spacing: expected more than zero metres, found 0"):
        find_stations(*solid(ROOM), 0.0, np.random.default_rng(0))
