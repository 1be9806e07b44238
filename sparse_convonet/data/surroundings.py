"""Points around a training crop: all of them in the middle, fewer and fewer farther away.

What decides on which side of a floor the room lies may be hundreds of voxels away.  The network looks at what is so far
away in coarse cells (encode/context.py), which need few points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    even: float = 128.0

    def density(self, distance: np.ndarray, dense: float) -> np.ndarray:
        """Points per voxel of surface, where the core has `dense`, at distances (N,) in voxels along the longest axis."""
        outside = min(dense, self.sparse) * (self.even / np.maximum(distance, self.even)) ** 2
        return np.where(distance <= self.core, dense, outside)

    def shells(self) -> list[tuple[float, float]]:
        """(inner, outer) half edges of nested cubes, doubling from the core to the reach; the first inner one is 0."""
        edges = [0.0, self.core]
        while edges[-1] < self.reach:
            edges.append(min(2 * edges[-1], self.reach))
        return list(zip(edges, edges[1:], strict=False))


def thin_scan(
    seen: SeenPoints, centre: np.ndarray, voxel_size_m: float, around: Surroundings, rng: np.random.Generator
) -> SeenPoints:
    """Of the points of a scan those within reach of the centre (3,), thinned with the distance."""
    distance = np.abs(seen.points - centre).max(axis=1) / voxel_size_m
    near = distance <= around.reach
    seen, distance = seen.select(near), distance[near]
    core = seen.points[distance <= around.core]
    occupied = len(np.unique(np.floor(core / voxel_size_m).astype(np.int64), axis=0))
    dense = max(1.0, len(core) / max(1, occupied))  # of the core, for the whole scan
    return seen.select(rng.random(len(distance)) < around.density(distance, dense) / dense)


def draw_around(
    scene: Scene,
    triangles: TriangleScene,
    stations: np.ndarray,  # (S, 3)
    centre: np.ndarray,  # (3,) world metres
    voxel_size_m: float,
    dense: float,  # points per voxel of surface in the core
    around: Surroundings,
    rng: np.random.Generator,
) -> SeenPoints:
    """What the stations see of a scene around a centre, drawn with the densities of `around`."""
    parts = []
    low, high = scene.bounds
    for inner, outer in around.shells():
        reach = outer * voxel_size_m
        density = dense if inner == 0 else float(around.density(np.array([inner + 1e-6]), dense)[0])
        box = np.maximum(centre - reach, low), np.minimum(centre + reach, high)
        wanted = partial(_wanted, centre=centre, voxel_size_m=voxel_size_m, inner=inner, most=density)
        keep = partial(wanted, density_at=lambda distance: around.density(distance, dense), rng=rng)
        parts.append(draw_seen(scene, triangles, stations, density / voxel_size_m**2, box, rng, keep))
        if (centre - reach <= low).all() and (centre + reach >= high).all():
            break
    return SeenPoints.joined(parts)


def _wanted(
    points: np.ndarray,  # (N, 3) world metres
    *,
    centre: np.ndarray,
    voxel_size_m: float,
    inner: float,
    most: float,
    density_at: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """(N,) bool: farther than `inner` voxels, and thinned from the density `most` to the one at their distance."""
    distance = np.abs(points - centre).max(axis=1) / voxel_size_m
    return (distance > inner) & (rng.random(len(points)) * most < density_at(distance))
