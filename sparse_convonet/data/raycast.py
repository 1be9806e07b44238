"""Rays and nearest points against a triangle mesh (embree through open3d), with float64 world coordinates."""

from __future__ import annotations

import numpy as np
import open3d as o3d


class TriangleScene:
    """A fixed triangle mesh that answers which triangle a ray meets first and how far a point is from it.

    vertices: (V, 3) metres.  faces: (F, 3) vertex indices.  threads: of embree; 0 takes every core.
    Embree works in float32, so everything is moved to the centre of the mesh first: a building far
    from the origin loses nothing.
    Raises ValueError on a mesh without faces, on non-finite vertices and on indices out of range.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, threads: int = 1) -> None:
        vertices = np.asarray(vertices, dtype=np.float64)
        faces = np.asarray(faces)
        _check_mesh(vertices, faces)
        self.threads = threads
        self.bounds = np.array([vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1))])  # (2, 3)
        self._centre = self.bounds.mean(axis=0)
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=threads)
        self._scene.add_triangles(
            o3d.core.Tensor.from_numpy((vertices - self._centre).astype(np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, dtype=np.uint32)),
        )

    def first_hits(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays from (R, 3) origins along (R, 3) unit directions.

        Returns distances (R,) float64, infinite where nothing is hit, and unit normals (R, 3) float64 of
        the triangles that were hit, turned towards the origin of the ray (zero where nothing is hit).
        """
        if len(origins) == 0:
            return np.zeros(0), np.zeros((0, 3))
        answer = self._scene.cast_rays(self._rays(origins, directions), nthreads=self.threads)
        distances = answer["t_hit"].numpy().astype(np.float64)
        normals = answer["primitive_normals"].numpy().astype(np.float64)
        normals *= -np.sign(np.einsum("ij,ij->i", normals, directions))[:, None]
        normals[~np.isfinite(distances)] = 0.0
        return distances, normals

    def all_hits(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Every intersection: indices (H,) int64 of the rays and distances (H,) float64 along them."""
        if len(origins) == 0:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        answer = self._scene.list_intersections(self._rays(origins, directions), nthreads=self.threads)
        return answer["ray_ids"].numpy().astype(np.int64), answer["t_hit"].numpy().astype(np.float64)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (N,) float64 from (N, 3) points to the mesh and unit normals (N, 3) of the nearest triangles."""
        if len(points) == 0:
            return np.zeros(0), np.zeros((0, 3))
        queries = (np.asarray(points, dtype=np.float64) - self._centre).astype(np.float32)
        answer = self._scene.compute_closest_points(o3d.core.Tensor.from_numpy(queries), nthreads=self.threads)
        offsets = answer["points"].numpy().astype(np.float64) - queries
        return np.linalg.norm(offsets, axis=1), answer["primitive_normals"].numpy().astype(np.float64)

    def _rays(self, origins: np.ndarray, directions: np.ndarray) -> o3d.core.Tensor:
        rays = np.empty((len(origins), 6), dtype=np.float32)
        rays[:, :3] = origins - self._centre
        rays[:, 3:] = directions
        return o3d.core.Tensor.from_numpy(rays)


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
