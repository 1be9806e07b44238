"""Distances between surfaces: the published protocol on samples, and exact distances from points to a mesh."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.structures import Mesh, PointCloud

PUBLISHED_SAMPLES = 100_000
PUBLISHED_THRESHOLD = 0.01  # of the unit cube
_EMPTY_DISTANCE = float(np.sqrt(3.0))  # what the published protocol gives an empty mesh: the unit cube's diagonal
_WALL_MARGIN = 0.007  # of the unit cube, see without_outside


@dataclass(frozen=True)
class SurfaceSamples:
    """Points (N, 3) float64 on a surface with the unit normals (N, 3) float64 there, NaN where they are not known."""

    points: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True)
class SurfaceScores:
    """How two surfaces differ, in the units of their coordinates.

    accuracy: mean distance predicted -> truth.  completeness: truth -> predicted.  precision and recall:
    shares of these distances below `threshold`.  normal_consistency: mean of both directions of |n . n'|
    of nearest neighbours; normals_accuracy, normals_completeness: of one direction each; NaN where either has no normals.
    accuracy_squared, completeness_squared: means of the squared distances.
    """

    accuracy: float
    completeness: float
    precision: float
    recall: float
    normal_consistency: float
    threshold: float
    accuracy_squared: float
    completeness_squared: float
    normals_accuracy: float
    normals_completeness: float

    @property
    def chamfer_l1(self) -> float:
        return (self.accuracy + self.completeness) / 2

    @property
    def chamfer_l2(self) -> float:
        """The mean of both squared distances (Mescheder et al. 2019, published code)."""
        return (self.accuracy_squared + self.completeness_squared) / 2

    @property
    def f_score(self) -> float:
        return f_score(self.precision, self.recall)

    def in_tenths_of(self, box_edge: float) -> SurfaceScores:
        """Distances in units of 1/10 of the largest edge of the box, as published."""
        scale = 10.0 / box_edge
        return dataclasses.replace(
            self,
            accuracy=self.accuracy * scale,
            completeness=self.completeness * scale,
            threshold=self.threshold * scale,
            accuracy_squared=self.accuracy_squared * scale**2,
            completeness_squared=self.completeness_squared * scale**2,
        )


def f_score(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are 0."""
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def samples_of_cloud(cloud: PointCloud) -> SurfaceSamples:
    """The points of a cloud as samples of a surface.  Raises ValueError for points that are not finite, and none at all."""
    if len(cloud) == 0 or not np.isfinite(cloud.points).all():
        raise ValueError(f"surface samples: expected finite points, found {len(cloud)}, some of which may not be")
    if cloud.normals is None:
        return SurfaceSamples(cloud.points, np.full(cloud.points.shape, np.nan))
    normals = cloud.normals.astype(np.float64)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return SurfaceSamples(cloud.points, normals / np.where(length > 0, length, np.nan))


def sample_mesh(mesh: Mesh, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """`count` points, uniform by area.  Raises ValueError on a mesh without area."""
    surface = mesh.to_trimesh()
    if len(mesh.faces) == 0 or not surface.area > 0:
        raise ValueError(f"surface samples: expected a mesh with some area, found {len(mesh.faces)} faces without")
    points, faces = trimesh.sample.sample_surface(surface, count, seed=rng)
    return SurfaceSamples(np.asarray(points), np.asarray(surface.face_normals[faces]))


def compare_samples(predicted: SurfaceSamples, truth: SurfaceSamples, threshold: float) -> SurfaceScores:
    """The published scores: nearest neighbours between two sets of samples.

    An empty prediction scores distances of sqrt(3), normals -1, F 0, as in the unit cube.
    Raises ValueError where the truth is empty.
    """
    return compare_samples_at(predicted, truth, (threshold,))[0]


def compare_samples_at(
    predicted: SurfaceSamples, truth: SurfaceSamples, thresholds: Sequence[float]
) -> tuple[SurfaceScores, ...]:
    """compare_samples with several thresholds; the distances are measured once."""
    if len(truth.points) == 0:
        raise ValueError("surface scores: expected samples of the truth, found none")
    if len(predicted.points) == 0:
        far, squared = _EMPTY_DISTANCE, _EMPTY_DISTANCE**2
        return tuple(SurfaceScores(far, far, 0.0, 0.0, -1.0, each, squared, squared, -1.0, -1.0) for each in thresholds)
    to_truth, aligned_with_truth = _nearest_samples(predicted, truth)
    to_predicted, aligned_with_predicted = _nearest_samples(truth, predicted)
    return tuple(
        SurfaceScores(
            accuracy=float(to_truth.mean()),
            completeness=float(to_predicted.mean()),
            precision=float((to_truth <= threshold).mean()),
            recall=float((to_predicted <= threshold).mean()),
            normal_consistency=float((aligned_with_truth.mean() + aligned_with_predicted.mean()) / 2),
            threshold=threshold,
            accuracy_squared=float(np.square(to_truth).mean()),
            completeness_squared=float(np.square(to_predicted).mean()),
            normals_accuracy=float(aligned_with_truth.mean()),
            normals_completeness=float(aligned_with_predicted.mean()),
        )
        for threshold in thresholds
    )


def without_outside(predicted: SurfaceSamples, truth: SurfaceSamples, up_axis: int = 1) -> SurfaceSamples:
    """The samples of the published protocol for rooms: those in the box of the truth, widened by 0.007.

    Open at the top: the prediction is cut at the walls and at the floor only.  up_axis: 1 in unit-cube files.
    """
    low = truth.points.min(axis=0) - _WALL_MARGIN
    high = truth.points.max(axis=0) + _WALL_MARGIN
    high[up_axis] = np.inf
    inside = ((predicted.points >= low) & (predicted.points <= high)).all(axis=1)
    return SurfaceSamples(predicted.points[inside], predicted.normals[inside])


def nearest_distance(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N,) float64 exact distances from (N, 3) points to the triangles of a mesh (V, 3), (F, 3)."""
    return TriangleScene(vertices, faces).nearest(points)[0]


def coverage(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, distance: float) -> float:
    """Share of (N, 3) points whose nearest surface of the mesh lies within `distance`."""
    return shares_within(points, vertices, faces, (distance,))[0]


def _nearest_samples(queries: SurfaceSamples, samples: SurfaceSamples) -> tuple[np.ndarray, np.ndarray]:
    """(N,) distances from each query to the nearest sample, and (N,) |cosine| between their normals."""
    distances, nearest = cKDTree(samples.points).query(queries.points, workers=-1)
    return distances, np.abs(np.einsum("ij,ij->i", queries.normals, samples.normals[nearest]))
