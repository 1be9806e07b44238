"""What is true of the plan of a generated building, from its exact occupancy and its places, to measure plans by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.floor_plan.sections import WALL_HEIGHTS_M, Raster, cut_sections
from sparse_convonet.floor_plan.seen import SeenPlaces
from sparse_convonet.floor_plan.storey_plan import StoreyPlan, plan_storey

_STEP_M = 0.01
_ALONG_M = 0.02  # between samples of outlines
_REVEAL_M = 0.2  # an opening in a wall is not farther than this from the border of a place
NEAR_M = 0.04  # the same for all sizes of cells, to compare them
_OVERLAP = 0.9  # a room is a place where each has this share of the other


@dataclass(frozen=True)
class PlanScore:
    """cell_m: of the mesh.  within_cell: share of the length of the plan's walls whose distance to the true ones is at most
    a cell, of what points are near (a voxel); within_near: the same at most NEAR_M; within_cell_all: of all; found: the
    share of the true outlines near points that has an outline of the plan within a cell.  median_mm: of the distances of
    what points are near.
    area_errors: of rooms that are one place each, relative.  places: how many there are; others are parted or joined.
    rooms: of the plan that the exact occupancy gives; room_errors: relative areas of those that the plan has too.
    """

    cell_m: float
    within_cell: float
    within_near: float
    within_cell_all: float
    found: float
    median_mm: float
    area_errors: tuple[float, ...]
    places: int
    rooms: int
    room_errors: tuple[float, ...]


def exact_plan(
    scene: Scene, raster: Raster, seen: SeenPlaces, floor_z: float, next_floor_z: float, cell_m: float, voxel_m: float,
    number: int = 1,
) -> StoreyPlan:  # fmt: skip
    """The plan of one storey, from 1, that the exact occupancy gives."""
    sections = cut_sections(
        lambda queries: np.where(scene.occupied(queries), 1.0, -1.0).astype(np.float32),
        raster, floor_z, next_floor_z, seen.wall_m, seen.open_below,
    )  # fmt: skip
    return plan_storey(number, floor_z, sections, seen, cell_size_m=cell_m, voxel_size_m=voxel_m)


def score(
    plan: StoreyPlan, exact: StoreyPlan, scene: Scene, seen: SeenPlaces, raster: Raster, cell_m: float, voxel_m: float
) -> PlanScore:
    """Of one storey.  exact: the same storey by the exact occupancy.  seen: on the raster of the plan."""

    def is_seen(samples: np.ndarray) -> np.ndarray:
        places = np.round((samples - raster.low) / plan.step_m).astype(int)
        return np.asarray(seen.wall_m[tuple(np.clip(places, 0, np.array(seen.wall_m.shape) - 1).T)] <= voxel_m)

    true_outline = true_walls(scene, plan)
    outline = np.concatenate([_samples(ring) for wall in plan.walls.geoms for ring in (wall.exterior, *wall.interiors)])
    distance, _ = cKDTree(true_outline).query(outline)
    back, _ = cKDTree(outline).query(true_outline)
    near, true_near = is_seen(outline), is_seen(true_outline)
    places = [place for place in scene.places if abs(place.floor_z + scene.shift[2] - plan.floor_z) < 0.5]
    errors = [error for place in places if (error := _area_error(place, scene, plan)) is not None]
    return PlanScore(
        cell_m,
        float((distance[near] <= cell_m).mean()),
        float((distance[near] <= NEAR_M).mean()),
        float((distance <= cell_m).mean()),
        float((back[true_near] <= cell_m).mean()),
        float(1000 * np.median(distance[near])),
        tuple(errors),
        len(places),
        len(exact.rooms),
        tuple(error for room in exact.rooms if (error := _room_error(room.outline, plan)) is not None),
    )


def _room_error(true: shapely.Polygon, plan: StoreyPlan) -> float | None:
    """Relative, of the room of the plan that is this one; None where none is."""
    for room in plan.rooms:
        common = room.outline.intersection(true).area
        if common > _OVERLAP * max(true.area, room.outline.area):
            return float(room.outline.area / true.area - 1)
    return None


def true_walls(scene: Scene, plan: StoreyPlan) -> np.ndarray:
    """(N, 2) metres: outlines of what is solid at all heights at which walls are, samples a hundredth of a metre apart."""
    low, high = scene.bounds[0, :2] - 0.1, scene.bounds[1, :2] + 0.1
    count = np.ceil((high - low) / _STEP_M).astype(int)
    plane = low + np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), axis=-1).reshape(-1, 2) * _STEP_M
    solid = np.ones(len(plane), dtype=bool)
    for height in WALL_HEIGHTS_M:
        chosen = np.flatnonzero(solid)
        points = np.column_stack([plane[chosen], np.full(len(chosen), plan.floor_z + height)])
        solid[chosen] = scene.occupied(points)
    return np.concatenate([low + ring * _STEP_M for ring in find_contours(solid.reshape(count).astype(float), 0.5)])


def _samples(ring: shapely.LinearRing) -> np.ndarray:
    """(N, 2), about _ALONG_M apart."""
    return shapely.get_coordinates(shapely.line_interpolate_point(ring, np.arange(0, ring.length, _ALONG_M)))


def _area_error(place: Place, scene: Scene, plan: StoreyPlan) -> float | None:
    """Relative, of the room that is this place; None where none is.

    True is the floor of the place that is not in a wall, nor below or above one in a door or window.
    """
    points = []
    for x0, y0, x1, y1 in place.rectangles:
        x, y = np.arange(x0 + _STEP_M / 2, x1, _STEP_M), np.arange(y0 + _STEP_M / 2, y1, _STEP_M)
        points.append(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2))
    plane = np.concatenate(points)
    free = np.zeros(len(plane), dtype=bool)
    for height in WALL_HEIGHTS_M:
        free |= ~scene.occupied_in_building(np.column_stack([plane, np.full(len(plane), place.floor_z + height)]))
    outline = shapely.unary_union([shapely.box(*rectangle) for rectangle in place.rectangles])
    at_border = shapely.dwithin(shapely.points(plane), outline.boundary, _REVEAL_M)
    for height in (0.1, 0.4, place.height - 0.02, place.height - 0.06):
        chosen = np.flatnonzero(free & at_border)
        column = np.column_stack([plane[chosen], np.full(len(chosen), place.floor_z + height)])
        free[chosen] &= ~scene.solids.contains(column)
    floor_world = scene.to_world(np.column_stack([plane[free], np.zeros(free.sum())]))[:, :2]
    true_area = free.sum() * _STEP_M**2
    for room in plan.rooms:
        shapely.prepare(room.outline)
        share = shapely.contains_xy(room.outline, floor_world).mean()
        if share > _OVERLAP and share * true_area > _OVERLAP * room.outline.area:
            return float(room.outline.area / true_area - 1)
    return None
