"""Collects boxes, cylinders, wedges and furniture in a building's frame and makes a scene of them."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.placement import PlacedFurniture
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.scenes.solids import BOX, CYLINDER, WEDGE, Solids

_THINNEST_M = 1e-3  # what is flatter than this is left out
_IDENTITY = np.eye(3)
Vector = np.ndarray | tuple[float, float, float] | list[float]


class Assembly:
    """Everything is in the building's frame, metres, z up."""

    def __init__(self) -> None:
        self._kinds: list[int] = []
        self._centres: list[np.ndarray] = []
        self._rotations: list[np.ndarray] = []
        self._halves: list[np.ndarray] = []
        self.furniture: list[PlacedFurniture] = []
        self.places: list[Place] = []
        self.climbs: list[np.ndarray] = []

    def _add(self, kind: int, centre: Vector, rotation: np.ndarray, half: Vector) -> None:
        half = np.asarray(half, dtype=np.float64)
        if half.min() * 2 < _THINNEST_M:
            return
        self._kinds.append(kind)
        self._centres.append(np.asarray(centre, dtype=np.float64))
        self._rotations.append(rotation)
        self._halves.append(half)

    def box(self, low: Vector, high: Vector) -> None:
        """An axis-aligned box; nothing when it is empty or thinner than a millimetre."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        self._add(BOX, (low + high) / 2, _IDENTITY, (high - low) / 2)

    def turned_box(self, centre: Vector, size: Vector, rotation: np.ndarray) -> None:
        """A box of `size` (3,) about `centre`, its axes the columns of `rotation` (3, 3)."""
        self._add(BOX, centre, rotation, np.asarray(size, dtype=np.float64) / 2)

    def wedge(self, centre: Vector, size: Vector, rotation: np.ndarray) -> None:
        """The half of a turned box where x/size_x + z/size_z <= 0 in its own frame."""
        self._add(WEDGE, centre, rotation, np.asarray(size, dtype=np.float64) / 2)

    def beam(self, start: Vector, end: Vector, width: float, height: float) -> None:
        """A box whose axis runs from start to end; `height` is measured square to it, upwards."""
        self._add(BOX, *_along(start, end, width / 2, height / 2))

    def rod(self, start: Vector, end: Vector, radius: float) -> None:
        """A cylinder whose axis runs from start to end."""
        start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        centre, rotation, half = _along(start, end, radius, radius)
        self._add(CYLINDER, centre, rotation[:, [1, 2, 0]], half[[1, 2, 0]])

    def place_furniture(self, piece: PlacedFurniture) -> None:
        self.furniture.append(piece)

    def finish(self, yaw: float, shift: Vector) -> Scene:
        """The scene, turned by `yaw` about z and then moved by `shift` (3,)."""
        count = len(self._kinds)
        solids = Solids(
            np.array(self._kinds, dtype=np.int8),
            np.array(self._centres).reshape(count, 3),
            np.array(self._rotations).reshape(count, 3, 3),
            np.array(self._halves).reshape(count, 3),
        )
        furniture, places, climbs = tuple(self.furniture), tuple(self.places), tuple(self.climbs)
        return Scene(solids, furniture, places, climbs, yaw, np.asarray(shift, dtype=np.float64))


def _along(
    start: Vector, end: Vector, half_width: float, half_height: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, axes (x along, y level, z up) and half extents of a bar from start to end."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    length = float(np.linalg.norm(end - start))
    forward = (end - start) / max(length, _THINNEST_M)
    level = np.array([-forward[1], forward[0], 0.0])
    norm = float(np.linalg.norm(level))
    level = level / norm if norm > _THINNEST_M else np.array([0.0, 1.0, 0.0])  # upright bars have no level of their own
    rotation = np.stack([forward, level, np.cross(forward, level)], axis=1)
    return (start + end) / 2, rotation, np.array([length / 2, half_width, half_height])
