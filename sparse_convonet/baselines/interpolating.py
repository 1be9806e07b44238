"""Stage baselines: surfaces whose vertices are the points themselves: ball pivoting and alpha shapes."""

from __future__ import annotations

import open3d

from sparse_convonet.baselines.local_frame import LocalPoints, quiet_open3d
from sparse_convonet.baselines.settings import AlphaShapeSettings, BallPivotingSettings
from sparse_convonet.structures import Mesh


def ball_pivoting_surface(local: LocalPoints, settings: BallPivotingSettings) -> Mesh:
    """Points with normals -> mesh in the frame of the cloud, open where no ball fits; empty where none does anywhere."""
    spacing = local.spacing()
    radii = open3d.utility.DoubleVector(sorted(radius * spacing for radius in settings.radius_spacings))
    with quiet_open3d():
        legacy = open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting(local.as_open3d(), radii)
    return local.mesh_in_cloud_frame(legacy)


def alpha_shape_surface(local: LocalPoints, settings: AlphaShapeSettings) -> Mesh:
    """Points -> mesh in the frame of the cloud, empty where no tetrahedron is small enough.

    Raises ValueError for points on one plane.
    """
    local.require_volume("alpha shape")
    alpha = settings.alpha_spacings * local.spacing()
    try:
        with quiet_open3d():
            legacy = open3d.geometry.TriangleMesh.create_from_point_cloud_alpha_shape(local.as_open3d(), alpha)
    except RuntimeError as error:
        raise ValueError(
            f"alpha shape: expected points in general position, found {len(local.points)} whose triangulation fails "
            f"({' '.join(str(error).split())[:80]}); give more points"
        ) from error
    return local.mesh_in_cloud_frame(legacy)
