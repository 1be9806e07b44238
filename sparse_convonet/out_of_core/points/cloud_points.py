"""The points of a scan in memory, as stages take them that also work on those of a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sparse_convonet.out_of_core.points.point_store import StoredPoints, inside


@dataclass(frozen=True)
class CloudPoints:
    """All points of a scan; what PointStore is for points on the disk."""

    points: StoredPoints

    @property
    def count(self) -> int:
        return len(self.points.points_world)

    @property
    def has_colours(self) -> bool:
        return self.points.colours is not None

    @property
    def has_scanners(self) -> bool:
        return self.points.scanners_world is not None

    @property
    def low(self) -> np.ndarray:
        """(3,) lowest coordinates, metres."""
        return np.asarray(self.points.points_world.min(axis=0))

    @property
    def high(self) -> np.ndarray:
        """(3,) highest coordinates, metres."""
        return np.asarray(self.points.points_world.max(axis=0))

    def within(self, low: np.ndarray, high: np.ndarray) -> StoredPoints:
        """The points p with low <= p < high along every axis; low, high: (3,) metres."""
        return self.points.select(np.flatnonzero(inside(self.points.points_world, low, high)))

    def parts(self) -> Iterator[StoredPoints]:
        """All of them at once."""
        yield self.points
