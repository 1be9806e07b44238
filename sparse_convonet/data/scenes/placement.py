"""A furniture model that stands somewhere: turned, scaled, perhaps mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from sparse_convonet.data.furniture.library import FurnitureModel
from sparse_convonet.data.scenes.solids import yaw_matrix
from sparse_convonet.mesh.surface_sampling import draw_in_triangles

_MODELS_REMEMBERED = 2048


@dataclass(frozen=True)
class _Surface:
    corners: np.ndarray  # (F, 3, 3) local metres
    normals: np.ndarray  # (F, 3)
    cumulative: np.ndarray  # (F,) areas summed up, square metres


@lru_cache(maxsize=_MODELS_REMEMBERED)
def _surface_of(model: FurnitureModel) -> _Surface:
    vertices, faces = model.mesh()
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    double_area = np.linalg.norm(cross, axis=1)
    normals = cross / np.maximum(double_area, np.finfo(np.float64).tiny)[:, None]
    return _Surface(corners, normals, np.cumsum(double_area / 2))


@dataclass(frozen=True)
class PlacedFurniture:
    """A model at `position` (3,), the centre of its lowest plane, in the frame of its building, metres.

    yaw: radians about z.  scale: uniform.  mirrored: x -> -x in the model's frame, before turning.
    """

    model: FurnitureModel
    position: np.ndarray
    yaw: float
    scale: float = 1.0
    mirrored: bool = False

    @cached_property
    def _to_building(self) -> np.ndarray:
        return yaw_matrix(self.yaw) * self.scale * np.array([-1.0 if self.mirrored else 1.0, 1.0, 1.0])

    @property
    def _surface(self) -> _Surface:
        return _surface_of(self.model)

    @cached_property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Low and high corner (3,) of the axis-aligned bounding box in the building's frame."""
        size = np.asarray(self.model.size_m, dtype=np.float64) * self.scale
        turn = np.abs(yaw_matrix(self.yaw)[:2, :2])
        reach = turn @ (size[:2] / 2)
        low = np.append(self.position[:2] - reach, self.position[2])
        high = np.append(self.position[:2] + reach, self.position[2] + size[2])
        return low, high

    @cached_property
    def footprint(self) -> np.ndarray:
        """Centre x, y, half width, half depth, yaw: (5,)."""
        half = np.asarray(self.model.size_m, dtype=np.float64)[:2] * self.scale / 2
        return np.array([*self.position[:2], *half, self.yaw])

    @property
    def area_m2(self) -> float:
        """Area of the mesh."""
        return float(self._surface.cumulative[-1]) * self.scale**2

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (Q, 3), building frame, lie inside: (Q,) bool."""
        low, high = self.box
        result = np.zeros(len(points), dtype=bool)
        near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        if len(near):
            # The inverse of a rotation times a scale times a mirror is its transpose over the squared scale.
            result[near] = self.model.contains((points[near] - self.position) @ self._to_building / self.scale**2)
        return result

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (count, 3) uniform by area on the mesh and their normals (count, 3), building frame."""
        surface = self._surface
        face = np.searchsorted(surface.cumulative, rng.random(count) * surface.cumulative[-1])
        face = np.minimum(face, len(surface.cumulative) - 1)
        points = draw_in_triangles(surface.corners[face], rng)
        return points @ self._to_building.T + self.position, surface.normals[face] @ self._to_building.T / self.scale

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and faces (F, 3) in the building's frame, facing outwards."""
        vertices, faces = self.model.mesh()
        return vertices @ self._to_building.T + self.position, faces[:, ::-1] if self.mirrored else faces
