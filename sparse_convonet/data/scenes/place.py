"""Where one can walk in a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Place:
    """A part of one storey where one can walk.

    kind: "room", "corridor", "hall", "gallery", "stairs" ...  rectangles: (R, 4) low x, low y, high x, high y in the
    building's frame, whose union is the place.  floor_z, height: metres.  storey: 0 is the lowest.
    """

    kind: str
    rectangles: np.ndarray
    floor_z: float
    height: float
    storey: int = 0

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points (Q, 2 or 3), building frame, stand on the floor of this place: (Q,) bool."""
        low, high = self.rectangles[None, :, :2], self.rectangles[None, :, 2:]
        planar = points[:, None, :2]
        inside = np.all((planar >= low) & (planar <= high), axis=2)  # (Q, R)
        return np.any(inside, axis=1)

    @property
    def area_m2(self) -> float:
        return float(np.prod(self.rectangles[:, 2:] - self.rectangles[:, :2], axis=1).sum())
