"""What scanners at given places see of a scene, drawn from its surface: as dense as wanted, wherever it is wanted.

Casting a scanner's rays makes a hall of 60 m either thin everywhere or tens of millions of points; here a training crop
gets its own density in the middle and little far away, and every point is one that a scanner does see.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.mesh.raycast import TriangleScene

_GRAZING_COSINE = 0.05  # a surface seen flatter than this returns nothing
_TOLERANCE_M = 0.02  # the meshes that are cast at leave the exact solids by less (cylinders have 16 sides)
_NEAREST_M2 = 0.25  # scanners nearer than its root have no more of the points
_TRIES = 2  # scanners that are asked for each point


@dataclass(frozen=True)
class SeenPoints:
    """points (N, 3) float64, world metres, normals (N, 3) float32 on the free side, scanners (N, 3): who saw each."""

    points: np.ndarray
    normals: np.ndarray
    scanners: np.ndarray

    def select(self, index: np.ndarray) -> SeenPoints:
        """Those that `index` names: a mask (N,) or rows."""
        return SeenPoints(self.points[index], self.normals[index], self.scanners[index])

    @classmethod
    def joined(cls, parts: list[SeenPoints]) -> SeenPoints:
        """All of them, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def draw_seen(
    scene: Scene,
    triangles: TriangleScene,  # of scene.mesh()
    stations: np.ndarray,  # (S, 3) world metres, S at least 1
    per_m2: float,
    box: tuple[np.ndarray, np.ndarray],  # low and high corner, world metres
    rng: np.random.Generator,
) -> SeenPoints:
    """Points on the surface in the box, `per_m2` of them per square metre where some station sees all of it.

    Near scanners are asked first, as they give most of a real scan's points: station s with probability ~ 1 / distance^2.
    """
    points, normals = scene.sample_surface_of_density(per_m2, rng, box)
    scanners = np.full(points.shape, np.nan)
    left = np.arange(len(points))
    for _ in range(_TRIES):
        if not len(left):
            break
        chosen = stations[_nearest_mostly(points[left], stations, rng)]
        seen = _sees(triangles, chosen, points[left], normals[left])
        scanners[left[seen]] = chosen[seen]
        left = left[~seen]
    found = np.isfinite(scanners[:, 0])
    return SeenPoints(points[found], normals[found], scanners[found])


def _nearest_mostly(points: np.ndarray, stations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) one station for each point, by chance."""
    here, there = ((each - stations[0]).astype(np.float32) for each in (points, stations))
    squared = (here**2).sum(axis=1)[:, None] - 2 * here @ there.T + (there**2).sum(axis=1)  # (N, S)
    cumulative = np.cumsum(1 / np.maximum(squared, _NEAREST_M2), axis=1)
    drawn = rng.random(len(points)) * cumulative[:, -1]
    return (cumulative < drawn[:, None]).sum(axis=1).clip(max=len(stations) - 1)


def _sees(triangles: TriangleScene, scanners: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) bool: nothing stands between a scanner and its point, and the surface is turned towards it."""
    way = points - scanners
    distance = np.linalg.norm(way, axis=1)
    directions = way / np.maximum(distance, 1e-9)[:, None]
    seen = -np.einsum("ij,ij->i", directions, normals) > _GRAZING_COSINE
    ranges, _ = triangles.first_hits(scanners[seen], directions[seen])
    seen[seen] = ranges > distance[seen] - _TOLERANCE_M
    return seen
