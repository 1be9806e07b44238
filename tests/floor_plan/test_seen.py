"""What is indoors, by the points of floors, walls and ceilings."""

from __future__ import annotations

import numpy as np

from sparse_convonet.floor_plan.sections import Raster
from sparse_convonet.floor_plan.seen import PointPlaces

HEIGHT_M = 2.8
Box = tuple[float, float, float, float]  # x0, y0, x1, y1


def plate(box: Box, z: float, spare: Box | None = None) -> np.ndarray:
    """A point every 5 cm of a level rectangle, but for one in it."""
    x, y = (each.ravel() for each in np.meshgrid(np.arange(box[0], box[2], 0.05), np.arange(box[1], box[3], 0.05)))
    kept = np.ones(len(x), dtype=bool)
    if spare is not None:
        kept = ~((x > spare[0]) & (x < spare[2]) & (y > spare[1]) & (y < spare[3]))
    return np.column_stack([x, y, np.full(len(x), z)])[kept]


def walls(box: Box) -> np.ndarray:
    """Points of the four walls around a rectangle."""
    along = np.concatenate(
        [[[x, y] for x in np.arange(box[0], box[2], 0.05) for y in (box[1], box[3])],
         [[x, y] for y in np.arange(box[1], box[3], 0.05) for x in (box[0], box[2])]]
    )  # fmt: skip
    heights = np.arange(0.1, HEIGHT_M, 0.1)
    return np.column_stack([np.repeat(along, len(heights), axis=0), np.tile(heights, len(along))])


def indoors_at(points: np.ndarray, place: tuple[float, float]) -> bool:
    raster = Raster.around(points.min(axis=0), points.max(axis=0), 0.05)
    places = PointPlaces(raster, [0.0])
    places.add(points)
    indoors = places.of_storey(0).indoors
    assert indoors is not None
    x, y = np.round(raster.to_places(np.array([place]))).astype(int)[0]
    return bool(indoors[x, y])


def test_below_a_hole_in_the_ceiling_one_is_indoors_and_in_a_court_outside() -> None:
    outer, middle = (0.0, 0.0, 12.0, 10.0), (4.0, 3.5, 7.0, 6.5)
    floor, ceiling = plate(outer, 0.0), plate(outer, HEIGHT_M, spare=middle)
    below_hole = np.concatenate([floor, walls(outer), ceiling])
    assert indoors_at(below_hole, (5.5, 5.0)) and indoors_at(below_hole, (2.0, 2.0))
    court = np.concatenate([below_hole, walls(middle)])
    assert not indoors_at(court, (5.5, 5.0)) and indoors_at(court, (2.0, 2.0))


def test_where_no_floor_was_seen_below_a_hole_one_is_not_indoors() -> None:
    outer, middle = (0.0, 0.0, 12.0, 10.0), (4.0, 3.5, 7.0, 6.5)
    unseen = np.concatenate([plate(outer, 0.0, spare=middle), walls(outer), plate(outer, HEIGHT_M, spare=middle)])
    assert not indoors_at(unseen, (5.5, 5.0))
