"""Buildings: functions of their seed, connected through doors and stairs, with slabs that are open only where meant."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from sparse_convonet.data.buildings.building import BuildingSettings, make_building
from sparse_convonet.data.buildings.floorplan import OUTSIDE, Region, build_slab, find_walls
from sparse_convonet.data.buildings.railings import RailingStyle
from sparse_convonet.data.buildings.splitting import SplitStyle, carve, outline, split_rooms, subtract
from sparse_convonet.data.buildings.stairs import StairPose, StairStyle, build_stairs, plan_stairs
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.walks import WalkGraph, choose_stations, walk_through
from tests.data.buildings.test_room import assert_no_furniture_overlaps, assert_same_scene, assert_surface_separates
from tests.data.furniture.tiny_library import tiny_library

SEEDS = range(8)
SMALL = BuildingSettings(footprint_m=(8.0, 14.0))


@pytest.fixture(scope="module")
def library() -> FurnitureLibrary:
    return tiny_library()


@pytest.fixture(scope="module")
def buildings(library: FurnitureLibrary) -> list[Scene]:
    return [make_building(seed, library, SMALL) for seed in SEEDS]


def test_same_seed_gives_the_same_building_and_another_seed_another(
    library: FurnitureLibrary, buildings: list[Scene]
) -> None:
    assert_same_scene(buildings[1], make_building(1, library, SMALL))
    bounds = np.array([building.bounds for building in buildings])
    assert len(np.unique(bounds.round(3), axis=0)) == len(buildings)


def test_every_place_can_be_reached_from_the_first(buildings: list[Scene]) -> None:
    for building in buildings:
        graph = WalkGraph(building)
        labels = connected_components(graph.edges, directed=False)[1]
        start = labels[graph.place_of == 0]
        main = np.bincount(start).argmax()
        for number, place in enumerate(building.places):
            reached = (labels == main) & (graph.place_of == number)
            assert reached.any(), f"{place.kind} on storey {place.storey} cannot be reached"


def test_the_walk_visits_every_place_and_never_enters_a_solid(buildings: list[Scene], rng: np.random.Generator) -> None:
    for building in buildings:
        walk = walk_through(building, rng, 0.5)
        assert not building.occupied(walk).any()
        local = building.to_building(walk)
        for place in building.places:
            height = local[:, 2] - place.floor_z
            assert (place.contains(local) & (height > 0.9) & (height < 1.9)).any(), f"{place.kind} was not visited"


def test_stations_are_free_and_on_every_storey(buildings: list[Scene], rng: np.random.Generator) -> None:
    for building in buildings:
        stations = choose_stations(building, rng, 3.0)
        assert not building.occupied(stations).any()
        heights = building.to_building(stations)[:, 2]
        for storey in {place.storey for place in building.places}:
            floor_z = next(place.floor_z for place in building.places if place.storey == storey)
            assert ((heights > floor_z + 1.0) & (heights < floor_z + 2.0)).any()


@pytest.mark.parametrize("storeys", [2, 3])
def test_each_storey_is_joined_to_the_next_by_stairs_with_free_headroom(
    library: FurnitureLibrary, storeys: int
) -> None:
    settings = BuildingSettings(storeys=(storeys, storeys), footprint_m=(9.0, 13.0))
    for seed in range(4):
        building = make_building(seed, library, settings)
        floors = sorted({place.floor_z for place in building.places})
        assert len(floors) == storeys
        joined = {(round(float(climb[0, 2]), 6), round(float(climb[-1, 2]), 6)) for climb in building.climbs}
        for low, high in zip(floors[:-1], floors[1:], strict=True):
            assert (round(low, 6), round(high, 6)) in joined
        for climb in building.climbs:
            for height in (0.5, 1.0, 1.8):
                assert not building.occupied_in_building(climb + (0, 0, height)).any()


def test_surface_separates_inside_from_outside(rng: np.random.Generator) -> None:
    bare = tiny_library().of_category("none")
    for seed in range(4):
        # Not all: near an edge, and at rods thinner than 4 mm, the point 2 mm off is beyond the next surface.
        assert_surface_separates(make_building(seed, bare, SMALL), 0.99, 0.002, rng)


def test_no_two_pieces_of_furniture_overlap(buildings: list[Scene]) -> None:
    assert sum(len(building.furniture) for building in buildings) > 10 * len(buildings)
    for building in buildings:
        assert_no_furniture_overlaps(building)


def test_floors_are_closed_under_every_place(buildings: list[Scene], rng: np.random.Generator) -> None:
    for building in buildings:
        for place in building.places:
            low, high = place.rectangles[0, :2], place.rectangles[0, 2:]
            below = np.column_stack([rng.uniform(low, high, (50, 2)), np.full(50, place.floor_z - 0.02)])
            assert building.solids.contains(below).all()


def test_settings_choose_storeys_and_footprint(library: FurnitureLibrary) -> None:
    settings = BuildingSettings(storeys=(1, 1), footprint_m=(9.0, 10.0), any_yaw=False, pitched_roof_share=0.0)
    building = make_building(3, library, settings)
    assert {place.storey for place in building.places} == {0}
    extent = (building.bounds[1] - building.bounds[0])[:2]
    assert ((extent > 9.0) & (extent < 10.8)).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"storeys: expected 1 <= low <= high <= 6, found \(0, 2\)"):
        BuildingSettings(storeys=(0, 2))
    with pytest.raises(ValueError, match="footprint_m: expected 6 <= low <= high"):
        BuildingSettings(footprint_m=(3.0, 9.0))


@pytest.mark.parametrize("shape", ["rectangle", "l", "u"])
def test_rooms_fill_the_outline_without_overlap(shape: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        wings = outline(shape, 18.0, 15.0, rng)
        regions = split_rooms(wings, SplitStyle.draw(rng), rng)
        total = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in wings)
        assert sum(region.area_m2 for region in regions) == pytest.approx(total)
        parts = np.array([rectangle for region in regions for rectangle in region.rectangles])
        points = rng.uniform(-9, 9, (2000, 2))
        covered = (
            ((points[:, None] > parts[None, :, :2]) & (points[:, None] < parts[None, :, 2:])).all(axis=2).sum(axis=1)
        )
        inside = np.array([[(w[0] < x < w[2]) and (w[1] < y < w[3]) for w in wings] for x, y in points]).any(axis=1)
        np.testing.assert_array_equal(covered, inside)


def test_borders_of_regions_are_found_once_and_whole() -> None:
    """A room of 4 x 3 m split into 1 + 3: the outline of 14 m and one border of 3 m."""
    regions = [Region("room", ((0, 0, 1, 3),)), Region("room", ((1, 0, 4, 3),))]
    walls = find_walls(regions)
    inner = [wall for wall in walls if OUTSIDE not in wall.sides]
    assert sum(wall.length for wall in walls if OUTSIDE in wall.sides) == pytest.approx(14.0)
    assert [(wall.axis, wall.at, wall.low, wall.high, wall.sides) for wall in inner] == [(1, 1.0, 0.0, 3.0, (0, 1))]


def test_carved_piece_and_rest_fill_the_rectangle(rng: np.random.Generator) -> None:
    for _ in range(50):
        carved = carve((0, 0, 10, 7), tuple(rng.uniform(2, 9, 2)), rng)
        if carved is not None:
            piece, rest = carved
            areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (piece, *rest)]
            assert sum(areas) == pytest.approx(70.0)
            assert not any(subtract(piece, [piece])) and len(subtract((0, 0, 10, 7), [piece, *rest])) == 0
    assert carve((0, 0, 3, 3), (4.0, 1.0), rng) is None


def test_slab_is_open_only_over_holes() -> None:
    assembly = Assembly()
    build_slab(assembly, [Region("room", ((0, 0, 4, 4),)), Region("void", ((4, 0, 6, 4),))], ("void",), 3.0, 0.2)
    scene = assembly.finish(0.0, (0, 0, 0))
    assert scene.occupied(np.array([[2, 2, 2.9], [5, 2, 2.9], [3.99, 3.99, 2.81]])).tolist() == [True, False, True]


@pytest.mark.parametrize("shape", ["straight", "l", "u"])
@pytest.mark.parametrize("kind", ["block", "slab", "open"])
def test_each_foot_of_the_climb_rests_on_a_step_and_risers_are_equal(
    shape: str, kind: str, rng: np.random.Generator
) -> None:
    plan = plan_stairs(shape, 3.2, rng)
    pose = StairPose.in_rectangle((0, 0, 20, 20), True, True, False)
    style = StairStyle(kind, 0.15, 0.04, 0.05, False, RailingStyle.draw(rng))
    assembly = Assembly()
    build_stairs(assembly, plan, pose, 1.0, 3.2, style, True, lambda point: True)
    scene, climb = assembly.finish(0.0, (0, 0, 0)), assembly.climbs[0]
    assert climb[0, 2] == pytest.approx(1.0) and climb[-1, 2] == pytest.approx(4.2)
    rises = np.diff(climb[:, 2])
    np.testing.assert_allclose(rises[rises > 1e-9], 3.2 / plan.risers)
    on_stairs = climb[(climb[:, 2] > 1.01) & (climb[:, 2] < 4.19)]  # without the two floors, which are not built here
    assert scene.occupied_in_building(on_stairs - (0, 0, 0.01)).all()
    assert not scene.occupied_in_building(on_stairs + (0, 0, 0.01)).any()
