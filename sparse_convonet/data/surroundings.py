"""Points around a training crop: all of them in the middle, fewer and fewer farther away.

What decides on which side of a floor the room lies may be hundreds of voxels away.  The network looks at what is so far
away in coarse cells (encode/context.py), which need few points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scanner.visible_surface import SeenPoints, draw_seen
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.mesh.raycast import TriangleScene

SUBCELL_VOXELS = 4  # of the coarse network of a U-Net of five levels


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


def thin_scan(seen: SeenPoints, centre: np.ndarray, voxel_size_m: float, around: Surroundings) -> SeenPoints:
    """Of the points of a scan those within reach of the centre (3,): all of the core, and around it the first in each
    cube of SUBCELL_VOXELS, which is all that the coarse network asks for."""
    distance = chebyshev(seen.points, centre) / voxel_size_m
    core = np.flatnonzero(distance <= around.core)
    outside = np.flatnonzero((distance > around.core) & (distance <= around.reach))
    span = int(2 * around.reach / SUBCELL_VOXELS) + 2
    offsets = (seen.points[outside] - centre) / voxel_size_m + around.reach
    cube = (offsets / SUBCELL_VOXELS).astype(np.int64)  # positive, so truncation is floor
    _, first = np.unique((cube[:, 0] * span + cube[:, 1]) * span + cube[:, 2], return_index=True)
    return seen.select(np.concatenate([core, outside[first]]))


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
    distance = chebyshev(watched.pool.points, centre) / voxel_size_m
    outside = (distance > around.core) & (distance <= around.reach)
    pool, distance = watched.pool.select(outside), distance[outside]
    pool_density = watched.per_m2 * voxel_size_m**2
    kept = rng.random(len(distance)) * pool_density < around.density(distance, dense)
    return SeenPoints.joined([core, pool.select(kept)])


def chebyshev(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(N,) distances of (N, 3) points from a centre (3,) along the axis where they are largest."""
    x, y, z = (
        np.abs(points[:, axis] - centre[axis]) for axis in range(3)
    )  # axis by axis: a fifth of max(axis=1)'s time
    return np.maximum(np.maximum(x, y), z)
