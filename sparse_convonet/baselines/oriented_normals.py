"""Stage baselines: normals of points from planes through their neighbours, turned to one side of the surface."""

from __future__ import annotations

import numpy as np
import open3d
from scipy.spatial import cKDTree

from sparse_convonet.baselines.local_frame import LocalPoints, local_points, quiet_open3d
from sparse_convonet.config.baselines import Side
from sparse_convonet.structures import PointCloud

NOT_USED = "not used"
GIVEN = "given"
BY_TANGENT_PLANES = "estimated, oriented by tangent planes"
BY_VIEWPOINTS = "estimated, oriented to viewpoints"
BY_SCANNERS = "estimated, oriented to the scanners"

_PLANES_PER_POINT = 15  # neighbours along which orientation spreads; more jump across thin walls


def with_given_normals(cloud: PointCloud) -> tuple[LocalPoints, str]:
    """The points with their own normals.  Raises as local_points does."""
    return local_points(cloud, use_normals=True), GIVEN


def with_estimated_normals(
    cloud: PointCloud, neighbours: int, seen_from: Side = "outside", viewpoints: np.ndarray | None = None
) -> tuple[LocalPoints, str]:
    """The points with normals along the least variance of their nearest neighbours, and how these were oriented.

    viewpoints: (S, 3) in the frame of the cloud: every normal is turned to the nearest of them.  Without, orientation
    spreads from point to point (Hoppe et al. 1992, as in open3d); which side that is cannot be known from points
    alone.  The topmost in any direction is the outside of what is seen from outside, so the normals at the six
    extreme points of the box point out of the box, by majority; or into it where seen_from is "inside", as for rooms
    that were scanned without their facades.  Given normals are ignored.
    Raises ValueError as local_points does, and without viewpoints for points on one plane.
    """
    local = local_points(cloud, use_normals=False)
    if viewpoints is None:
        local.require_volume("normals by tangent planes")
    else:
        _require_viewpoints(viewpoints)
    normals = _planes(local, neighbours)
    if viewpoints is None:
        normals = _spread(local.with_normals(normals))
        return local.with_normals(normals * _sign(local.points, normals, seen_from)), BY_TANGENT_PLANES
    stations = np.asarray(viewpoints, dtype=np.float64) - local.origin
    towards = stations[cKDTree(stations).query(local.points, workers=-1)[1]] - local.points
    return local.with_normals(_turned(normals, towards)), BY_VIEWPOINTS


def with_normals_to_scanners(cloud: PointCloud, neighbours: int) -> tuple[LocalPoints, str]:
    """As with_estimated_normals, each turned to where the scanner stood that measured its point (cloud.scanners).

    Raises ValueError as local_points does, and where it is not known of all points where the scanner stood.
    """
    if cloud.scanners is None or not np.isfinite(cloud.scanners).all():
        raise ValueError(
            "normals: expected clouds that say where the scanner of each point stood, found some that do not; "
            "set normals: estimated"
        )
    local = local_points(cloud, use_normals=False)
    normals = _planes(local, neighbours)
    towards = cloud.scanners[local.rows] - local.origin - local.points
    return local.with_normals(_turned(normals, towards)), BY_SCANNERS


def _planes(local: LocalPoints, neighbours: int) -> np.ndarray:
    """(N, 3) unit normals of planes through the nearest neighbours, to either side."""
    open_cloud = local.as_open3d()
    with quiet_open3d():
        search = open3d.geometry.KDTreeSearchParamKNN(min(neighbours, len(local.points)))
        open_cloud.estimate_normals(search, fast_normal_computation=False)
    return np.array(open_cloud.normals)


def _spread(local: LocalPoints) -> np.ndarray:
    """(N, 3) normals of points with some to either side, so that neighbours agree."""
    open_cloud = local.as_open3d()
    with quiet_open3d():
        try:
            open_cloud.orient_normals_consistent_tangent_plane(min(_PLANES_PER_POINT, len(local.points) - 1))
        except RuntimeError as error:
            raise ValueError(
                f"normals by tangent planes: expected points in general position, found {len(local.points)} whose "
                f"triangulation fails ({' '.join(str(error).split())[:80]}); give more points or viewpoints"
            ) from error
    return np.array(open_cloud.normals)


def _turned(normals: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """(N, 3) normals, those that look away from (N, 3) directions turned round."""
    away = np.einsum("ij,ij->i", normals, towards) < 0
    return np.where(away[:, None], -normals, normals)


def _sign(points: np.ndarray, normals: np.ndarray, seen_from: Side) -> float:
    """1, or -1 where the normals at the ends of the box look to the other side than `seen_from`."""
    axes = np.arange(3)
    outward = normals[points.argmax(axis=0), axes].sum() - normals[points.argmin(axis=0), axes].sum()
    return 1.0 if (outward >= 0) == (seen_from == "outside") else -1.0


def _require_viewpoints(viewpoints: np.ndarray) -> None:
    if viewpoints.ndim != 2 or viewpoints.shape[1] != 3 or len(viewpoints) == 0 or not np.isfinite(viewpoints).all():
        raise ValueError(
            f"viewpoints: expected finite numbers of shape (S, 3), found shape {viewpoints.shape}; "
            "give the places of the scanner in the frame of the points"
        )
