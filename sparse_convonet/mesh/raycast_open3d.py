"""Rays and nearest points by embree, through open3d, in float32."""

from __future__ import annotations

import numpy as np
import open3d as o3d


class Open3dEngine:
    """A RayEngine (see raycast.py).  vertices: (V, 3) around the origin.  faces: (F, 3).  threads: 0 takes every core."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, threads: int) -> None:
        self._threads = threads
        self._scene = o3d.t.geometry.RaycastingScene(nthreads=threads)
        self._scene.add_triangles(
            o3d.core.Tensor.from_numpy(vertices.astype(np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(faces, dtype=np.uint32)),
        )

    def first_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = self._scene.cast_rays(o3d.core.Tensor.from_numpy(rays), nthreads=self._threads)
        return answer["t_hit"].numpy().astype(np.float64), answer["primitive_normals"].numpy().astype(np.float64)

    def all_hits(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = self._scene.list_intersections(o3d.core.Tensor.from_numpy(rays), nthreads=self._threads)
        return answer["ray_ids"].numpy().astype(np.int64), answer["t_hit"].numpy().astype(np.float64)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        queries = np.ascontiguousarray(points, dtype=np.float32)
        answer = self._scene.compute_closest_points(o3d.core.Tensor.from_numpy(queries), nthreads=self._threads)
        offsets = answer["points"].numpy().astype(np.float64) - queries
        return np.linalg.norm(offsets, axis=1), answer["primitive_normals"].numpy().astype(np.float64)
