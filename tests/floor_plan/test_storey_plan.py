"""Plans of a house of which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from sparse_convonet.floor_plan.storey_plan import OUTSIDE_ROOM, UNKNOWN_ROOM, Room, StoreyPlan
from tests.floor_plan.made_house import (
    BENCH,
    CELL_M,
    NORTH,
    ROOM_AREAS_M2,
    SOUTH,
    WEST,
    furnished_house,
    plan_of,
)


@pytest.fixture(scope="module")
def plan() -> StoreyPlan:
    return plan_of(furnished_house())


def places(plan: StoreyPlan) -> dict[str, Room]:
    """By which of the three rooms of the house they hold the middle of."""
    house, found = furnished_house(), {}
    for name, box in (("west", WEST), ("south", SOUTH), ("north", NORTH)):
        low, high = np.array(box[:3]), np.array(box[3:])
        middle = shapely.Point(house.to_world((low + high)[None] / 2 + [0.9, 0.3, 0])[0, :2])
        holding = [room for room in plan.rooms if shapely.Polygon(room.outline.exterior).contains(middle)]
        if holding:
            found[name] = holding[0]
    return found


@pytest.mark.parametrize("lintels", [True, False])
def test_rooms_have_their_areas_and_openings_their_widths(lintels: bool) -> None:
    """Without lintels, rooms meet in the middle of a door: they have a half of its reveal each."""
    plan = plan_of(furnished_house(lintels=lintels))
    assert len(plan.rooms) == 3 and plan.unscanned == 0
    rooms = places(plan)
    areas = [rooms[name].outline.area for name in ("west", "south", "north")]
    np.testing.assert_allclose(areas, ROOM_AREAS_M2, rtol=0.01 if lintels else 0.025)
    numbers = {name: room.number for name, room in rooms.items()}
    expected = {
        ("door", 0.9, numbers["west"], numbers["south"]),
        ("door", 0.8, numbers["west"], numbers["north"]),
        ("door", 0.9, numbers["south"], numbers["north"]),
        ("door", 1.0, OUTSIDE_ROOM, numbers["west"]),
        ("window", 2.0, OUTSIDE_ROOM, numbers["west"]),
        ("window", 1.2, OUTSIDE_ROOM, numbers["north"]),
    }
    found = {(each.kind, round(each.width_m, 1), *sorted(each.between)) for each in plan.openings}
    assert found == {(kind, width, *sorted(between)) for kind, width, *between in expected}
    for opening in plan.openings:
        assert opening.width_m == pytest.approx(round(opening.width_m, 1), abs=0.01)


def test_walls_are_where_the_occupancy_ends_and_furniture_is_none(plan: StoreyPlan) -> None:
    truth = furnished_house().walls()
    assert shapely.hausdorff_distance(plan.walls.boundary, truth.boundary, densify=0.01) < CELL_M / 2
    assert plan.walls.symmetric_difference(truth).area < 0.005 * truth.length  # 5 mm, on average
    bench = (BENCH[3] - BENCH[0]) * (BENCH[4] - BENCH[1])
    assert plan.furniture.area == pytest.approx(bench, rel=0.1)


def test_walls_that_were_seen_from_both_sides_have_a_thickness(plan: StoreyPlan) -> None:
    rooms = places(plan)
    between = [wall for wall in rooms["south"].walls if wall.behind == rooms["north"].number]
    assert between and all(wall.seen == 1.0 for wall in between)
    for wall in between:
        assert wall.thickness_m == pytest.approx(0.2, abs=0.005)
    outer = [wall for wall in rooms["south"].walls if wall.behind == OUTSIDE_ROOM and wall.length_m > 2]
    assert len(outer) == 2 and all(wall.thickness_m is None and wall.seen == 1.0 for wall in outer)


def test_the_outside_of_walls_is_said_to_be_guessed(plan: StoreyPlan) -> None:
    """Outside, points are at the reveals of doors and windows alone."""
    house = furnished_house()
    guessed = np.concatenate(plan.guessed)
    local = (np.column_stack([guessed, np.full(len(guessed), 5.0)]) - house.shift) @ _turned(house.yaw)
    is_inside = ((local[:, :2] > -0.1) & (local[:, :2] < [10.1, 6.1])).all(axis=1)
    assert not is_inside.any()
    length = sum(shapely.LineString(part).length for part in plan.guessed)
    assert 20 < length < 2 * (10.4 + 6.4)


def _turned(yaw: float) -> np.ndarray:
    return np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])


def test_a_room_that_was_not_scanned_is_not_invented() -> None:
    house = furnished_house()
    low, high = np.array(NORTH[:3]) - 0.15, np.array(NORTH[3:])
    unseen = (*(low - [0, 0, 1]), *(high + [0.15, 0.15, 0]))
    plan = plan_of(house, house.seen_points(unseen))  # type: ignore[arg-type]
    rooms = places(plan)
    assert set(rooms) == {"west", "south"} and len(plan.rooms) == 2
    both = {rooms["west"].number, rooms["south"].number}
    assert both == {1, 2} and all(set(each.between) <= {*both, OUTSIDE_ROOM} for each in plan.openings)
    assert sum(set(each.between) == both for each in plan.openings) == 1


def test_a_room_that_was_not_scanned_is_counted_where_walls_close_it_off() -> None:
    """Points are on its walls, as seen through a door, and none on its floor; the scan has no ceilings."""
    house = furnished_house()
    points = house.seen_points(ceiling=False)
    local = (points - house.shift) @ _turned(house.yaw)
    in_north = ((local > np.array(NORTH[:3]) + [0.1, 0.1, -1]) & (local < np.array(NORTH[3:]) - [0.1, 0.1, 0])).all(
        axis=1
    )
    plan = plan_of(house, points[~in_north])
    assert set(places(plan)) == {"west", "south"} and plan.unscanned == 1
    assert any(UNKNOWN_ROOM in each.between for each in plan.openings)


def test_a_wide_opening_joins_rooms_and_a_beam_does_not_part_one() -> None:
    house = furnished_house(lintels=False)
    joined = plan_of(house.with_free((5.8, 0.6, 0.0, 6.2, 2.9, 2.6)))  # 2.3 m of a room of 2.9 m
    assert len(joined.rooms) == 2
    beam = furnished_house().with_standing((0.0, 1.9, 2.2, 5.9, 2.2, 2.6))
    assert len(plan_of(beam).rooms) == 3


def test_what_stands_or_hangs_before_an_opening_takes_no_area_from_the_room() -> None:
    """A low cupboard before the north room's window, and a lamp before its door."""
    cupboard, lamp = (9.4, 4.0, 0.0, 9.75, 5.2, 0.8), (7.2, 3.2, 2.1, 7.7, 3.4, 2.5)
    north = places(plan_of(furnished_house().with_standing(cupboard, lamp)))["north"]
    assert north.outline.area == pytest.approx(ROOM_AREAS_M2[2], rel=0.01)


def test_a_lintel_as_thin_as_a_board_parts_rooms() -> None:
    """12 cm high, over an opening of 2 m, between a door's head and a lowered ceiling."""
    wide = furnished_house().with_free((5.8, 0.5, 0.0, 6.2, 2.5, 2.6))
    assert len(plan_of(wide).rooms) == 2
    for bottom in (2.16, 2.24, 2.32):
        assert len(plan_of(wide.with_standing((5.9, 0.5, bottom, 6.1, 2.5, bottom + 0.12))).rooms) == 3


def test_where_a_scan_ends_a_room_ends_with_a_gap_and_without_a_ceiling_it_is_outside() -> None:
    house = furnished_house(lintels=False).with_free(
        (6.1, -0.3, 0.0, 10.0, 0.1, 2.6)
    )  # the south room has no south wall
    open_room = plan_of(house)
    rooms = places(open_room)
    assert set(rooms) == {"west", "south", "north"}
    assert rooms["south"].outline.area == pytest.approx(ROOM_AREAS_M2[1], rel=0.15)
    gaps = [each for each in open_room.openings if each.kind == "gap"]
    assert [each.between for each in gaps] == [(OUTSIDE_ROOM, rooms["south"].number)]
    assert gaps[0].width_m == pytest.approx(3.9, abs=0.05)
    assert set(places(plan_of(house, house.seen_points(ceiling=False)))) == {"west", "north"}
    assert set(places(plan_of(house, house.seen_points(ceiling=False, wall_top=2.5)))) == {"west", "north"}


def test_a_hole_in_the_ceiling_is_no_opening_across_the_room() -> None:
    house = furnished_house()
    points = house.seen_points()
    local = (points - house.shift) @ _turned(house.yaw)
    hole = (local[:, 0] < 2.0) & (local[:, 1] > 1.2) & (local[:, 1] < 5.0) & (local[:, 2] > 2.0)
    plan = plan_of(house, points[~hole])
    assert len(plan.rooms) == 3 and places(plan)["west"].outline.area < ROOM_AREAS_M2[0] - 5.0
    assert not any(each.kind == "gap" for each in plan.openings)


def test_a_room_in_which_no_floor_is_seen_is_open_to_the_storey_below() -> None:
    house = furnished_house()
    points = house.seen_points()
    local = (points - house.shift) @ _turned(house.yaw)
    kept = (local[:, 0] < 6.0) | (local[:, 2] > 0.5)
    assert all(room.has_floor for room in plan_of(house, points[kept]).rooms)  # below the lowest storey is none
    rooms = places(plan_of(house, points[kept], number=2))
    assert rooms["west"].has_floor and not rooms["south"].has_floor and not rooms["north"].has_floor


def test_a_plan_moves_with_the_scan_to_coordinates_of_a_country(plan: StoreyPlan) -> None:
    shift = np.array([32_500_000.0, 5_300_000.0, 300.0])
    house = furnished_house()
    far = plan_of(replace(house, shift=tuple(house.shift + shift)))  # type: ignore[arg-type]
    assert [room.number for room in far.rooms] == [room.number for room in plan.rooms]
    for room, moved in zip(plan.rooms, far.rooms, strict=True):
        corners = np.asarray(moved.outline.exterior.coords) - shift[:2]
        assert shapely.hausdorff_distance(shapely.Polygon(corners), room.outline) < 1e-4


def test_a_storey_with_nothing_in_it_has_an_empty_plan() -> None:
    house = replace(furnished_house(), solid=(), standing=())
    plan = plan_of(house, furnished_house().seen_points())
    assert plan.rooms == () and plan.openings == () and plan.walls.is_empty and plan.guessed == ()
