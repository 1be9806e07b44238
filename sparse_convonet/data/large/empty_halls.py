"""Empty halls with exact walls, seen from everywhere inside, and lone floors: scans whose true surface is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scenes.solids import yaw_matrix

_EYE_ABOVE_FLOOR_M = 1.0  # of a floor without a ceiling
_AIMED_SHARE = (0.1, 0.9)  # of each side of a surface: rays keep away from the edges
_DENSEST_PER_M2, _MOST_POINTS = 4000.0, 4_000_000


@dataclass(frozen=True)
class HallRays:
    """Rays from inside a hall at one kind of its surfaces.

    target: "floor", "ceiling" or "wall".  origins: (R, 3) metres.  directions: (R, 3) unit vectors, at right angles to
    the surface.  ranges: (R,) metres to it.
    """

    target: str
    origins: np.ndarray
    directions: np.ndarray
    ranges: np.ndarray


@dataclass(frozen=True)
class EmptyHall:
    """A closed hall: floor at z = 0, ceiling, four walls, one corner at the origin, turned about z.

    length_m, width_m, height_m: inside.  Height 0: a floor alone, seen from above.  turn_rad: about z.
    Raises ValueError where a side is not positive and finite.
    """

    length_m: float
    width_m: float
    height_m: float
    turn_rad: float = 0.3

    def __post_init__(self) -> None:
        sides = (self.length_m, self.width_m, self.height_m)
        if not (min(sides[:2]) > 0 and self.height_m >= 0 and all(map(math.isfinite, (*sides, self.turn_rad)))):
            raise ValueError(
                f"hall: expected a positive length and width and a height of 0 (a floor alone) or more, found {self}"
            )

    @classmethod
    def from_text(cls, text: str) -> EmptyHall:
        """Of a text such as 12x2.7 (12 m square, 2.7 m high) or 40x10x4 (40 m by 10 m, 4 m high)."""
        try:
            sizes = [float(size) for size in text.split("x")]
        except ValueError:
            sizes = []
        if len(sizes) not in (2, 3):
            raise ValueError(
                f"hall {text!r}: expected LENGTHxHEIGHT or LENGTHxWIDTHxHEIGHT in metres, for example 12x2.7 or "
                "40x10x4 (height 0: a floor alone)"
            )
        return cls(sizes[0], sizes[-2], sizes[-1])

    @property
    def name(self) -> str:
        """As from_text reads it."""
        square = self.width_m == self.length_m
        sides = [self.length_m, self.height_m] if square else [self.length_m, self.width_m, self.height_m]
        return "x".join(f"{side:g}" for side in sides)

    @property
    def area_m2(self) -> float:
        """Of all its surfaces."""
        flat = self.length_m * self.width_m
        return 2 * flat + 2 * (self.length_m + self.width_m) * self.height_m if self.height_m else flat

    @property
    def usual_density(self) -> float:
        """Points per square metre: 4000, or as many as make four million points in all."""
        return min(_DENSEST_PER_M2, _MOST_POINTS / self.area_m2)

    def points(
        self, rng: np.random.Generator, *, points_per_m2: float | None = None, noise_m: float = 0.003
    ) -> np.ndarray:
        """(N, 3) float64 metres, uniform on every surface, with normal noise along each axis.

        points_per_m2: None: usual_density.  Raises ValueError where they are so few that a surface gets none.
        """
        density = self.usual_density if points_per_m2 is None else points_per_m2
        sides = np.array([self.length_m, self.width_m, self.height_m])
        parts = []
        for axis, level in self._surfaces():
            across = [other for other in range(3) if other != axis]
            count = int(density * sides[across].prod())
            if count < 1:
                raise ValueError(f"hall {self.name}: expected points on every surface, found {density:g} per m2")
            part = rng.uniform(0, 1, (count, 3)) * sides
            part[:, axis] = level
            parts.append(part)
        points = np.concatenate(parts)
        return self._turned(points + rng.normal(0, noise_m, points.shape))

    def rays(self, rng: np.random.Generator, count: int) -> list[HallRays]:
        """`count` rays each at the floor, the ceiling and the walls (the four of them in turn), from half-way up or
        from the middle of the hall; at a floor alone from 1 m above.

        They aim at random places that keep a tenth of each side away from the edges.
        """
        kinds = {"floor": [(2, 0.0)]}
        if self.height_m:
            kinds["ceiling"] = [(2, self.height_m)]
            kinds["wall"] = [surface for surface in self._surfaces() if surface[0] != 2]
        return [self._rays_at(target, surfaces, rng, count) for target, surfaces in kinds.items()]

    def _surfaces(self) -> list[tuple[int, float]]:
        """Each as the axis at right angles to it, and its place on that axis."""
        if not self.height_m:
            return [(2, 0.0)]
        sides = (self.length_m, self.width_m, self.height_m)
        return [(axis, level) for axis in (2, 0, 1) for level in (0.0, sides[axis])]

    def _rays_at(
        self, target: str, surfaces: list[tuple[int, float]], rng: np.random.Generator, count: int
    ) -> HallRays:
        sides = np.array([self.length_m, self.width_m, self.height_m or 2 * _EYE_ABOVE_FLOOR_M])
        origins = rng.uniform(*_AIMED_SHARE, (count, 3)) * sides
        directions, ranges = np.zeros((count, 3)), np.empty(count)
        for number, (axis, level) in enumerate(surfaces):
            mine = slice(number, None, len(surfaces))
            origins[mine, axis] = sides[axis] / 2
            directions[mine, axis] = 1.0 if level else -1.0
            ranges[mine] = sides[axis] / 2
        return HallRays(target, self._turned(origins), self._turned(directions), ranges)

    def _turned(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ yaw_matrix(self.turn_rad).T
