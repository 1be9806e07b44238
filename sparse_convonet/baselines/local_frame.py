"""Stage baselines: points near zero for open3d, whose Poisson counts in float32, and meshes back from there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import open3d
from scipy.spatial import cKDTree

from sparse_convonet.mesh.topology import keep_faces
from sparse_convonet.structures import Mesh, PointCloud

logger = logging.getLogger(__name__)

MIN_POINTS = 4
_FLAT = 1e-6  # thickness over length below which float32 can no longer tell points from a plane


@dataclass(frozen=True)
class LocalPoints:
    """Different points around zero, in their own units.

    points: (N, 3) float64, around the middle of their box.  normals: (N, 3) float64 unit vectors or None.
    origin: (3,) float64, that middle in the frame of the cloud.  rows: (N,) int64, which points of the cloud these are.
    """

    points: np.ndarray
    normals: np.ndarray | None
    origin: np.ndarray
    rows: np.ndarray

    @property
    def longest_side(self) -> float:
        return float(np.ptp(self.points, axis=0).max())

    def spacing(self) -> float:
        """The median distance from a point to the nearest other one."""
        return float(np.median(cKDTree(self.points).query(self.points, k=2, workers=-1)[0][:, 1]))

    def with_normals(self, normals: np.ndarray) -> LocalPoints:
        return replace(self, normals=normals)

    def require_volume(self, purpose: str) -> None:
        """Raise ValueError where the points lie on one plane (or line), within rounding."""
        extents = np.linalg.svd(np.cov(self.points, rowvar=False), compute_uv=False)  # squared lengths
        if extents[2] <= (_FLAT**2) * extents[0]:
            raise ValueError(
                f"{purpose}: expected points in space, found {len(self.points)} points on one plane; scan more of it"
            )

    def as_open3d(self) -> open3d.geometry.PointCloud:
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(self.points))
        if self.normals is not None:
            cloud.normals = open3d.utility.Vector3dVector(self.normals)
        return cloud

    def mesh_in_cloud_frame(self, legacy: open3d.geometry.TriangleMesh) -> Mesh:
        """open3d's mesh where the cloud stood, without unused vertices; maybe without any."""
        vertices = np.array(legacy.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.array(legacy.triangles, dtype=np.int64).reshape(-1, 3)
        mesh = Mesh(vertices + self.origin, faces)
        return keep_faces(mesh, np.ones(len(faces), dtype=bool)) if len(faces) else empty_mesh()


def local_points(cloud: PointCloud, *, use_normals: bool) -> LocalPoints:
    """The different points of a cloud around zero; points that stand twice count once, which is logged.

    use_normals: keep the cloud's normals, without points whose normal is zero (logged).  Raises ValueError for
    numbers that are not finite, for missing normals, and where fewer than four different points remain.
    """
    broken = int((~np.isfinite(cloud.points)).any(axis=1).sum())
    if broken:
        raise ValueError(
            f"baseline: expected finite coordinates, found {broken} of {len(cloud)} points without; remove them"
        )
    normals = _unit_normals(cloud) if use_normals else None
    usable = np.ones(len(cloud), dtype=bool) if normals is None else normals.any(axis=1)
    points = np.asarray(cloud.points, dtype=np.float64)
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.sort(np.unique(points[chosen], axis=0, return_index=True)[1])]
    if len(chosen) < len(points):
        logger.info(
            "%d of %d points are left out: %d have no normal, the others stand twice",
            len(points) - len(chosen),
            len(points),
            int((~usable).sum()),
        )
    if len(chosen) < MIN_POINTS:
        raise ValueError(
            f"baseline: expected at least {MIN_POINTS} different points, found {len(chosen)} among {len(points)}; "
            "give more points"
        )
    points = points[chosen]
    origin = (points.min(axis=0) + points.max(axis=0)) / 2
    return LocalPoints(points - origin, None if normals is None else normals[chosen], origin, chosen)


def empty_mesh() -> Mesh:
    """No vertex and no face."""
    return Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))


@contextmanager
def quiet_open3d() -> Iterator[None]:
    """Without open3d's warnings on the terminal; its errors are exceptions in any case.

    Rare remarks of PoissonRecon and Qhull, which it contains, go straight to stderr and cannot be turned off.
    """
    with open3d.utility.VerbosityContextManager(open3d.utility.VerbosityLevel.Error):
        yield


def _unit_normals(cloud: PointCloud) -> np.ndarray:
    """(N, 3) float64, zero where the given normal is zero."""
    if cloud.normals is None:
        raise ValueError(
            "baseline: expected points with normals, found points alone; give normals or set normals: estimated"
        )
    normals = np.asarray(cloud.normals, dtype=np.float64)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    broken = int((~np.isfinite(lengths)).sum())
    if broken:
        raise ValueError(
            f"baseline: expected finite normals, found {broken} of {len(cloud)} without; "
            "remove them or set normals: estimated"
        )
    return np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
