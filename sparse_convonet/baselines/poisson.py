"""Stage baselines: screened Poisson surface reconstruction, whole or trimmed where few points support it."""

from __future__ import annotations

import logging
import math

import numpy as np
import open3d

from sparse_convonet.baselines.local_frame import LocalPoints, empty_mesh, quiet_open3d
from sparse_convonet.config.baselines import MAX_DEPTH, MIN_DEPTH, PoissonSettings
from sparse_convonet.mesh.topology import keep_faces
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

_BOX_SCALE = 1.1  # side of the octree over the longest side of the points, at least; open3d's own default


def poisson_surface(local: LocalPoints, settings: PoissonSettings) -> Mesh:
    """Points with normals -> mesh in the frame of the cloud; empty where Poisson finds no surface.

    Watertight where the points close around something and nothing is trimmed.
    """
    depth, scale = octree(local.longest_side, settings)
    with quiet_open3d():
        legacy, densities = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
            local.as_open3d(), depth=depth, scale=scale, n_threads=settings.threads
        )
    if len(legacy.triangles) == 0:
        return empty_mesh()
    if settings.trim_quantile == 0:
        return local.mesh_in_cloud_frame(legacy)
    density = np.asarray(densities)  # (V,) depth of the octree that the points around a vertex would fill
    supported = density >= np.quantile(density, settings.trim_quantile)
    faces = np.array(legacy.triangles, dtype=np.int64)
    whole = Mesh(np.array(legacy.vertices) + local.origin, faces)
    trimmed = keep_faces(whole, supported[faces].all(axis=1))
    logger.info("trimming removes %d of %d faces", len(faces) - len(trimmed.faces), len(faces))
    return trimmed


def octree(longest_side: float, settings: PoissonSettings) -> tuple[int, float]:
    """Depth of the octree, and its side over the longest side of the points.

    A wanted cell is met exactly, by an octree that is up to twice as large as it must be; where that would be deeper
    or less deep than open3d's Poisson can do well, the nearest depth is taken, which is logged.
    """
    if settings.cell is None:
        assert settings.depth is not None
        return settings.depth, _BOX_SCALE
    cells = _BOX_SCALE * longest_side / settings.cell
    wanted = max(0, math.ceil(math.log2(cells)))
    depth = min(max(wanted, MIN_DEPTH), MAX_DEPTH)
    if depth == wanted:
        return depth, _BOX_SCALE * 2**depth / cells
    logger.warning(
        "Poisson: cells of %g would need depth %d; depth %d has cells of %g",
        settings.cell,
        wanted,
        depth,
        _BOX_SCALE * longest_side / 2**depth,
    )
    return depth, _BOX_SCALE
