"""Find points at exactly the same place."""

from __future__ import annotations

import numpy as np

# Odd multipliers of splitmix64, one per axis, and one to mix them.
_MULTIPLIERS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MIXER = 0xD6E8FEB86659FD93


def place_keys(points: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N,) uint64, equal for equal points and, but for one pair in 2^64, different for others.

    Sorting one number is far faster than sorting rows.  NaN equals NaN of the same bits.
    """
    bits = (np.ascontiguousarray(points, dtype=np.float64) + 0.0).view(np.uint64)  # + 0.0: -0 and 0 are one
    keys = np.zeros(len(points), dtype=np.uint64)
    for axis, multiplier in enumerate(_MULTIPLIERS):
        keys = (keys ^ (bits[:, axis] * np.uint64(multiplier))) * np.uint64(_MIXER)
        keys ^= keys >> np.uint64(32)
    return keys


def are_at(points: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(N, 3) points, and ascending place_keys (K,) -> (N,) bool: whether a point is at one of those places."""
    if len(keys) == 0:
        return np.zeros(len(points), dtype=bool)
    asked = place_keys(points)
    return np.asarray(keys[np.minimum(np.searchsorted(keys, asked), len(keys) - 1)] == asked)


def repeats_earlier(points: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N,) bool: whether the point repeats an earlier one exactly."""
    keys = place_keys(points)
    repeated = np.ones(len(keys), dtype=bool)
    if len(keys) == 0:
        return repeated
    order = np.argsort(keys)  # a stable order would take several times as long
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    repeated[np.minimum.reduceat(order, starts)] = False  # the earliest of each place
    return repeated


def first_of_each_place(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) -> ((P,) int64 the first point at each place, in their order; (N,) int64 the place of each point)."""
    return first_of_each(place_keys(points))


def first_of_each(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(U,) ascending rows where keys (N,) occur first, and (N,) int64: which of those has the key of each row."""
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[place.reshape(-1)]


def in_place_sample(points: np.ndarray, count: int, most: int) -> np.ndarray:
    """(N,) bool: which of (N, 3) points, of `count` in all, stand for all: about `most` or fewer, by their places.

    So the choice is the same in whatever parts and order the points come.
    """
    if count <= most:
        return np.ones(len(points), dtype=bool)
    return np.asarray(place_keys(points) % np.uint64(-(-count // most)) == 0)


class PlaceSample:
    """A sample of places, by their keys alone, that tells how many points a place has; the same in whatever parts and
    order the points come."""

    def __init__(self, most: int = 1 << 18) -> None:
        """most: keys that are held, about."""
        self._most, self._halvings = most, 0
        self._keys = np.zeros(0, dtype=np.uint64)

    def add(self, points: np.ndarray) -> None:
        """(N, 3)."""
        keys = place_keys(points)
        self._keys = np.concatenate([self._keys, keys[self._in_sample(keys)]])
        while len(self._keys) > self._most and self._halvings < 63:
            self._halvings += 1
            self._keys = self._keys[self._in_sample(self._keys)]

    def points_per_place(self) -> float:
        """In the mean, 1 where none is repeated, and where there are no points."""
        return len(self._keys) / len(np.unique(self._keys)) if len(self._keys) else 1.0

    def _in_sample(self, keys: np.ndarray) -> np.ndarray:
        return np.asarray(keys & np.uint64((1 << self._halvings) - 1) == 0)
