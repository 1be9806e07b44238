"""A house of boxes of which rooms, areas, doors and windows are known: an analytic occupancy to take plans of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.affinity import rotate, translate

from sparse_convonet.floor_plan.sections import WALL_HEIGHTS_M, Raster, cut_sections
from sparse_convonet.floor_plan.seen import PointPlaces
from sparse_convonet.floor_plan.storey_plan import StoreyPlan, plan_storey

Box = tuple[float, float, float, float, float, float]  # low x, y, z, high x, y, z; metres

WALL_M, HEIGHT_M, STOREY_M = 0.2, 2.6, 3.0
CELL_M, VOXEL_M, STEP_M = 0.08, 0.1, 0.04
_SHARPNESS = 25.0  # logits per metre
_FAR_M = 10.0

WEST, SOUTH, NORTH = (
    (0.0, 0.0, 0.0, 5.9, 6.0, HEIGHT_M),
    (6.1, 0.0, 0.0, 10.0, 2.9, HEIGHT_M),
    (6.1, 3.1, 0.0, 10.0, 6.0, HEIGHT_M),
)
ROOM_AREAS_M2 = (5.9 * 6.0, 3.9 * 2.9, 3.9 * 2.9)
BENCH: Box = (0.0, 3.0, 0.0, 0.6, 4.5, 1.5)  # at a wall, higher than the section
TABLE: Box = (3.0, 3.0, 0.0, 4.0, 4.0, 0.8)
GROUND: Box = (-1.5, -1.5, -0.4, 11.5, 7.5, 0.0)


@dataclass(frozen=True)
class MadeHouse:
    """Boxes in the frame of the house, metres, which is turned by yaw about z and then shifted.

    Occupied is what is in `solid` but not in `free`, and what is in `standing`.
    """

    solid: tuple[Box, ...]
    free: tuple[Box, ...]
    standing: tuple[Box, ...]
    yaw: float = 0.3
    shift: tuple[float, float, float] = (3.0, -2.0, 5.0)

    def with_free(self, *boxes: Box) -> MadeHouse:
        return replace(self, free=(*self.free, *boxes))

    def with_standing(self, *boxes: Box) -> MadeHouse:
        return replace(self, standing=(*self.standing, *boxes))

    def ask(self, points_world: np.ndarray) -> np.ndarray:
        """(Q, 3) -> (Q,) float32, the distance into what is occupied, as logits."""
        points = (points_world - self.shift) @ _turn(self.yaw)
        depth = np.minimum(_depth(points, self.solid), -_depth(points, self.free))
        return (_SHARPNESS * np.maximum(depth, _depth(points, self.standing))).astype(np.float32)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) of the house."""
        return np.asarray(points) @ _turn(self.yaw).T + self.shift

    def seen_points(self, unseen: Box | None = None, *, ceiling: bool = True, wall_top: float = 1.0) -> np.ndarray:
        """(N, 3) in the world: on floor, walls and ceiling of what is free, and around the bench, but in a box unseen.

        wall_top: the walls have points at 1 m, and there.
        """
        points = []
        for x0, y0, _, x1, y1, top in (*self.free, BENCH):
            x, y = np.meshgrid(
                np.linspace(x0, x1, int((x1 - x0) / 0.05) + 2), np.linspace(y0, y1, int((y1 - y0) / 0.05) + 2)
            )
            is_edge = (x == x0) | (x == x1) | (y == y0) | (y == y1)
            points.append(np.column_stack([x.ravel(), y.ravel(), np.where(is_edge, 1.0, 0.0).ravel()]))
            points.append(np.column_stack([x[is_edge], y[is_edge], np.full(is_edge.sum(), wall_top)]))
            if ceiling:
                points.append(np.column_stack([x.ravel(), y.ravel(), np.full(x.size, top)]))
        found = np.concatenate(points)
        if unseen is not None:
            found = found[_depth(found, (unseen,)) < -0.05]
        return self.to_world(found)

    def walls(self) -> shapely.Geometry:
        """What is solid at all heights at which walls are."""
        solid: shapely.Geometry = shapely.box(-20, -20, 30, 30)
        for height in WALL_HEIGHTS_M:
            one = shapely.unary_union([shapely.box(*_plane(box)) for box in self.solid if box[2] < height < box[5]])
            one = one.difference(
                shapely.unary_union([shapely.box(*_plane(box)) for box in self.free if box[2] < height < box[5]])
            )
            standing = [shapely.box(*_plane(box)) for box in self.standing if box[2] < height < box[5]]
            solid = solid.intersection(one.union(shapely.unary_union(standing)))
        return translate(rotate(solid, self.yaw, (0, 0), use_radians=True), *self.shift[:2])


def furnished_house(*, lintels: bool = True) -> MadeHouse:
    """Three rooms, numbered as ROOM_AREAS_M2 is, with doors between all of them, an entrance and two windows.

    Without lintels, openings reach up to the ceiling.
    """
    head = 2.05 if lintels else HEIGHT_M
    openings: tuple[Box, ...] = (
        (5.8, 1.0, 0.0, 6.2, 1.9, head),  # west to south, 0.9 m
        (5.8, 4.0, 0.0, 6.2, 4.8, head),  # west to north, 0.8 m
        (7.0, 2.8, 0.0, 7.9, 3.2, head),  # south to north, 0.9 m
        (2.0, -0.3, 0.0, 3.0, 0.1, head),  # the entrance, 1 m
        (1.0, 5.9, 0.9, 3.0, 6.3, max(head, 2.1)),  # a window, 2 m
        (9.9, 4.0, 0.9, 10.3, 5.2, max(head, 2.1)),  # a window, 1.2 m
    )
    shell = (-WALL_M, -WALL_M, 0.0, 10.0 + WALL_M, 6.0 + WALL_M, HEIGHT_M)
    return MadeHouse((shell,), (WEST, SOUTH, NORTH, *openings), (BENCH, TABLE, GROUND))


def plan_of(house: MadeHouse, points: np.ndarray | None = None, number: int = 1) -> StoreyPlan:
    """Its plan, from points (N, 3) in the world; default: all that can be seen.  number: of the storey, the lowest is 1."""
    points = house.seen_points() if points is None else points
    raster = Raster.around(points.min(axis=0), points.max(axis=0), STEP_M)
    floor_z = house.shift[2]
    floors = [floor_z - STOREY_M * below for below in reversed(range(number))]
    places = PointPlaces(raster, floors)
    places.add(points)
    seen = places.of_storey(number - 1)
    sections = cut_sections(house.ask, raster, floor_z, np.inf, seen.wall_m, seen.open_below)
    return plan_storey(number, floor_z, sections, seen, cell_size_m=CELL_M, voxel_size_m=VOXEL_M)


def _plane(box: Box) -> tuple[float, float, float, float]:
    return box[0], box[1], box[3], box[4]


def _turn(yaw: float) -> np.ndarray:
    """(3, 3) about z."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _depth(points: np.ndarray, boxes: tuple[Box, ...]) -> np.ndarray:
    """(Q,) metres inside the box that a point is deepest in, negative outside of all."""
    depth = np.full(len(points), -_FAR_M)
    for box in boxes:
        low, high = np.array(box[:3]), np.array(box[3:])
        depth = np.maximum(depth, np.minimum(points - low, high - points).min(axis=1))
    return depth
