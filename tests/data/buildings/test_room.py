"""Rooms: functions of their seed, furniture that does not overlap, surfaces that separate inside from outside."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparse_convonet.data.buildings.footprints import Footprints, overlaps
from sparse_convonet.data.buildings.room import RoomSettings, make_room
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import choose_stations, walk_through
from tests.data.furniture.tiny_library import VOXEL_M, tiny_library

SEEDS = range(12)


@pytest.fixture(scope="module")
def library() -> FurnitureLibrary:
    return tiny_library()


@pytest.fixture(scope="module")
def rooms(library: FurnitureLibrary) -> list[Scene]:
    return [make_room(seed, library) for seed in SEEDS]


def assert_same_scene(first: Scene, second: Scene) -> None:
    """Equal to the last bit: solids, furniture, pose."""
    for name in ("kinds", "centres", "rotations", "halves"):
        np.testing.assert_array_equal(getattr(first.solids, name), getattr(second.solids, name))
    assert [piece.model.name for piece in first.furniture] == [piece.model.name for piece in second.furniture]
    for one, other in zip(first.furniture, second.furniture, strict=True):
        np.testing.assert_array_equal(one.footprint, other.footprint)
        assert (one.scale, one.mirrored, one.position[2]) == (other.scale, other.mirrored, other.position[2])
    assert first.yaw == second.yaw
    np.testing.assert_array_equal(first.shift, second.shift)


def assert_no_furniture_overlaps(scene: Scene) -> None:
    """Footprints of pieces whose heights overlap are disjoint; pieces stacked on each other may share theirs."""
    for index, piece in enumerate(scene.furniture):
        low, high = piece.box
        level = [
            other.footprint
            for other in scene.furniture[:index]
            if min(high[2], other.box[1][2]) - max(low[2], other.box[0][2]) > 0.02
        ]
        shrunk = piece.footprint - (0, 0, 1e-6, 1e-6, 0)
        assert not overlaps(shrunk, np.array(level).reshape(-1, 5)).any(), f"{piece.model.name} overlaps another piece"


def assert_surface_separates(scene: Scene, share: float, distance_m: float, rng: np.random.Generator) -> None:
    points, normals = scene.sample_surface(4000, rng)
    assert len(points) == 4000
    assert (~scene.occupied(points + distance_m * normals)).mean() >= share
    assert scene.occupied(points - distance_m * normals).mean() >= share


def test_same_seed_gives_the_same_room_and_another_seed_another(library: FurnitureLibrary, rooms: list[Scene]) -> None:
    assert_same_scene(rooms[0], make_room(0, library))
    bounds = np.array([room.bounds for room in rooms])
    assert len(np.unique(bounds.round(3), axis=0)) == len(rooms)


def test_surface_of_bare_rooms_separates_inside_from_outside(rng: np.random.Generator) -> None:
    empty = tiny_library().of_category("none")
    for seed in SEEDS:
        # Not all: 2 mm from a sample close to an edge, another solid may begin or the own one end.
        assert_surface_separates(make_room(seed, empty), 0.99, 0.002, rng)


def test_surface_of_furnished_rooms_separates_inside_from_outside(rooms: list[Scene], rng: np.random.Generator) -> None:
    for room in rooms:
        # A furniture mesh follows its voxels to within a part of a voxel at edges, so further off and less exactly.
        assert_surface_separates(room, 0.97, 0.005, rng)


def test_furniture_overlaps_neither_furniture_nor_walls(rooms: list[Scene]) -> None:
    assert sum(len(room.furniture) for room in rooms) > 3 * len(rooms)
    for room in rooms:
        assert_no_furniture_overlaps(room)
        for piece in room.furniture:
            half = piece.model.size_m * piece.scale / 2 - VOXEL_M
            if (half > 0).all():  # deep inside each piece there is no solid: it stands free of walls, slabs and joinery
                corners = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]) * half
                turn = np.array([[np.cos(piece.yaw), -np.sin(piece.yaw)], [np.sin(piece.yaw), np.cos(piece.yaw)]])
                corners[:, :2] = corners[:, :2] @ turn.T
                middle = piece.position + (0, 0, piece.model.size_m[2] * piece.scale / 2)
                assert not room.solids.contains(corners + middle).any(), piece.model.name


def test_floor_standing_furniture_stands_on_the_floor_and_small_things_on_something(rooms: list[Scene]) -> None:
    for room in rooms:
        for piece in room.furniture:
            below = piece.position - (0, 0, 0.01)
            if piece.model.placement == "floor":
                assert piece.position[2] == 0.0
            if piece.model.placement == "top":
                assert room.occupied_in_building(below[None]).all(), f"{piece.model.name} floats"


def test_stations_and_walks_are_free_and_inside(rooms: list[Scene], rng: np.random.Generator) -> None:
    for room in rooms:
        stations, walk = choose_stations(room, rng, 2.0), walk_through(room, rng, 0.5)
        assert not room.occupied(stations).any()
        assert not room.occupied(walk).any()
        place = room.places[0]
        assert place.contains(room.to_building(stations)).all()
        assert place.contains(room.to_building(walk)).all()


def test_settings_bound_the_room(library: FurnitureLibrary) -> None:
    settings = RoomSettings(side_m=(3.0, 3.5), height_m=(2.4, 2.5), ceiling_share=1.0, l_shape_share=0.0, any_yaw=False)
    for seed in range(5):
        room = make_room(seed, library, settings)
        place = room.places[0]
        sides = place.rectangles[0, 2:] - place.rectangles[0, :2]
        assert ((sides >= 3.0) & (sides <= 3.5)).all()
        assert 2.4 <= place.height <= 2.5
        above = np.array([[0.0, 0.0, place.height + 0.01]])
        assert room.occupied_in_building(above).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"wall_m: expected 0 < low <= high metres, found \(0.2, 0.1\)"):
        RoomSettings(wall_m=(0.2, 0.1))
    assert dataclasses.replace(RoomSettings(), ceiling_share=0.0).ceiling_share == 0.0


def test_footprints_meet_exactly_when_rectangles_overlap() -> None:
    taken = Footprints([np.array([0.0, 0.0, 1.0, 1.0, 0.0])])
    diagonal = np.array([2.0, 2.0, 1.0, 1.0, np.pi / 4])  # its corner ends 0.13 m before the other's corner
    assert taken.free(diagonal)
    assert not taken.free(diagonal - (0.8, 0.8, 0, 0, 0))
    assert taken.free(np.array([2.001, 0.0, 1.0, 1.0, 0.0]))
    assert not taken.free(np.array([2.001, 0.0, 1.0, 1.0, 0.0]), gap=0.01)
