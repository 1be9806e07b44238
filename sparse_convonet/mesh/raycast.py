"""Rays and nearest points against a triangle mesh, with float64 world coordinates.

The work is done by embree through open3d; where open3d is not installed, by the project's own search tree
(raycast_tree.py), which gives the same answers in several times as long (docs/GPU.md).
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Callable
from typing import Protocol

import numpy as np

from sparse_convonet.runtime.temporaries import signals_later

logger = logging.getLogger(__name__)


class RayEngine(Protocol):
    """What answers the questions of a TriangleScene, in the frame of the triangles that it was made with."""

    def first_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays (R, 6): distances (R,), infinite where nothing is hit, and unit normals (R, 3) of the triangles hit."""

    def all_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays (R, 6): indices (H,) of the rays, ascending, and distances (H,) along them."""

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 3): distances (N,) to the nearest triangles, and their unit normals (N, 3)."""


class TriangleScene:
    """A fixed triangle mesh that answers which triangle a ray meets first and how far a point is from it.

    vertices: (V, 3) metres.  faces: (F, 3) vertex indices.  threads: 0 takes every core.  engine: made of vertices around
    the origin, faces and threads; default: open3d's where that is installed.
    Embree works in float32, so everything is moved to the centre of the mesh first: a building far
    from the origin loses nothing.
    Raises ValueError on a mesh without faces, on non-finite vertices and on indices out of range.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        threads: int = 1,
        engine: Callable[[np.ndarray, np.ndarray, int], RayEngine] | None = None,
    ) -> None:
        vertices = np.asarray(vertices, dtype=np.float64)
        faces = np.asarray(faces)
        _check_mesh(vertices, faces)
        self.threads = threads
        self.bounds = np.array([vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))])  # (2, 3)
        self._centre = self.bounds.mean(axis=0)
        self._engine = (engine or ray_engine)(vertices - self._centre, faces, threads)

    def first_hits(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays from (R, 3) origins along (R, 3) unit directions.

        Returns distances (R,) float64, infinite where nothing is hit, and unit normals (R, 3) float64 of
        the triangles that were hit, turned towards the origin of the ray (zero where nothing is hit).
        """
        if len(origins) == 0:
            return np.zeros(0), np.zeros((0, 3))
        distances, normals = self._engine.first_hits(self._rays(origins, directions))
        normals *= -np.sign(np.einsum("ij,ij->i", normals, directions))[:, None]
        normals[~np.isfinite(distances)] = 0.0
        return distances, normals

    def all_hits(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every intersection: indices (H,) int64 of the rays and distances (H,) float64 along them."""
        if len(origins) == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        return self._engine.all_hits(self._rays(origins, directions))

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (N,) float64 from (N, 3) points to the mesh and unit normals (N, 3) of the nearest triangles."""
        if len(points) == 0:
            return np.zeros(0), np.zeros((0, 3))
        return self._engine.nearest((np.asarray(points, dtype=np.float64) - self._centre).astype(np.float32))

    def _rays(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        rays = np.empty((len(origins), 6), dtype=np.float32)
        rays[:, :3] = origins - self._centre
        rays[:, 3:] = directions
        return rays


def ray_engine(vertices: np.ndarray, faces: np.ndarray, threads: int) -> RayEngine:
    """The engine for vertices (V, 3) around the origin and faces (F, 3): open3d's where that is installed."""
    if _has_open3d():
        with signals_later():  # it imports slowly, and open3d that is stopped half way says other things
            from sparse_convonet.mesh.raycast_open3d import Open3dEngine

        return Open3dEngine(vertices, faces, threads)
    from sparse_convonet.mesh.raycast_tree import TreeEngine

    return TreeEngine(vertices, faces, threads)


@functools.cache
def _has_open3d() -> bool:
    found = importlib.util.find_spec("open3d") is not None
    if not found:
        logger.info("open3d is not installed: rays are cast by the library's own search tree, which takes longer")
    return found


def _check_mesh(vertices: np.ndarray, faces: np.ndarray) -> None:
    for name, array in (("vertices", vertices), ("faces", faces)):
        if array.ndim != 2 or array.shape[1] != 3:
            raise ValueError(f"{name}: expected an array of shape (N, 3), found {array.shape}")
    if len(faces) == 0:
        raise ValueError("mesh: expected at least one face, found none; an empty mesh cannot be scanned or measured")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"faces: expected indices from 0 to {len(vertices) - 1}, found {faces.min()} to {faces.max()}")
    if not np.isfinite(vertices).all():
        raise ValueError("vertices: expected finite numbers, found NaN or infinity; clean the mesh first")
