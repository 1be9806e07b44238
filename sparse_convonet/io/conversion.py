"""Take clouds as other packages hold them: arrays, Open3D, trimesh."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import trimesh

from sparse_convonet.io.columns import to_colours, to_normals
from sparse_convonet.mesh.surface_sampling import sample_mesh
from sparse_convonet.structures import Mesh, PointCloud


def as_point_cloud(source: Any, *, seed: int = 0, sample_spacing_m: float | None = None) -> PointCloud:
    """A PointCloud from what users hold; the source is left as it is.

    source: a PointCloud, an array or tensor (N, 3), an open3d PointCloud (legacy or tensor), a trimesh.PointCloud;
    or a Mesh or trimesh.Trimesh, which is sampled uniformly by area, one point per `sample_spacing_m` squared
    (None: 2 cm), by a generator seeded with `seed`.
    Raises ValueError for anything else, for another shape, and for no points.
    """
    cloud = _convert(source, seed, sample_spacing_m)
    if len(cloud) == 0:
        raise ValueError("point cloud: expected at least one point, found none; check what was passed")
    return cloud


def point_cloud_with_scanners(points: Any, scanners: np.ndarray | None) -> PointCloud:
    """The cloud of what users hold, with the positions of scanners (N, 3), or (3,) for all points, where they are given.

    Raises ValueError as as_point_cloud does, for points that are not finite, and for another number of scanners.
    """
    cloud = as_point_cloud(points)
    if scanners is not None:
        cloud = replace(cloud, scanners=_one_per_point(np.asarray(scanners, dtype=np.float64), len(cloud)))
    if not np.isfinite(cloud.points).all():
        raise ValueError("points: expected finite coordinates, found NaN or infinite ones; remove them first")
    return cloud


def _convert(source: Any, seed: int, sample_spacing_m: float | None) -> PointCloud:
    if isinstance(source, PointCloud):
        return source
    if isinstance(source, trimesh.Trimesh):
        visual: Any = source.visual
        colours = visual.vertex_colors[:, :3] if visual.kind == "vertex" else None
        vertices = np.array(source.vertices, dtype=np.float64)
        source = Mesh(vertices, np.array(source.faces, dtype=np.int64), colours=colours)
    if isinstance(source, Mesh):
        return sample_mesh(source, sample_spacing_m, np.random.default_rng(seed))
    if isinstance(source, trimesh.PointCloud):
        colours = np.asarray(source.colors)
        has_colours = colours.shape[:1] == (len(source.vertices),) and colours.ndim == 2
        return _cloud(source.vertices, colours[:, :3] if has_colours else None, None)
    if type(source).__module__.startswith("open3d."):
        return _from_open3d(source)
    return _cloud(source, None, None)


def _from_open3d(source: Any) -> PointCloud:
    """Recognised by its module, so that Open3D need not be imported."""
    if hasattr(source, "has_colors") and hasattr(source, "points"):
        colours = source.colors if source.has_colors() else None
        return _cloud(source.points, colours, source.normals if source.has_normals() else None)
    if hasattr(source, "point") and "positions" in source.point:
        arrays = {
            name: source.point[name].cpu().numpy()
            for name in ("positions", "colors", "normals")
            if name in source.point
        }
        return _cloud(arrays["positions"], arrays.get("colors"), arrays.get("normals"))
    raise ValueError(f"point cloud: expected an open3d PointCloud with points, found {type(source).__name__}")


def _cloud(points: Any, colours: Any, normals: Any) -> PointCloud:
    if hasattr(points, "detach"):  # a torch tensor, perhaps on a GPU
        points = points.detach().cpu().numpy()
    found = type(points).__name__
    try:
        if np.iscomplexobj(points):  # numpy would drop a part of them
            found = "complex numbers"
            raise TypeError(found)
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "point cloud: expected an array (N, 3), an open3d or trimesh cloud or mesh, or a PointCloud, "
            f"found {found}; convert it to an array first"
        ) from error
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(
            f"point cloud: expected an array of shape (N, 3), found {array.shape}; pass the columns x, y and z only"
        )
    return PointCloud(
        array,
        None if colours is None else to_colours(np.asarray(colours)),
        None if normals is None else to_normals(np.asarray(normals)),
    )


def _one_per_point(scanners: np.ndarray, points: int) -> np.ndarray:
    """(N, 3) of the positions that a user gave."""
    if scanners.shape not in ((3,), (points, 3)):
        raise ValueError(
            f"scanners: expected an array of shape ({points}, 3), one position per point, or (3,) for all, "
            f"found {scanners.shape}"
        )
    return np.broadcast_to(scanners, (points, 3))
