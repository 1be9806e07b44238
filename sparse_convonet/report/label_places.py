"""Stage report: where words go on a chart so that they cover neither its lines nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_SAMPLE_PIXELS = 4.0
_OVERLAP_COST = 600.0  # two labels on each other cannot be read, far worse than a label on some points of a line
_OUTSIDE_COST = 1200.0


@dataclass(frozen=True)
class Rectangle:
    """Pixels, from the bottom left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Rectangle) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    def holds(self, other: Rectangle) -> bool:
        across = self.left <= other.left and other.right <= self.right
        return across and self.bottom <= other.bottom and other.top <= self.top


@dataclass(frozen=True)
class Obstacles:
    """points: (N, 2) pixels.  costs: (N,) of covering each."""

    points: np.ndarray
    costs: np.ndarray

    @classmethod
    def along(cls, line: np.ndarray, cost: float) -> Obstacles:
        """(N, 2) corners of a line in pixels: points on it, a few pixels apart."""
        parts = [line]
        for start, end in zip(line[:-1], line[1:], strict=True):
            steps = max(1, int(np.hypot(*(end - start)) / _SAMPLE_PIXELS))
            parts.append(start + np.linspace(0, 1, steps, endpoint=False)[:, None] * (end - start))
        points = np.concatenate(parts)
        return cls(points, np.full(len(points), cost))

    @classmethod
    def joined(cls, parts: Sequence[Obstacles]) -> Obstacles:
        return cls(np.concatenate([part.points for part in parts]), np.concatenate([part.costs for part in parts]))

    def cost_of_covering(self, rectangle: Rectangle) -> float:
        low, high = (rectangle.left, rectangle.bottom), (rectangle.right, rectangle.top)
        return float(self.costs[((self.points >= low) & (self.points <= high)).all(axis=1)].sum())


def best_place(
    candidates: Sequence[Rectangle], obstacles: Obstacles, labels: Sequence[Rectangle], frame: Rectangle
) -> int:
    """Index of the candidate in the frame that covers least and no other label; the later, the more each costs."""
    costs = [
        place
        + obstacles.cost_of_covering(candidate)
        + _OVERLAP_COST * sum(candidate.overlaps(label) for label in labels)
        + _OUTSIDE_COST * (not frame.holds(candidate))
        for place, candidate in enumerate(candidates)
    ]
    return int(np.argmin(costs))


def rows_apart(spans: Sequence[tuple[float, float]], gap: float) -> list[int]:
    """A row for each span (left, right): above all that come before it and are nearer than `gap` to it."""
    rows: list[int] = []
    for left, right in spans:
        below = [
            row
            for row, (other_left, other_right) in zip(rows, spans, strict=False)
            if left < other_right + gap and other_left < right + gap
        ]
        rows.append(max(below, default=-1) + 1)
    return rows
