"""Stage mesh: cut away surface that the points do not show; what goes is counted and logged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.mesh.cleanup import Cleaned, measure_components
from sparse_convonet.mesh.point_support import OBSERVED_VOXELS, SupportingPoints
from sparse_convonet.mesh.topology import face_areas, keep_faces, vertex_components
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SurfacePoints:
    """Points (N, 3) in voxel coordinates.

    directions: (N, 3) float32 unit vectors from them to their scanners, zeros where these are not known; None: nowhere.
    """

    points_voxel: np.ndarray
    directions: np.ndarray | None = None


class SurfaceCut(Protocol):
    """Which faces go.

    patch_voxels: patches of such faces that are smaller across stay, so that there are no pinholes.  margin_voxels: as far
    around faces all points must be there.  needs_directions: whether those of the points matter.
    """

    @property
    def patch_voxels(self) -> float: ...

    @property
    def margin_voxels(self) -> float: ...

    @property
    def needs_directions(self) -> bool: ...

    def hidden(self, mesh: Mesh, points: SurfacePoints) -> np.ndarray:
        """(F,) bool, of a mesh in voxel coordinates and at least one point."""


@dataclass(frozen=True)
class FarCut:
    """Faces all of whose vertices are farther than reach_voxels from every point.

    So no face is left hanging by one edge: with two neighbours that go, all its vertices are too far, and it is of their
    patch.
    """

    reach_voxels: float
    needs_directions = False

    @property
    def patch_voxels(self) -> float:
        return self.reach_voxels

    @property
    def margin_voxels(self) -> float:
        return self.reach_voxels

    def hidden(self, mesh: Mesh, points: SurfacePoints) -> np.ndarray:
        distance, _ = cKDTree(points.points_voxel).query(
            mesh.vertices, distance_upper_bound=self.reach_voxels, workers=-1
        )
        return np.asarray((~np.isfinite(distance))[mesh.faces].all(axis=1))


@dataclass(frozen=True)
class UnseenCut:
    """Faces that no point shows: also backs of thin walls, which are near the points of their fronts."""

    needs_directions = True

    @property
    def patch_voxels(self) -> float:
        return OBSERVED_VOXELS

    @property
    def margin_voxels(self) -> float:
        return 4 * OBSERVED_VOXELS  # more than SupportingPoints asks for

    def hidden(self, mesh: Mesh, points: SurfacePoints) -> np.ndarray:
        return ~SupportingPoints(points.points_voxel, points.directions).shown(mesh)


def cut_surface(mesh: Mesh, points: SurfacePoints, cut: SurfaceCut) -> Cleaned:
    """The mesh (voxel coordinates) without the faces that a cut names.  Removed components are the patches cut."""
    if len(mesh.faces) == 0:
        return Cleaned(mesh, 0, 0, 0.0)
    if len(points.points_voxel) == 0:
        raise ValueError("cut_surface: expected at least one input point, found none; do not cut without points")
    gone, patches = _without_small_patches(mesh, cut.hidden(mesh, points), cut.patch_voxels)
    cleaned = Cleaned(keep_faces(mesh, ~gone), patches, int(gone.sum()), float(face_areas(mesh)[gone].sum()))
    logger.info(
        "cut %d unobserved patches: %d of %d faces, area %.3f",
        patches,
        cleaned.removed_faces,
        len(mesh.faces),
        cleaned.removed_area,
    )
    return cleaned


def _without_small_patches(mesh: Mesh, cut: np.ndarray, min_diameter: float) -> tuple[np.ndarray, int]:
    """(F,) bool: the cut without its small patches, and how many patches are left."""
    if not cut.any():
        return cut, 0
    patch_mesh = keep_faces(mesh, cut)
    labels = vertex_components(patch_mesh.faces, len(patch_mesh.vertices))
    _, _, low, high = measure_components(patch_mesh, labels)
    large = np.linalg.norm(high - low, axis=1) >= min_diameter
    without = cut.copy()
    without[cut] = large[labels[patch_mesh.faces[:, 0]]]
    return without, int(large.sum())
