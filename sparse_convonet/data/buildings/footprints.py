"""Oriented rectangles on the floor, which must not overlap: furniture, walls, and what has to stay clear."""

from __future__ import annotations

import numpy as np


class Footprints:
    """A growing set of rectangles (5,): centre x, y, half width, half depth, yaw; metres, radians."""

    def __init__(self, rectangles: list[np.ndarray]) -> None:
        self._rectangles = np.array(rectangles, dtype=np.float64).reshape(-1, 5)

    def __len__(self) -> int:
        return len(self._rectangles)

    def add(self, rectangle: np.ndarray) -> None:
        self._rectangles = np.concatenate([self._rectangles, np.asarray(rectangle, dtype=np.float64)[None]])

    def rectangles(self) -> list[np.ndarray]:
        """All of them, in the order in which they came."""
        return list(self._rectangles)

    def free(self, rectangle: np.ndarray, gap: float = 0.0) -> bool:
        """Whether a rectangle, widened by `gap` metres, overlaps none of the set."""
        widened = np.asarray(rectangle, dtype=np.float64) + (0, 0, gap, gap, 0)
        return not overlaps(widened, self._rectangles).any()


def overlaps(rectangle: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which of the rectangles (N, 5) overlap the rectangle (5,): (N,) bool, by separating axes."""
    offset = others[:, :2] - rectangle[:2]
    own_axes = _axes(rectangle[4:5])[0] * rectangle[2:4, None]  # (2, 2) half edges
    axes = _axes(others[:, 4])  # (N, 2, 2), rows are unit vectors
    half_edges = axes * others[:, 2:4, None]
    separated = np.zeros(len(others), dtype=bool)
    unit = _axes(rectangle[4:5])[0]
    for axis in range(2):
        for direction in (np.broadcast_to(unit[axis], (len(others), 2)), axes[:, axis]):
            distance = np.abs((offset * direction).sum(axis=1))
            reach = np.abs(own_axes @ direction.T).sum(axis=0)
            reach += np.abs((half_edges * direction[:, None]).sum(axis=2)).sum(axis=1)
            separated |= distance >= reach
    return ~separated


def _axes(yaw: np.ndarray) -> np.ndarray:
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.stack([np.stack([cosine, sine], axis=-1), np.stack([-sine, cosine], axis=-1)], axis=-2)
