"""Stage floor_plan: where the points of a scan lie on a storey's raster, so that what nobody saw is not claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from sparse_convonet.floor_plan.sections import Raster
from sparse_convonet.floor_plan.small_regions import without_small_holes, without_small_regions

_WALL_M = (0.3, 2.1)  # over the floor, where points show walls
_FLOOR_M = (-0.3, 0.25)  # where they show the floor
_CEILING_M = 2.0  # above, where they show a ceiling, or a roof
_SLAB_M = (-0.7, 0.25)  # where they show the floor, or the ceiling of the storey below
_BELOW_NEXT_FLOOR_M = 0.15  # where a storey ends
_NEAR_M = 0.25  # from points, seen from above, something was seen; less than rooms' seeds are from walls
_SMALLEST_M2 = 1.0  # of what is indoors, and of holes in it
_OPEN_SHARE = 0.7  # of the edge of a hole in the ceiling, and of the floor below it
_CEILING_SHARE = 0.2  # of the floor; with less ceiling than that the scan has none, ...
_FROM_WALLS_M = 2 * _NEAR_M  # ... where the upper parts of walls are too far to look like one


@dataclass(frozen=True)
class SeenPlaces:
    """What points show of a storey, all (X, Y).

    wall_m: float32 metres to the nearest point that may be of a wall, seen from above.  floor: points of the floor are
    near.  storey: any points of the storey are near.  indoors: there is something of the storey and a ceiling, or a hole in
    one, above it; None where the scan has no ceilings.  open_below: points below the floor are near, and none of a wall,
    of the floor or of a ceiling under it: the core of a hole in the floor through which the storey below was seen,
    _NEAR_M smaller.
    """

    wall_m: np.ndarray
    floor: np.ndarray
    storey: np.ndarray
    indoors: np.ndarray | None
    open_below: np.ndarray


class PointPlaces:
    """Collects points, part by part, for storeys that stand on floors_z, ascending."""

    def __init__(self, raster: Raster, floors_z: Sequence[float]) -> None:
        self._raster = raster
        self._floors = np.asarray(floors_z, dtype=np.float64)
        next_floors = np.append(self._floors[1:], np.inf)
        self._ranges = [
            (
                _WALL_M, _FLOOR_M, (_FLOOR_M[0], next_floor - floor - _BELOW_NEXT_FLOOR_M), (_CEILING_M, np.inf),
                _SLAB_M, (-np.inf, _SLAB_M[0]),
            )
            for floor, next_floor in zip(self._floors, next_floors, strict=True)
        ]  # fmt: skip
        self._masks = [[np.zeros(raster.shape, dtype=bool) for _ in ranges] for ranges in self._ranges]

    def add(self, points_world: np.ndarray) -> None:
        """(N, 3) metres, z up, within the raster."""
        places = np.round(self._raster.to_places(points_world[:, :2])).astype(np.int64)
        for floor, ranges, masks in zip(self._floors, self._ranges, self._masks, strict=True):
            height = points_world[:, 2] - floor
            for mask, (low, high) in zip(masks, ranges, strict=True):
                chosen = places[(height > low) & (height < high)]
                mask[chosen[:, 0], chosen[:, 1]] = True

    def of_storey(self, number: int) -> SeenPlaces:
        """From the lowest, 0, up."""
        step = self._raster.step_m
        wall_m, *others = (_distance_m(mask, step) for mask in self._masks[number][:4])
        floor, storey, ceiling = (distance <= _NEAR_M for distance in others)
        smallest = max(1, round(_SMALLEST_M2 / step**2))
        open_below = np.zeros(floor.shape, dtype=bool)
        if number > 0:
            slab, below = (_distance_m(mask, step) <= _NEAR_M for mask in self._masks[number][4:])
            open_below = without_small_regions(below & ~slab & (wall_m > _NEAR_M), smallest)
        away = floor & (wall_m > _FROM_WALLS_M)
        if (ceiling & away).sum() < max(1, _CEILING_SHARE * away.sum()):
            return SeenPlaces(wall_m, floor, storey, None, open_below)
        closed = distance_transform_edt(storey & ceiling) * step > _NEAR_M - step  # it ends where the last points are
        indoors = without_small_holes(without_small_regions(closed, smallest), smallest)
        indoors |= _below_holes(indoors, floor & (wall_m > _FROM_WALLS_M), floor)
        return SeenPlaces(wall_m, floor, storey, indoors, open_below)


def _below_holes(indoors: np.ndarray, open_floor: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """(X, Y) bool: places of a floor below holes in the ceiling, whose edge is over open floor; that of a court is along
    walls, and what reaches the border of the raster is outside."""
    regions, count = label(~indoors)
    edge = binary_dilation(indoors) & ~indoors
    along = np.bincount(regions[edge], minlength=count + 1)
    over_floor = np.bincount(regions[edge & open_floor], minlength=count + 1)
    whole = np.bincount(regions.ravel(), minlength=count + 1)
    with_floor = np.bincount(regions[floor], minlength=count + 1)
    is_hole = (along > 0) & (over_floor >= _OPEN_SHARE * along) & (with_floor >= _OPEN_SHARE * whole)
    for side in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        is_hole[side] = False
    is_hole[0] = False
    return np.asarray(is_hole[regions])


def _distance_m(mask: np.ndarray, step_m: float) -> np.ndarray:
    """(X, Y) float32 to the nearest place of a mask."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return (distance_transform_edt(~mask) * step_m).astype(np.float32)
