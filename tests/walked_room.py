"""A room with a thin post, a table and a walker, scanned from two stations; the walker is elsewhere at each scan."""

from __future__ import annotations

import numpy as np
import trimesh

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.structures import PointCloud

NOISE_M = 0.005
STATIONS = np.array([[-3.0, -2.0, 1.6], [3.0, 2.0, 1.6]])
WALKER_M, POST_M = (0.5, 0.3, 1.7), (0.03, 0.03, 2.0)
WALKED = ((0.5, 0.5), (-1.5, -0.8))  # where the walker was at each scan


def _block(size: tuple[float, float, float], at: tuple[float, float]) -> trimesh.Trimesh:
    """One that stands on the floor."""
    return trimesh.creation.box(size).apply_translation((*at, size[2] / 2))


def _scanned(station: np.ndarray, walker: tuple[float, float], rng: np.random.Generator, count: int) -> np.ndarray:
    """(N, 3): a room of 8 x 6 x 3 m from one station."""
    room = trimesh.creation.box((8, 6, 3)).apply_translation((0, 0, 1.5))
    room.invert()
    table = trimesh.creation.box((1.2, 0.8, 0.04)).apply_translation((-2, 1.5, 0.75))
    scene = trimesh.util.concatenate([room, _block(WALKER_M, walker), _block(POST_M, (1.0, -1.0)), table])
    ways = rng.normal(size=(count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    origins = np.tile(station, (count, 1))
    ranges, _ = TriangleScene(scene.vertices, scene.faces).first_hits(origins, ways)
    return origins + ways * ranges[:, None] + rng.normal(size=(count, 3)) * NOISE_M


def walked_room(count: int) -> tuple[PointCloud, np.ndarray]:
    """The points of both stations, `count` each, one after the other, and (N,) bool which are of the walker."""
    rng = np.random.default_rng(0)
    scans = [_scanned(station, walker, rng, count) for station, walker in zip(STATIONS, WALKED, strict=True)]
    of_walker = []
    for points, walker in zip(scans, WALKED, strict=True):
        away = np.abs(points - (*walker, WALKER_M[2] / 2))
        of_walker.append((away < np.array(WALKER_M) / 2 + 4 * NOISE_M).all(axis=1) & (points[:, 2] > 4 * NOISE_M))
    return PointCloud(np.concatenate(scans), scanners=np.repeat(STATIONS, count, axis=0)), np.concatenate(of_walker)
