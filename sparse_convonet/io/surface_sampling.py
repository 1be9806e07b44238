"""Turn a mesh into a point cloud: points uniform by area."""

from __future__ import annotations

import logging

import numpy as np

from sparse_convonet.structures import Mesh, PointCloud

DEFAULT_SPACING_M = 0.02
MIN_SAMPLES = 10_000  # a small object still gets its shape
MAX_SAMPLES = 5_000_000

logger = logging.getLogger(__name__)


def sample_mesh(mesh: Mesh, spacing_m: float | None, rng: np.random.Generator) -> PointCloud:
    """One point per `spacing_m` squared on average (None: 2 cm), between 10 thousand and 5 million in all.

    Points carry the normal of their face and, where the mesh has colours, the mean of its corners' weighted by
    nearness.  Raises ValueError where the mesh has no area.
    """
    spacing_m = DEFAULT_SPACING_M if spacing_m is None else spacing_m
    if not (np.isfinite(spacing_m) and spacing_m > 0):
        raise ValueError(f"sample spacing: expected a positive number of metres, found {spacing_m}")
    corners = mesh.vertices[mesh.faces]  # (F, 3 corners, 3)
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # (F, 3)
    doubled = np.linalg.norm(crossed, axis=1)  # (F,) twice the area
    doubled = np.where(np.isfinite(doubled), doubled, 0.0)  # faces with NaN corners hold no points
    area = float(doubled.sum()) / 2
    if area <= 0:
        raise ValueError(f"mesh: expected faces with an area, found {len(mesh.faces)} without; repair the mesh")
    wanted = area / spacing_m**2
    count = int(np.clip(wanted, MIN_SAMPLES, MAX_SAMPLES))
    logger.info("sampled %d points on %.1f square metres of mesh (spacing asked for gives %.0f)", count, area, wanted)
    # Systematic sampling: each face gets its share to within one point, and the result is uniform by area.
    cumulative = np.cumsum(doubled)
    ticks = (np.arange(count) + rng.random()) * (cumulative[-1] / count)
    face = np.minimum(np.searchsorted(cumulative, ticks, side="right"), len(doubled) - 1)
    u, v = rng.random((2, count))
    folded = u + v > 1  # the second half of the parallelogram folds back onto the triangle
    u, v = np.where(folded, 1 - u, u), np.where(folded, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)  # (count, 3) barycentric
    points = np.einsum("nc,ncd->nd", weights, corners[face])
    colours = None
    if mesh.colours is not None:
        mixed = np.einsum("nc,ncd->nd", weights, mesh.colours[mesh.faces[face]].astype(np.float64))
        colours = np.rint(mixed).astype(np.uint8)
    normals = (crossed[face] / doubled[face, None]).astype(np.float32)
    return PointCloud(points, colours, normals)
