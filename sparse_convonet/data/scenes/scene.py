"""A furnished room or building as a union of solids: occupancy, surface samples and a mesh."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparse_convonet.data.scenes.patches import Patches, solid_patches
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.placement import PlacedFurniture
from sparse_convonet.data.scenes.solids import Solids, yaw_matrix

_BOUNDARY_EPSILON_M = 5e-4  # below every gap and thickness in a scene, far above the rounding of coordinates
_SAMPLING_ROUNDS = 60


@dataclass(frozen=True)
class Scene:
    """Occupied space = solids and furniture, given in the building's frame, which is turned by `yaw` and shifted.

    furniture: models that stand on their own.  places: where one can walk.
    climbs: polylines (K, 3) of feet on the stairs, from the floor below to the floor above, building frame.
    yaw: radians about z; shift: (3,) metres: world = rotation @ building + shift.
    """

    solids: Solids
    furniture: tuple[PlacedFurniture, ...]
    places: tuple[Place, ...]
    climbs: tuple[np.ndarray, ...]
    yaw: float
    shift: np.ndarray

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Building frame -> world, (N, 3) float64."""
        return points @ yaw_matrix(self.yaw).T + self.shift

    def to_building(self, points: np.ndarray) -> np.ndarray:
        """World -> building frame, (N, 3) float64."""
        return (np.asarray(points, dtype=np.float64) - self.shift) @ yaw_matrix(self.yaw)

    @cached_property
    def _furniture_boxes(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.furniture:
            return np.zeros((0, 3)), np.zeros((0, 3))
        return np.stack([piece.box[0] for piece in self.furniture]), np.stack(
            [piece.box[1] for piece in self.furniture]
        )

    @cached_property
    def bounds(self) -> np.ndarray:
        """Low and high corner (2, 3) of everything, world metres."""
        low, high = self.solids.boxes
        low = np.concatenate([low, self._furniture_boxes[0]]).min(axis=0)
        high = np.concatenate([high, self._furniture_boxes[1]]).max(axis=0)
        corners = self.to_world(_corners(low, high))
        return np.stack([corners.min(axis=0), corners.max(axis=0)])

    def occupied(self, points_world: np.ndarray) -> np.ndarray:
        """Which of the points (Q, 3), world metres, lie inside a solid or a piece of furniture: (Q,) bool."""
        return self.occupied_in_building(self.to_building(points_world))

    def occupied_in_building(self, points: np.ndarray, margin: float = 0.0) -> np.ndarray:
        """`occupied` for points (Q, 3) in the building's frame; `margin` metres (at most 0.3) widen the solids."""
        result = self.solids.contains(points, margin)
        for piece, free in self._furniture_near(points, np.flatnonzero(~result)):
            result[free] |= self.furniture[piece].contains(points[free])
        return result

    def _furniture_near(self, points: np.ndarray, chosen: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """Pieces whose bounding box meets that of points[chosen], each with the chosen points in its box."""
        if not len(chosen) or not self.furniture:
            return []
        x_order = chosen[np.argsort(points[chosen, 0])]
        candidates = points[x_order]
        low, high = self._furniture_boxes
        meets = (high >= candidates.min(axis=0)) & (low <= candidates.max(axis=0))
        near = []
        for piece in np.flatnonzero(meets.all(axis=1)):
            first, last = np.searchsorted(candidates[:, 0], [low[piece, 0], high[piece, 0]])
            inside = (candidates[first:last, 1:] >= low[piece, 1:]) & (candidates[first:last, 1:] <= high[piece, 1:])
            index = x_order[first:last][inside.all(axis=1)]
            if len(index):
                near.append((int(piece), index))
        return near

    @cached_property
    def solids_area_m2(self) -> float:
        """Surface of all solids, hidden parts too."""
        return float(solid_patches(self.solids).areas.sum())

    def sample_surface(
        self, count: int, rng: np.random.Generator, box: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Points uniform by area on the boundary of the union, and outward normals.

        box: (low, high) in the world restricts the samples. Returns (N, 3) float64 world metres and (N, 3) float32;
        N = count, or less when the box holds (almost) no surface. Surface inside other solids is left out by testing
        what lies `_BOUNDARY_EPSILON_M` to either side.
        """
        patches, pieces, areas = self._surface_in(box)
        points, normals, found = [np.zeros((0, 3))], [np.zeros((0, 3))], 0
        if not len(areas):
            return points[0], normals[0].astype(np.float32)
        cumulative = np.cumsum(areas)
        kept_share = 0.5
        for _ in range(_SAMPLING_ROUNDS):
            tries = int(np.clip(1.1 * (count - found) / max(kept_share, 0.02) + 64, 256, 2_000_000))
            drawn = np.searchsorted(cumulative, rng.random(tries) * cumulative[-1]).clip(max=len(areas) - 1)
            batch, directions = self._draw_within(drawn, patches, pieces, box, rng)
            points.append(batch)
            normals.append(directions)
            found += len(batch)
            kept_share = len(batch) / tries
            if found >= count:
                break
        order = rng.permutation(found)[:count]
        return np.concatenate(points)[order], np.concatenate(normals)[order].astype(np.float32)

    def sample_surface_of_density(
        self, per_m2: float, rng: np.random.Generator, box: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Like sample_surface, `per_m2` points on each square metre of the boundary within the box."""
        patches, pieces, areas = self._surface_in(box)
        count = rng.poisson(per_m2 * areas.sum())
        cumulative = np.cumsum(areas)
        drawn = np.searchsorted(cumulative, rng.random(count) * (cumulative[-1] if count else 0.0))
        points, normals = self._draw_within(drawn.clip(max=max(0, len(areas) - 1)), patches, pieces, box, rng)
        return points, normals.astype(np.float32)

    def _surface_in(self, box: tuple[np.ndarray, np.ndarray] | None) -> tuple[Patches, np.ndarray, np.ndarray]:
        """Patches and pieces of furniture (P,) that may reach into a box, and the areas of all, hidden ones too."""
        region = None
        low, high = self._furniture_boxes
        pieces = np.arange(len(self.furniture))
        if box is not None:
            corners = self.to_building(_corners(np.asarray(box[0]), np.asarray(box[1])))
            region = (corners.min(axis=0), corners.max(axis=0))
            pieces = np.flatnonzero(((high >= region[0]) & (low <= region[1])).all(axis=1))
        patches = solid_patches(self.solids, region)
        return patches, pieces, np.concatenate([patches.areas, [self.furniture[piece].area_m2 for piece in pieces]])

    def _draw_within(  # type: ignore[no-untyped-def]
        self, drawn, patches, pieces, box, rng
    ) -> tuple[np.ndarray, np.ndarray]:
        """World points and normals, both (N, 3) float64, of the draws that lie in the box on the boundary."""
        batch, directions, kept = self._draw(drawn, patches, pieces, rng)
        points_world = self.to_world(batch[kept])
        if box is not None:
            within = ((points_world >= box[0]) & (points_world <= box[1])).all(axis=1)
            points_world, kept = points_world[within], kept[within]
        return points_world, directions[kept] @ yaw_matrix(self.yaw).T

    def _draw(self, drawn, patches, pieces, rng):  # type: ignore[no-untyped-def]
        """One point for each drawn patch or piece (building frame), its normal, and the index of those not hidden."""
        from_solids = drawn < len(patches.areas)
        points, normals = np.empty((len(drawn), 3)), np.empty((len(drawn), 3))
        owners = np.full(len(drawn), -1)
        points[from_solids], normals[from_solids] = patches.sample(drawn[from_solids], rng)
        owners[from_solids] = patches.owners[drawn[from_solids]]
        piece_of = np.full(len(drawn), -1)
        piece_of[~from_solids] = pieces[drawn[~from_solids] - len(patches.areas)] if len(pieces) else -1
        for piece in np.unique(piece_of[piece_of >= 0]):
            mine = np.flatnonzero(piece_of == piece)
            points[mine], normals[mine] = self.furniture[piece].sample(len(mine), rng)
        keep = self.solids.on_boundary(points, normals, owners, _BOUNDARY_EPSILON_M)
        outer = points + _BOUNDARY_EPSILON_M * normals
        for piece, index in self._furniture_near(outer, np.flatnonzero(keep)):
            others = index[piece_of[index] != piece]
            keep[others] &= ~self.furniture[piece].contains(outer[others])
        return points, normals, np.flatnonzero(keep)

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) float64 world metres, faces (F, 3) int64: all solids and furniture, hidden faces included."""
        parts = [self.solids.triangles(), *(piece.mesh() for piece in self.furniture)]
        offsets = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
        vertices = np.concatenate([vertices for vertices, _ in parts])
        faces = np.concatenate([faces + offset for (_, faces), offset in zip(parts, offsets, strict=False)])
        return self.to_world(vertices), faces.astype(np.int64)


def _corners(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
