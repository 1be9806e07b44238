"""Where one walks in a place, so that no furniture stands there: before doors, and from door to door."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.buildings.floorplan import Wall
from sparse_convonet.data.scenes.place import Place

_LANE_HALF_WIDTH_M = 0.4
_DOOR_DEPTH_M = (0.8, 1.4)
_NARROWEST_LANE_M = 0.7


def keep_clear(place: Place, walls: list[Wall], region: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Footprints (5,) that stay free in the place that is region number `region`: zones before its doors and lanes.

    Lanes run straight from each way in to a point of its rectangle, and between the points of rectangles that touch;
    a place with one way in and one rectangle needs none.
    """
    zones: list[np.ndarray] = []
    entries: list[np.ndarray] = []
    for wall in walls:
        if region not in wall.sides:
            continue
        for opening in wall.openings if wall.solid else []:
            if opening.kind != "window":
                width = opening.high - opening.low
                reach = float(np.clip(width + 0.3, *_DOOR_DEPTH_M)) + wall.thickness / 2
                middle = (opening.low + opening.high) / 2
                zones.append(_at_wall(wall, middle, width / 2 + 0.15, reach))
                entries.append(wall.point(middle, 0.0, 0.0)[:2])
        if wall.thickness == 0 and wall.length > _NARROWEST_LANE_M:
            middle = (wall.low + wall.high) / 2
            zones.append(_at_wall(wall, middle, min(wall.length / 2, 1.0), 0.9))
            entries.append(wall.point(middle, 0.0, 0.0)[:2])
    if len(entries) + len(place.rectangles) > 2:
        zones += _lanes(place, entries, rng)
    return zones


def beside(rectangle: tuple[float, float, float, float], distance: float) -> np.ndarray:
    """The footprint (5,) of a rectangle (low x, low y, high x, high y) and all within `distance` of it."""
    x0, y0, x1, y1 = rectangle
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2 + distance, (y1 - y0) / 2 + distance, 0.0])


def _at_wall(wall: Wall, along: float, half_width: float, reach: float) -> np.ndarray:
    centre = wall.point(along, 0.0, 0.0)[:2]
    return np.array([*centre, *((half_width, reach) if wall.axis == 0 else (reach, half_width)), 0.0])


def _lanes(place: Place, entries: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    rectangles = place.rectangles
    low, high = rectangles[:, :2], rectangles[:, 2:]
    slack = np.maximum((high - low) / 2 - 0.8, 0.0)
    hubs = (low + high) / 2 + rng.uniform(-1, 1, slack.shape) * slack
    lanes = []
    for entry in entries:
        outside = np.maximum(np.maximum(low - entry, entry - high), 0.0).sum(axis=1)
        lanes.append(_lane(entry, hubs[int(np.argmin(outside))]))
    for first in range(len(rectangles)):
        for second in range(first):
            shared_low = np.maximum(low[first], low[second])
            shared_high = np.minimum(high[first], high[second])
            shared = shared_high - shared_low
            if shared.min() > -1e-6 and shared.max() > _NARROWEST_LANE_M:
                border = (shared_low + shared_high) / 2
                lanes += [_lane(border, hubs[first]), _lane(border, hubs[second])]
    return lanes


def _lane(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    offset = end - start
    length = float(np.hypot(*offset))
    yaw = float(np.arctan2(offset[1], offset[0]))
    return np.array([*((start + end) / 2), length / 2 + _LANE_HALF_WIDTH_M, _LANE_HALF_WIDTH_M, yaw])
