"""Points on the unit sphere, the scan whose surface is known."""

from __future__ import annotations

import numpy as np

from sparse_convonet.structures import Mesh, PointCloud

VOLUME, AREA = 4 / 3 * np.pi, 4 * np.pi


def sphere(count: int = 5000, *, noise: float = 0.0, with_normals: bool = True, seed: int = 0) -> PointCloud:
    """Points uniform by area with outward normals, moved in any direction by noise."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    # On a grid of 2^-20, so that moving them by whole numbers of a million and back changes no bit.
    points = np.round((normals + rng.normal(0, noise, normals.shape)) * 2**20) / 2**20
    return PointCloud(points, normals=normals.astype(np.float32) if with_normals else None)


def moved(cloud: PointCloud, shift: np.ndarray) -> PointCloud:
    return PointCloud(cloud.points + shift, normals=cloud.normals)


def signed_volume(mesh: Mesh) -> float:
    """Positive where faces are counter-clockwise seen from outside; in the mesh's own place, for meshes near zero."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("fd,fd->", a, np.cross(b, c)) / 6)


def radii(mesh: Mesh) -> np.ndarray:
    return np.linalg.norm(mesh.vertices, axis=1)
