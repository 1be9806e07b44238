"""Stage baselines: from points to a mesh by the baseline that the settings name."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sparse_convonet.baselines.interpolating import alpha_shape_surface, ball_pivoting_surface
from sparse_convonet.baselines.local_frame import LocalPoints, local_points
from sparse_convonet.baselines.oriented_normals import (
    NOT_USED,
    with_estimated_normals,
    with_given_normals,
    with_normals_to_scanners,
)
from sparse_convonet.baselines.poisson import poisson_surface
from sparse_convonet.config.baselines import (
    AlphaShapeSettings,
    BallPivotingSettings,
    BaselineSettings,
    PoissonSettings,
)
from sparse_convonet.structures import Mesh, PointCloud

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BaselineResult:
    """mesh: in the frame and units of the points, without normals or colours; it may be empty.

    normals_from: "given", "estimated, oriented by tangent planes", "estimated, oriented to viewpoints",
    "estimated, oriented to the scanners", "not used".
    seconds: by stage, "normals" and "surface".
    """

    mesh: Mesh
    normals_from: str
    seconds: Mapping[str, float]


def reconstruct_baseline(
    cloud: PointCloud, settings: BaselineSettings = PoissonSettings(), viewpoints: np.ndarray | None = None
) -> BaselineResult:
    """Points (any frame and units) -> mesh; faces are counter-clockwise seen from where the normals point.

    viewpoints: (S, 3) in the frame of the cloud, where the scanner stood; only estimated normals need them.
    Raises ValueError for fewer than four different points, coordinates or normals that are not finite, missing
    normals, and points on one plane where the method needs more.
    """
    started = time.perf_counter()
    local, normals_from = _prepared(cloud, settings, viewpoints)
    prepared = time.perf_counter()
    mesh = _surface(local, settings)
    finished = time.perf_counter()
    logger.info("%s: %d points, %d faces, normals %s", settings.method, len(cloud), len(mesh.faces), normals_from)
    return BaselineResult(mesh, normals_from, {"normals": prepared - started, "surface": finished - prepared})


def _prepared(cloud: PointCloud, settings: BaselineSettings, viewpoints: np.ndarray | None) -> tuple[LocalPoints, str]:
    if isinstance(settings, AlphaShapeSettings):
        return local_points(cloud, use_normals=False), NOT_USED
    if settings.normals == "given":
        return with_given_normals(cloud)
    if settings.normals == "scanners":
        return with_normals_to_scanners(cloud, settings.neighbours)
    return with_estimated_normals(cloud, settings.neighbours, settings.seen_from, viewpoints)


def _surface(local: LocalPoints, settings: BaselineSettings) -> Mesh:
    if isinstance(settings, PoissonSettings):
        return poisson_surface(local, settings)
    if isinstance(settings, BallPivotingSettings):
        return ball_pivoting_surface(local, settings)
    return alpha_shape_surface(local, settings)
