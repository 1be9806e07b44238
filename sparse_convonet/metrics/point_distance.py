"""Stage metrics: how far places lie from the nearest point of a scan whose points come part by part."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


class PointDistance:
    """places: (N, 3).  most: distances beyond are not told apart, so that a part of the points meets only places near it.

    distance: (N,) float32, of the points added so far, at most `most`.
    """

    def __init__(self, places: np.ndarray, most: float) -> None:
        self._places, self._most = places, most
        self.distance = np.full(len(places), most, dtype=np.float32)

    def add(self, points: np.ndarray) -> None:
        """points: (M, 3), in the frame and units of the places."""
        if len(points) == 0:
            return
        low, high = points.min(axis=0) - self._most, points.max(axis=0) + self._most
        near = np.flatnonzero(((self._places >= low) & (self._places <= high)).all(axis=1))
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        found, _ = tree.query(self._places[near], distance_upper_bound=self._most, workers=-1)
        self.distance[near] = np.minimum(self.distance[near], found)  # infinite where there is none
