"""Galleries: floors with a hole through which the storey below is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from sparse_convonet.floor_plan.storey_plan import OUTSIDE_ROOM, StoreyPlan
from tests.floor_plan.made_house import (
    BENCH,
    GROUND,
    ROOM_AREAS_M2,
    STEP_M,
    STOREY_M,
    TABLE,
    WEST,
    MadeHouse,
    furnished_house,
    plan_of,
)

Hole = tuple[float, float, float, float]  # low x, y, high x, y

SMALL: Hole = (1.5, 0.8, 4.5, 2.6)  # within the west room
ACROSS: Hole = (WEST[0], 2.0, WEST[3], 2.9)  # from wall to wall of it


def house_with(hole: Hole) -> MadeHouse:
    x0, y0, x1, y1 = hole
    gx0, gy0, gz0, gx1, gy1, gz1 = GROUND
    around = ((gx0, gy0, x0, gy1), (x1, gy0, gx1, gy1), (x0, gy0, x1, y0), (x0, y1, x1, gy1))
    slabs = tuple((a, b, gz0, c, d, gz1) for a, b, c, d in around)
    return replace(furnished_house(), standing=(BENCH, TABLE, *slabs))


def seen_points(house: MadeHouse, hole: Hole, *, below: bool = True) -> np.ndarray:
    """Of the storey without a floor in the hole, of the ceiling below the rest of the floor, and of the storey below."""
    points = (house.seen_points() - house.shift) @ turn_back(house)
    in_hole = over(points, hole) & (points[:, 2] < 0.5)
    floor = points[np.abs(points[:, 2]) < 0.01]
    underside = floor[~over(floor, hole)] - [0.0, 0.0, 0.4]
    parts = [points[~in_hole], underside]
    if below:
        parts.append(floor - [0.0, 0.0, STOREY_M])
    return house.to_world(np.concatenate(parts))


def turn_back(house: MadeHouse) -> np.ndarray:
    axes = house.to_world(np.eye(3)) - house.to_world(np.zeros((3, 3)))
    return np.asarray(axes.T)


def over(points: np.ndarray, hole: Hole) -> np.ndarray:
    x0, y0, x1, y1 = hole
    return (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)


def plan_with(hole: Hole, *, below: bool = True) -> StoreyPlan:
    house = house_with(hole)
    return plan_of(house, seen_points(house, hole, below=below), number=2)


def area_of(hole: Hole) -> float:
    return (hole[2] - hole[0]) * (hole[3] - hole[1])


def test_a_hole_in_a_floor_is_no_floor_of_the_room_around_it() -> None:
    plan = plan_with(SMALL)
    assert len(plan.rooms) == 4 and plan.unscanned == 0
    (hole,) = (room for room in plan.rooms if not room.has_floor)
    assert hole.outline.area == pytest.approx(area_of(SMALL), abs=STEP_M * hole.outline.length)
    true = shapely.Polygon(house_with(SMALL).to_world(corners(SMALL))[:, :2])
    assert hole.outline.symmetric_difference(true).area < STEP_M * true.length
    around = max(plan.rooms, key=lambda room: room.outline.area)
    assert len(around.outline.interiors) == 1
    assert around.outline.area == pytest.approx(ROOM_AREAS_M2[0] - area_of(SMALL), rel=0.01)


def corners(hole: Hole) -> np.ndarray:
    x0, y0, x1, y1 = hole
    return np.array([[x0, y0, 0.0], [x1, y0, 0.0], [x1, y1, 0.0], [x0, y1, 0.0]])


def test_a_hole_from_wall_to_wall_parts_a_room_and_its_doors() -> None:
    plan = plan_with(ACROSS)
    floors = sorted((room for room in plan.rooms if room.has_floor), key=lambda room: room.outline.area)
    assert len(plan.rooms) == 5 and len(floors) == 4
    width = WEST[3] - WEST[0]
    near, far = floors[-2], floors[-1]
    assert near.outline.area == pytest.approx(width * 2.0, rel=0.015)
    assert far.outline.area == pytest.approx(width * 3.1, rel=0.015)
    doors = [set(each.between) for each in plan.openings if each.kind == "door"]
    assert {OUTSIDE_ROOM, near.number} in doors  # the entrance
    assert any(near.number in pair and not pair & {OUTSIDE_ROOM, far.number} for pair in doors)
    assert any(far.number in pair and near.number not in pair for pair in doors)


def test_floor_that_nobody_saw_is_no_hole_where_nothing_below_was_seen_either() -> None:
    plan = plan_with(SMALL, below=False)
    assert len(plan.rooms) == 3 and all(room.has_floor for room in plan.rooms)


def test_the_lowest_storey_has_no_holes() -> None:
    house = house_with(SMALL)
    assert len(plan_of(house, seen_points(house, SMALL)).rooms) == 3
