"""Stage mesh: vertex colours from the nearest input points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.structures import Mesh, PointCloud

NEIGHBOURS = 4


def with_colours(mesh: Mesh, cloud: PointCloud, neighbours: int = NEIGHBOURS) -> Mesh:
    """The mesh with the mean colour of each vertex's nearest points, weighted by inverse distance.

    mesh and cloud must be in the same frame.  A point at a vertex decides alone.  Points of the colour (0, 0, 0), which
    scanners give to what their camera did not see, have none.  Raises ValueError where the cloud has no colours or no
    points.
    """
    if cloud.colours is None or len(cloud) == 0:
        raise ValueError(
            f"colours: expected a point cloud with colours, found {len(cloud)} points "
            f"{'without colours' if cloud.colours is None else ''}; leave the mesh uncoloured instead"
        )
    known = has_colour(cloud.colours)
    points, known_colours = (
        (cloud.points, cloud.colours) if known.all() else (cloud.points[known], cloud.colours[known])
    )
    colours = np.zeros((len(mesh.vertices), 3), dtype=np.uint8)
    if len(points) == 0:
        return replace(mesh, colours=colours)
    tree = cKDTree(points)
    count = min(neighbours, len(points))
    for chunk in query_chunks(len(colours)):
        distance, nearest = tree.query(mesh.vertices[chunk], k=range(1, count + 1), workers=-1)  # both (Q, count)
        colours[chunk] = blend(distance, known_colours[nearest])
    return replace(mesh, colours=colours)


def has_colour(colours: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 -> (N,) bool: whether the colour of a point is known, so not (0, 0, 0)."""
    return np.asarray(colours.any(axis=1))


def blend(distance: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(Q, 3) uint8 means of colours (Q, K, 3) uint8 by inverse distance (Q, K), which ascends along K."""
    # Relative to the nearest one, so that no unit of length enters; a distance of zero leaves the zeros only.
    closest = distance[:, :1]
    weight = np.divide(closest, distance, out=np.ones_like(distance), where=distance > 0)
    weight /= weight.sum(axis=1, keepdims=True)
    mean = np.einsum("qk,qkc->qc", weight, colours.astype(np.float64))
    return np.rint(mean).astype(np.uint8)
