"""The points of a store, found by their place, as clouds.surface_sample asks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.clouds.occupied_cells import OccupiedCells
from sparse_convonet.out_of_core.points.point_store import PointStore
from sparse_convonet.out_of_core.points.voxel_counts import occupied_cells


@dataclass(frozen=True)
class StoredPlaces:
    """What clouds.cloud_places.CloudPlaces is for points in memory; see clouds.occupied_cells.PlacedPoints."""

    store: PointStore

    @property
    def low(self) -> np.ndarray:
        return self.store.low

    @property
    def high(self) -> np.ndarray:
        return self.store.high

    def occupied(self, edge_m: float) -> OccupiedCells:
        return occupied_cells(self.store, edge_m)

    def within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self.store.within(low, high).points_world
