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
    points, colours = (cloud.points, cloud.colours) if known.all() else (cloud.points[known], cloud.colours[known])
    return replace(mesh, colours=PointColours(points, colours).at(mesh.vertices, neighbours))


class PointColours:
    """The colours around points (N, 3) whose colours (N, 3) uint8 are known; black where there are no points."""

    def __init__(self, points: np.ndarray, colours: np.ndarray) -> None:
        self._tree, self._colours = cKDTree(points) if len(points) else None, colours

    def at(self, places: np.ndarray, neighbours: int = NEIGHBOURS) -> np.ndarray:
        """(Q, 3) -> (Q, 3) uint8, see with_colours."""
        found = np.zeros((len(places), 3), dtype=np.uint8)
        if self._tree is None:
            return found
        count = min(neighbours, len(self._colours))
        for chunk in query_chunks(len(places)):
            distance, nearest = self._tree.query(places[chunk], k=range(1, count + 1), workers=-1)  # both (Q, count)
            found[chunk] = blend(distance, self._colours[nearest])
        return found


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
