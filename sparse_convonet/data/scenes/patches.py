"""The surface of solids as flat and curved patches that can be sampled uniformly by area."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scenes.solids import BOX, CYLINDER, WEDGE, Solids

_RECTANGLE, _TRIANGLE, _DISC, _TUBE = 0, 1, 2, 3


@dataclass(frozen=True)
class Patches:
    """P patches. A point on one is origin + a first + b second (+ c third on a tube), see `sample`.

    shapes: (P,) int8.  origins, first, second, third, normals: (P, 3) metres.  areas: (P,) square metres.
    owners: (P,) int64, the solid each belongs to.
    """

    shapes: np.ndarray
    origins: np.ndarray
    first: np.ndarray
    second: np.ndarray
    third: np.ndarray
    normals: np.ndarray
    areas: np.ndarray
    owners: np.ndarray

    def sample(self, index: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One uniform point on each of the patches `index` (N,) -> points (N, 3), outward normals (N, 3)."""
        a, b = rng.random(len(index)), rng.random(len(index))
        shapes = self.shapes[index]
        fold = (shapes == _TRIANGLE) & (a + b > 1)
        a, b = np.where(fold, 1 - a, a), np.where(fold, 1 - b, b)
        round_patch = (shapes == _DISC) | (shapes == _TUBE)
        radius, angle, along = (
            np.where(shapes == _DISC, np.sqrt(a), 1.0),
            2 * np.pi * b,
            np.where(shapes == _TUBE, a, 0),
        )
        a = np.where(round_patch, radius * np.cos(angle), a)
        b = np.where(round_patch, radius * np.sin(angle), b)
        spoke = a[:, None] * self.first[index] + b[:, None] * self.second[index]
        points = self.origins[index] + spoke + along[:, None] * self.third[index]
        normals = self.normals[index].copy()
        tube = shapes == _TUBE
        normals[tube] = spoke[tube] / np.linalg.norm(spoke[tube], axis=1, keepdims=True)
        return points, normals


def _join(parts: list[Patches]) -> Patches:
    return Patches(*(np.concatenate([getattr(part, name) for part in parts]) for name in Patches.__dataclass_fields__))


def _flat(shape: int, origin: np.ndarray, first: np.ndarray, second: np.ndarray, owners: np.ndarray) -> Patches:
    cross = np.cross(first, second)
    length = np.linalg.norm(cross, axis=1)
    positive = length > 0
    normals = cross[positive] / length[positive, None]
    area = length[positive] * (0.5 if shape == _TRIANGLE else 1.0)
    third = np.zeros((int(positive.sum()), 3))
    shapes = np.full(len(area), shape, dtype=np.int8)
    origin, first, second = origin[positive], first[positive], second[positive]
    return Patches(shapes, origin, first, second, third, normals, area, owners[positive])


def _box_patches(solids: Solids, owners: np.ndarray, region: tuple[np.ndarray, np.ndarray] | None) -> list[Patches]:
    axes, centres, halves = solids.rotations[owners], solids.centres[owners], solids.halves[owners]
    low, high = -halves, halves
    if region is not None:  # clip every face to the region's bounding box in the frame of its solid
        middle, reach = (region[0] + region[1]) / 2, (region[1] - region[0]) / 2
        local_middle = np.einsum("sij,si->sj", axes, middle - centres)
        local_reach = np.einsum("sij,i->sj", np.abs(axes), reach)
        low, high = np.maximum(low, local_middle - local_reach), np.minimum(high, local_middle + local_reach)
    meets = (low < high).all(axis=1)
    axes, centres, halves, low, high, owners = (part[meets] for part in (axes, centres, halves, low, high, owners))
    patches = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        first, second = axes[:, :, u] * (high - low)[:, u, None], axes[:, :, v] * (high - low)[:, v, None]
        for sign in (-1, 1):
            corner = low.copy()
            corner[:, axis] = sign * halves[:, axis]
            reached = (low[:, axis] == corner[:, axis]) | (high[:, axis] == corner[:, axis])
            origin = centres + np.einsum("sij,sj->si", axes, corner)
            edges = (first, second) if sign > 0 else (second, first)
            patches.append(_flat(_RECTANGLE, origin[reached], edges[0][reached], edges[1][reached], owners[reached]))
    return patches


def _cylinder_patches(solids: Solids, owners: np.ndarray) -> list[Patches]:
    axes, centres, halves = solids.rotations[owners], solids.centres[owners], solids.halves[owners]
    first, second, half_axis = (axes[:, :, axis] * halves[:, None, axis] for axis in range(3))
    radius, length, none = halves[:, 0], 2 * halves[:, 2], np.zeros_like(first)

    def shape(kind: int) -> np.ndarray:
        return np.full(len(owners), kind, dtype=np.int8)

    discs = [
        Patches(
            shape(_DISC),
            centres + sign * half_axis,
            first,
            second,
            none,
            sign * axes[:, :, 2],
            np.pi * radius**2,
            owners,
        )
        for sign in (-1, 1)
    ]
    tube_area = 2 * np.pi * radius * length
    return [*discs, Patches(shape(_TUBE), centres - half_axis, first, second, 2 * half_axis, none, tube_area, owners)]


def _wedge_patches(solids: Solids, owners: np.ndarray) -> list[Patches]:
    first, second, third = (2 * solids.rotations[owners][:, :, k] * solids.halves[owners][:, None, k] for k in range(3))
    corner = solids.centres[owners] - (first + second + third) / 2
    return [
        _flat(_RECTANGLE, corner, second, first, owners),
        _flat(_RECTANGLE, corner, third, second, owners),
        _flat(_RECTANGLE, corner + first, second, third - first, owners),
        _flat(_TRIANGLE, corner, first, third, owners),
        _flat(_TRIANGLE, corner + second, third, first, owners),
    ]


def solid_patches(solids: Solids, region: tuple[np.ndarray, np.ndarray] | None = None) -> Patches:
    """Patches that cover the surface of every solid; `region` (low, high) keeps those that may reach into the box."""
    near: np.ndarray = np.ones(len(solids), dtype=bool)
    if region is not None:
        low, high = solids.boxes
        near = np.all((high >= region[0]) & (low <= region[1]), axis=1)
    boxes, cylinders, wedges = (np.flatnonzero(near & (solids.kinds == kind)) for kind in (BOX, CYLINDER, WEDGE))
    return _join(
        [*_box_patches(solids, boxes, region), *_cylinder_patches(solids, cylinders), *_wedge_patches(solids, wedges)]
    )
