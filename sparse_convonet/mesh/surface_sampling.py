"""Turn a mesh into a point cloud: points uniform by area."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from sparse_convonet.structures import Mesh, PointCloud

DEFAULT_SPACING_M = 0.02
MIN_SAMPLES = 10_000  # a small object still gets its shape
MAX_SAMPLES = 5_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceSamples:
    """Points on the faces of a mesh, in the order of the faces.

    points: (N, 3) float64.  normals: (N, 3) float32 of their faces.  faces: (N,) int64, which face each lies on.
    weights: (N, 3) float64 barycentric.
    """

    points: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def sample_mesh(mesh: Mesh, spacing_m: float | None, rng: np.random.Generator) -> PointCloud:
    """One point per `spacing_m` squared on average (None: 2 cm), between 10 thousand and 5 million in all.

    Points carry the normal of their face and, where the mesh has colours, the mean of its corners' weighted by
    nearness.  Raises ValueError where the mesh has no area.
    """
    spacing_m = DEFAULT_SPACING_M if spacing_m is None else spacing_m
    if not (np.isfinite(spacing_m) and spacing_m > 0):
        raise ValueError(f"sample spacing: expected a positive number of metres, found {spacing_m}")
    crossed, doubled = _doubled_areas(mesh)
    area = float(doubled.sum()) / 2
    wanted = area / spacing_m**2
    count = int(np.clip(wanted, MIN_SAMPLES, MAX_SAMPLES))
    logger.info("sampled %d points on %.1f square metres of mesh (spacing asked for gives %.0f)", count, area, wanted)
    samples = _draw(mesh, crossed, doubled, count, rng)
    colours = None
    if mesh.colours is not None:
        mixed = np.einsum("nc,ncd->nd", samples.weights, mesh.colours[mesh.faces[samples.faces]].astype(np.float64))
        colours = np.rint(mixed).astype(np.uint8)
    return PointCloud(samples.points, colours, samples.normals)


def sample_faces(mesh: Mesh, count: int, rng: np.random.Generator) -> FaceSamples:
    """`count` points, uniform by area.  Raises ValueError where the mesh has no area."""
    return _draw(mesh, *_doubled_areas(mesh), count, rng)


def draw_in_triangles(corners: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One point in each of the triangles (N, 3, 3), uniform by area: (N, 3) float64."""
    u, v = rng.random((2, len(corners), 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return corners[:, 0] + u * (corners[:, 1] - corners[:, 0]) + v * (corners[:, 2] - corners[:, 0])


def _doubled_areas(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) float64 products of two edges, and (F,) their lengths: twice the areas, 0 where a corner is NaN."""
    first, second, third = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        crossed = np.cross(second - first, third - first)
        doubled = np.linalg.norm(crossed, axis=1)
    doubled = np.where(np.isfinite(doubled), doubled, 0.0)  # faces with NaN corners hold no points
    with np.errstate(over="ignore"):
        total = float(doubled.sum())
    if not np.isfinite(total):
        raise ValueError(
            f"mesh: expected an area that is a number, found {len(mesh.faces)} larger faces; repair the mesh"
        )
    if not total > 0:
        raise ValueError(f"mesh: expected faces with an area, found {len(mesh.faces)} without; repair the mesh")
    return crossed, doubled


def _draw(mesh: Mesh, crossed: np.ndarray, doubled: np.ndarray, count: int, rng: np.random.Generator) -> FaceSamples:
    # Systematic sampling: each face gets its share to within one point, and the result is uniform by area.
    cumulative = np.cumsum(doubled)
    ticks = (np.arange(count) + rng.random()) * (cumulative[-1] / count)
    last = np.flatnonzero(doubled)[-1]  # where rounding takes the last tick to the very end
    face = np.minimum(np.searchsorted(cumulative, ticks, side="right"), last)
    u, v = rng.random((2, count))
    folded = u + v > 1  # the second half of the parallelogram folds back onto the triangle
    u, v = np.where(folded, 1 - u, u), np.where(folded, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)  # (count, 3) barycentric
    points = np.einsum("nc,ncd->nd", weights, mesh.vertices[mesh.faces[face]])
    normals = (crossed[face] / doubled[face, None]).astype(np.float32)
    return FaceSamples(points, normals, face, weights)
