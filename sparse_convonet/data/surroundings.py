"""Points around a training crop: all of them in the middle, fewer and fewer farther away.

What decides on which side of a floor the room lies may be hundreds of voxels away.  The network looks at what is so far
away in coarse cells (encode/context.py), which need few points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.raycast import TriangleScene
from sparse_convonet.data.scene import Scene
from sparse_convonet.data.visible_surface import SeenPoints, draw_seen


@dataclass(frozen=True)
class Surroundings:
    """core: half the edge of the cube in the middle, where nothing is thinned; reach: half the edge of all; voxels.

    sparse: points per voxel of surface around the core, up to the distance `even`; beyond, they fall with its square.
    """

    core: float
    reach: float
    sparse: float = 0.2
    even: float = 192.0

    def density(self, distance: np.ndarray, dense: float) -> np.ndarray:
        """Points per voxel of surface, where the core has `dense`, at distances (N,) in voxels along the longest axis."""
        outside = min(dense, self.sparse) * (self.even / np.maximum(distance, self.even)) ** 2
        return np.where(distance <= self.core, dense, outside)


@dataclass(frozen=True)
class WatchedScene:
    """A large scene, its triangles, where scanners stand in it (S, 3), and points that they see all over it.

    per_m2: of the pool, where it is seen.
    """

    scene: Scene
    triangles: TriangleScene
    stations: np.ndarray
    pool: SeenPoints
    per_m2: float


def thin_scan(
    seen: SeenPoints, centre: np.ndarray, voxel_size_m: float, around: Surroundings, rng: np.random.Generator
) -> SeenPoints:
    """Of the points of a scan those within reach of the centre (3,), thinned outside the core."""
    distance = np.abs(seen.points - centre).max(axis=1) / voxel_size_m
    near = distance <= around.reach
    seen, distance = seen.select(near), distance[near]
    core = seen.points[distance <= around.core]
    occupied = len(np.unique(np.floor(core / voxel_size_m).astype(np.int64), axis=0))
    dense = max(1.0, len(core) / max(1, occupied))  # of the core, for the whole scan
    return seen.select(rng.random(len(distance)) * dense < around.density(distance, dense))


def draw_core(
    watched: WatchedScene,
    centre: np.ndarray,  # (3,) world metres
    voxel_size_m: float,
    dense: float,  # points per voxel of surface in the core
    around: Surroundings,
    rng: np.random.Generator,
) -> SeenPoints:
    """Points of a large scene: the core drawn as densely as asked for, and some of the scene's own around it."""
    scene, reach = watched.scene, around.core * voxel_size_m
    low, high = scene.bounds
    box = np.maximum(centre - reach, low), np.minimum(centre + reach, high)
    core = draw_seen(scene, watched.triangles, watched.stations, dense / voxel_size_m**2, box, rng)
    distance = np.abs(watched.pool.points - centre).max(axis=1) / voxel_size_m
    outside = (distance > around.core) & (distance <= around.reach)
    pool, distance = watched.pool.select(outside), distance[outside]
    pool_density = watched.per_m2 * voxel_size_m**2
    kept = rng.random(len(distance)) * pool_density < around.density(distance, dense)
    return SeenPoints.joined([core, pool.select(kept)])
