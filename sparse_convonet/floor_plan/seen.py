"""Stage floor_plan: where the points of a scan lie on a storey's raster, so that what nobody saw is not claimed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from sparse_convonet.floor_plan.sections import Raster

_BAND_M = (0.3, 2.1)  # over the floor, where points show walls
_COLUMN_M = (-0.3, 2.6)  # where points show that a room was scanned at all


@dataclass(frozen=True)
class SeenPlaces:
    """(X, Y) float32 metres to the nearest point, seen from above.

    wall: of the points between _BAND_M over the floor.  room: of all points of the storey.
    """

    wall: np.ndarray
    room: np.ndarray


class PointPlaces:
    """Collects points, part by part, for storeys that stand on floors_z, ascending."""

    def __init__(self, raster: Raster, floors_z: Iterable[float]) -> None:
        self._raster = raster
        self._floors = list(floors_z)
        self._band = [np.zeros(raster.shape, dtype=bool) for _ in self._floors]
        self._column = [np.zeros(raster.shape, dtype=bool) for _ in self._floors]

    def add(self, points_world: np.ndarray) -> None:
        """(N, 3) metres, z up, within the raster."""
        places = np.round(self._raster.to_places(points_world[:, :2])).astype(np.int64)
        for floor, band, column in zip(self._floors, self._band, self._column, strict=True):
            height = points_world[:, 2] - floor
            for mask, (low, high) in ((band, _BAND_M), (column, _COLUMN_M)):
                chosen = places[(height > low) & (height < high)]
                mask[chosen[:, 0], chosen[:, 1]] = True

    def of_storey(self, number: int) -> SeenPlaces:
        """From the lowest, 0, up."""
        return SeenPlaces(*(_distance_m(mask[number], self._raster.step_m) for mask in (self._band, self._column)))


def _distance_m(mask: np.ndarray, step_m: float) -> np.ndarray:
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return (distance_transform_edt(~mask) * step_m).astype(np.float32)
