"""Stage out_of_core: what the points say of vertices, and the errors expected of them, wherever the points are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.mesh.expected_error import ScanScale, error_attributes
from sparse_convonet.mesh.point_support import OBSERVED_VOXELS, SupportingPoints
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.structures import Mesh

_MARGIN_VOXELS = 4 * OBSERVED_VOXELS  # more than SupportingPoints asks for
_BLOCK_VOXELS = 128.0  # edge of the blocks whose vertices are asked for together


def errors_near(
    points: PointSource,
    vertices_world: np.ndarray,
    normals: np.ndarray,
    voxels: VoxelFrame,
    points_per_voxel: float,
) -> dict[str, np.ndarray]:
    """mesh.expected_error.error_attributes of vertices (V, 3) with normals (V, 3), from the points around their box.

    points_per_voxel: of the whole scan, see ScanScale.
    """
    vertices = voxels.to_voxels(vertices_world)
    if len(vertices) == 0:
        found = np.zeros((0, 3))
    else:
        low, high = vertices.min(axis=0) - _MARGIN_VOXELS, vertices.max(axis=0) + _MARGIN_VOXELS
        found = points.within(voxels.to_world(low), voxels.to_world(high)).points_world
    support = SupportingPoints(voxels.to_voxels(found)).support(vertices, normals)
    return error_attributes(support, ScanScale(voxels.voxel_size_m, points_per_voxel))


def with_errors(mesh_world: Mesh, points: PointSource, voxels: VoxelFrame, points_per_voxel: float) -> Mesh:
    """A mesh with vertices and normals, with those attributes, block by block: the points of one are held."""
    assert mesh_world.normals is not None
    attributes: dict[str, np.ndarray] = {}
    for rows in _blocks(voxels.to_voxels(mesh_world.vertices)):
        found = errors_near(points, mesh_world.vertices[rows], mesh_world.normals[rows], voxels, points_per_voxel)
        for name, values in found.items():
            if name not in attributes:
                attributes[name] = np.zeros(len(mesh_world.vertices), dtype=values.dtype)
            attributes[name][rows] = values
    return replace(mesh_world, attributes={**mesh_world.attributes, **attributes})


def _blocks(vertices_voxel: np.ndarray) -> Iterator[np.ndarray]:
    """The rows (n,) of vertices (V, 3), those of one block together."""
    blocks = np.floor(vertices_voxel / _BLOCK_VOXELS).astype(np.int64)
    _, of_vertex = np.unique(blocks, axis=0, return_inverse=True)
    order = np.argsort(of_vertex.ravel(), kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(of_vertex.ravel()[order])) + 1)
