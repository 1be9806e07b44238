"""Boxes, cylinders and wedges: which points they contain, their patches of surface and their triangles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

BOX, CYLINDER, WEDGE = 0, 1, 2
CYLINDER_SIDES = 16
_CELL_M = 0.75  # of the lookup grid: about the size of the smaller solids of a building

# Corners of the unit box in the order of the bits xyz, and its faces counter-clockwise seen from outside.
_BOX_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]]
)  # fmt: skip
# The half of the box with x + z <= 0: corners of its bottom, then the upper edge at x = -1.
_WEDGE_CORNERS = np.array(
    [[-1, -1, -1], [-1, 1, -1], [1, -1, -1], [1, 1, -1], [-1, -1, 1], [-1, 1, 1]], dtype=np.float64
)
_WEDGE_FACES = np.array([[0, 1, 3], [0, 3, 2], [0, 4, 5], [0, 5, 1], [0, 2, 4], [1, 5, 3], [2, 3, 5], [2, 5, 4]])


def yaw_matrix(yaw: float) -> np.ndarray:
    """The (3, 3) rotation by `yaw` radians about z, counter-clockwise seen from above."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


@njit(cache=True)
def _inside(kind, centre, rotation, half, x, y, z, margin):  # type: ignore[no-untyped-def]
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    u = rotation[0, 0] * dx + rotation[1, 0] * dy + rotation[2, 0] * dz
    v = rotation[0, 1] * dx + rotation[1, 1] * dy + rotation[2, 1] * dz
    w = rotation[0, 2] * dx + rotation[1, 2] * dy + rotation[2, 2] * dz
    if abs(w) > half[2] + margin:
        return False
    if kind == CYLINDER:
        return u * u + v * v <= (half[0] + margin) ** 2
    if abs(u) > half[0] + margin or abs(v) > half[1] + margin:
        return False
    return kind == BOX or u * half[2] + w * half[0] <= margin * np.hypot(half[0], half[2])


@njit(cache=True)
def _fill_cells(low, high, origin, shape, starts, members, count_only):  # type: ignore[no-untyped-def]
    for solid in range(len(low)):
        first = np.floor((low[solid] - origin) / _CELL_M).astype(np.int64)
        last = np.floor((high[solid] - origin) / _CELL_M).astype(np.int64)
        for i in range(max(first[0], 0), min(last[0], shape[0] - 1) + 1):
            for j in range(max(first[1], 0), min(last[1], shape[1] - 1) + 1):
                for k in range(max(first[2], 0), min(last[2], shape[2] - 1) + 1):
                    cell = (i * shape[1] + j) * shape[2] + k
                    if not count_only:
                        members[starts[cell]] = solid
                    starts[cell] += 1


@njit(cache=True)
def _contains(points, margin, grid, kinds, centres, rotations, halves):  # type: ignore[no-untyped-def]
    origin, shape, starts, members = grid
    occupied = np.zeros(len(points), dtype=np.bool_)
    for q in range(len(points)):
        x, y, z = points[q, 0], points[q, 1], points[q, 2]
        i, j, k = (
            int(np.floor((x - origin[0]) / _CELL_M)),
            int(np.floor((y - origin[1]) / _CELL_M)),
            int(np.floor((z - origin[2]) / _CELL_M)),
        )
        if i < 0 or j < 0 or k < 0 or i >= shape[0] or j >= shape[1] or k >= shape[2]:
            continue
        cell = (i * shape[1] + j) * shape[2] + k
        for entry in range(starts[cell], starts[cell + 1]):
            s = members[entry]
            if _inside(kinds[s], centres[s], rotations[s], halves[s], x, y, z, margin):
                occupied[q] = True
                break
    return occupied


@njit(cache=True)
def _on_boundary(points, normals, owners, epsilon, grid, kinds, centres, rotations, halves):  # type: ignore[no-untyped-def]
    origin, shape, starts, members = grid
    keep = np.ones(len(points), dtype=np.bool_)
    for q in range(len(points)):
        outer = points[q] + epsilon * normals[q]
        inner = points[q] - epsilon * normals[q]
        cell_of = np.floor((points[q] - origin) / _CELL_M).astype(np.int64)
        if np.any(cell_of < 0) or cell_of[0] >= shape[0] or cell_of[1] >= shape[1] or cell_of[2] >= shape[2]:
            continue
        cell = (cell_of[0] * shape[1] + cell_of[1]) * shape[2] + cell_of[2]
        for entry in range(starts[cell], starts[cell + 1]):
            s = members[entry]
            if s == owners[q]:
                continue
            kind, centre, rotation, half = kinds[s], centres[s], rotations[s], halves[s]
            if _inside(kind, centre, rotation, half, outer[0], outer[1], outer[2], 0.0) or (
                s < owners[q] and _inside(kind, centre, rotation, half, inner[0], inner[1], inner[2], 0.0)
            ):
                keep[q] = False
                break
    return keep


@dataclass(frozen=True)
class Solids:
    """S solids, each the image of a unit shape under scaling by `halves`, `rotations` and a shift to `centres`.

    kinds: (S,) int8, BOX, CYLINDER (axis along local z, radius halves[0]) or WEDGE (the half u/hx + w/hz <= 0 of a box).
    centres: (S, 3), rotations: (S, 3, 3) whose columns are the local axes, halves: (S, 3) half extents; float64, metres.
    """

    kinds: np.ndarray
    centres: np.ndarray
    rotations: np.ndarray
    halves: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.kinds)
        expected = {"centres": (count, 3), "rotations": (count, 3, 3), "halves": (count, 3)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name}: expected shape {shape} for {count} solids, found {getattr(self, name).shape}"
                )
        if count and self.halves.min() <= 0:
            raise ValueError(
                f"halves: expected positive half extents, found {self.halves.min()}; leave flat solids out"
            )

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def boxes(self) -> tuple[np.ndarray, np.ndarray]:
        """Low and high corners (S, 3) of the solids' axis-aligned bounding boxes."""
        reach = np.einsum("sij,sj->si", np.abs(self.rotations), self.halves)
        round_reach = np.abs(self.rotations[:, :, 2]) * self.halves[:, 2:] + self.halves[:, :1] * np.hypot(
            self.rotations[:, :, 0], self.rotations[:, :, 1]
        )
        reach = np.where((self.kinds == CYLINDER)[:, None], round_reach, reach)
        return self.centres - reach, self.centres + reach

    @cached_property
    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        low, high = self.boxes
        slack = 0.3  # points within a margin of a solid are looked up in its cells too
        origin = low.min(axis=0) - slack if len(self) else np.zeros(3)
        extent = high.max(axis=0) + slack - origin if len(self) else np.zeros(3)
        shape = np.floor(extent / _CELL_M).astype(np.int64) + 1
        counts = np.zeros(int(shape.prod()) + 1, dtype=np.int64)
        _fill_cells(low - slack, high + slack, origin, shape, counts, np.zeros(0, dtype=np.int32), True)
        starts = np.concatenate([[0], np.cumsum(counts[:-1])])
        members = np.zeros(int(starts[-1]), dtype=np.int32)
        _fill_cells(low - slack, high + slack, origin, shape, starts.copy(), members, False)
        return origin, shape, starts, members

    def contains(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """Which of the points (Q, 3) lie inside, or within `margin` metres (at most 0.3) of, a solid: (Q,) bool."""
        points = np.ascontiguousarray(points, dtype=np.float64)
        return _contains(points, margin, self._grid, self.kinds, self.centres, self.rotations, self.halves)

    def on_boundary(self, points: np.ndarray, normals: np.ndarray, owners: np.ndarray, epsilon: float) -> np.ndarray:
        """Which samples (N, 3) of the solids `owners` (N,) lie on the boundary of the union, (N,) bool.

        A sample is hidden when another solid holds the point `epsilon` outside it. Where faces of two solids coincide
        the one with the lower index keeps its samples, so that no surface counts twice. Owner -1: not a solid's sample.
        """
        return _on_boundary(
            np.ascontiguousarray(points, dtype=np.float64),
            np.ascontiguousarray(normals, dtype=np.float64),
            owners.astype(np.int64), epsilon, self._grid, self.kinds, self.centres, self.rotations, self.halves,
        )  # fmt: skip

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) float64 and faces (F, 3) int64 of all solids, each closed; cylinders have 16 sides."""
        angles = np.arange(CYLINDER_SIDES) * (2 * np.pi / CYLINDER_SIDES)
        ring = np.stack([np.cos(angles), np.sin(angles), np.ones(CYLINDER_SIDES)], axis=1)
        corners = np.concatenate([ring * (1, 1, -1), ring, [[0, 0, -1], [0, 0, 1]]])
        here = np.arange(CYLINDER_SIDES)
        after, bottom, top = (here + 1) % CYLINDER_SIDES, 2 * CYLINDER_SIDES, 2 * CYLINDER_SIDES + 1
        faces = np.concatenate([
            np.stack([here, after, after + CYLINDER_SIDES], axis=1),
            np.stack([here, after + CYLINDER_SIDES, here + CYLINDER_SIDES], axis=1),
            np.stack([np.full_like(here, bottom), after, here], axis=1),
            np.stack([np.full_like(here, top), here + CYLINDER_SIDES, after + CYLINDER_SIDES], axis=1),
        ])  # fmt: skip
        shapes = {BOX: (_BOX_CORNERS, _BOX_FACES), CYLINDER: (corners, faces), WEDGE: (_WEDGE_CORNERS, _WEDGE_FACES)}
        all_vertices, all_faces, offset = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0
        for kind, (unit, unit_faces) in shapes.items():
            chosen = np.flatnonzero(self.kinds == kind)
            local = unit[None] * self.halves[chosen, None]
            world = np.einsum("sij,svj->svi", self.rotations[chosen], local) + self.centres[chosen, None]
            all_vertices.append(world.reshape(-1, 3))
            shifts = offset + len(unit) * np.arange(len(chosen))
            all_faces.append((unit_faces[None] + shifts[:, None, None]).reshape(-1, 3))
            offset += world.shape[0] * world.shape[1]
        return np.concatenate(all_vertices), np.concatenate(all_faces)
