"""Fields whose surface is known exactly: logits are signed distances, positive inside.  Units: field units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]


def sphere(centre: tuple[float, float, float], radius: float) -> Field:
    def logits(queries: np.ndarray) -> np.ndarray:
        return (radius - np.linalg.norm(queries.astype(np.float64) - centre, axis=1)).astype(np.float32)

    return logits


def torus(major: float, minor: float) -> Field:
    def logits(queries: np.ndarray) -> np.ndarray:
        q = queries.astype(np.float64)
        around = np.hypot(np.hypot(q[:, 0], q[:, 1]) - major, q[:, 2])
        return (minor - around).astype(np.float32)

    return logits


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Field:
    centre, half = (np.array(low) + high) / 2, (np.array(high) - low) / 2

    def logits(queries: np.ndarray) -> np.ndarray:
        beyond = np.abs(queries.astype(np.float64) - centre) - half
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
        return -(outside + np.minimum(beyond.max(axis=1), 0)).astype(np.float32)

    return logits


def union(*fields: Field) -> Field:
    def logits(queries: np.ndarray) -> np.ndarray:
        return np.max([field(queries) for field in fields], axis=0)

    return logits


def lattice_noise(size: int, rng: np.random.Generator) -> Field:
    """Independent values at the integer points 1..size along each axis, everything else outside."""
    values = rng.normal(size=(size, size, size)).astype(np.float32)

    def logits(queries: np.ndarray) -> np.ndarray:
        index = np.rint(queries).astype(np.int64) - 1
        within = ((index >= 0) & (index < size)).all(axis=1)
        answer = np.full(len(queries), -1.0, dtype=np.float32)
        answer[within] = values[tuple(index[within].T)]
        return answer

    return logits


def boxes_with_ripples(rng: np.random.Generator, reach: float) -> Field:
    """A few boxes, some of them thin walls, and noise that makes some cases ambiguous."""
    centres, halves = rng.uniform(-reach, reach, (4, 3)), rng.uniform(0.2, 0.7 * reach, (4, 3))
    boxes = union(*[box(tuple(c - h), tuple(c + h)) for c, h in zip(centres, halves, strict=True)])
    wave = rng.normal(size=3) * 2.5

    def logits(queries: np.ndarray) -> np.ndarray:
        return boxes(queries) + (0.3 * np.sin(queries.astype(np.float64) @ wave)).astype(np.float32)

    return logits


class Counting:
    """A field that remembers every position it was asked for."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self.asked: list[np.ndarray] = []

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        self.asked.append(queries.copy())
        return self._field(queries)

    @property
    def positions(self) -> np.ndarray:
        """(Q, 3) of all calls."""
        return np.concatenate(self.asked)


def block_of_cells(low: int, high: int) -> np.ndarray:
    """(M, 3) int64: the cells low..high - 1 along each axis."""
    axis = np.arange(low, high)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
