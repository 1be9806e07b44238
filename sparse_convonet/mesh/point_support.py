"""Stage mesh: what the points of a scan say of each vertex: how near they are, how many, and how far beside the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.clouds.coincidence import place_keys
from sparse_convonet.coordinates import one_scene, pack_keys
from sparse_convonet.mesh.point_support_numba import find_shown, measure_support
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

OBSERVED_VOXELS = 2.0  # a vertex without a point so near was guessed
_NEAR_VOXELS = 0.75  # points farther off along the normal are of another surface: the other face of a thin wall
_NEAR_BEHIND_VOXELS = 0.15  # ... for points seen from behind the surface: they lie on it, so its side is wrong
_LEAST_COSINE = -0.2  # of a normal with the way to the scanner: normals of rough surface are wrong by ten degrees
_MOST_OF_A_CELL = 32  # points of a cell that are looked at; they stand for all of it
_PARTS = 64  # of the vertices, for threads


@dataclass(frozen=True)
class PointSupport:
    """Of vertices (V,), by the points within OBSERVED_VOXELS of each and within 0.75 voxels along its normal; in voxels.

    nearest: the distance to the nearest of these; infinite where there are none.  For the others each point counts the
    less, the farther it is, (1 - (distance / reach)^2)^2; without any they are zero.  count: their sum.  offset: their mean
    height over the surface, along the normal.  spread: the standard deviation of that height.  lean: how far their mean is
    beside the vertex, across the normal; large where the scan ends, at rims and shadows.  others: the share, by such
    weights, of points within OBSERVED_VOXELS that are farther off along the normal: of edges, corners and thin things.
    """

    count: np.ndarray
    nearest: np.ndarray
    offset: np.ndarray
    spread: np.ndarray
    lean: np.ndarray
    others: np.ndarray

    @property
    def observed(self) -> np.ndarray:
        """(V,) bool: whether there are such points: the surface was seen here."""
        return np.isfinite(self.nearest)


class SupportingPoints:
    """Points (N, 3) in voxel coordinates, found by their place.

    Near vertices that are asked for, all points of a scan must be here: within twice OBSERVED_VOXELS, and a cell more.
    Then what else is here, and in which order of the places, makes no difference.  Of points of one cell of
    OBSERVED_VOXELS at most about 32 are looked at, chosen by their places.
    directions: (N, 3) float32 unit vectors from the points to their scanners, zeros where these are not known; None:
    nowhere.
    """

    def __init__(self, points_voxel: np.ndarray, directions: np.ndarray | None = None) -> None:
        keys = _cell_keys(points_voxel)
        order = np.argsort(keys, kind="stable")
        cells, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
        del keys
        of_cell = np.repeat(counts, counts)  # (N,) by cell
        chosen = place_keys(points_voxel)[order] % of_cell.astype(np.uint64) < _MOST_OF_A_CELL
        kept = np.add.reduceat(chosen, first, dtype=np.int64) if len(cells) else counts
        self._points = np.ascontiguousarray(points_voxel[order[chosen]])
        self._directions = (
            np.zeros((len(self._points), 3), dtype=np.float32)
            if directions is None
            else np.ascontiguousarray(directions[order[chosen]])
        )
        self._weights = (of_cell[chosen] / np.repeat(kept, kept)).astype(np.float32)
        self._keys = cells
        self._starts = np.concatenate([[0], np.cumsum(kept)])

    def support(self, vertices_voxel: np.ndarray, normals: np.ndarray) -> PointSupport:
        """vertices_voxel: (V, 3).  normals: (V, 3) unit vectors, in the same axes."""
        vertices = np.ascontiguousarray(vertices_voxel, dtype=np.float64)
        count, nearest, offset, spread, lean, others = (np.zeros(len(vertices)) for _ in range(6))

        def measure(part: int, begin: int, end: int) -> None:
            measure_support(
                vertices, normals, self._points, self._weights, self._keys, self._starts, OBSERVED_VOXELS, _NEAR_VOXELS,
                count, nearest, offset, spread, lean, others, begin, end,
            )  # fmt: skip

        run_ranges(measure, len(vertices), _PARTS)
        return PointSupport(count, nearest, offset, spread, lean, others)

    def shown(self, mesh: Mesh) -> np.ndarray:
        """(F,) bool: which faces of a mesh in voxel coordinates the points show.

        There is a point within OBSERVED_VOXELS of the middle and within 0.75 voxels along the normal, as PointSupport asks
        of vertices; within 0.15 voxels where the face looks away from the scanner of that point.  So the other face of a
        thin wall is not shown, and one that the network put on the wrong side of the points is.
        """
        vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
        faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
        shown = np.zeros(len(faces), dtype=bool)

        def find(part: int, begin: int, end: int) -> None:
            find_shown(
                vertices, faces, self._points, self._directions, self._keys, self._starts, OBSERVED_VOXELS, _NEAR_VOXELS,
                _NEAR_BEHIND_VOXELS, _LEAST_COSINE, shown, begin, end,
            )  # fmt: skip

        run_ranges(find, len(faces), _PARTS)
        return shown


def _cell_keys(points_voxel: np.ndarray) -> np.ndarray:
    """(N,) int64, of the cell of OBSERVED_VOXELS that holds each of (N, 3) points."""
    cells = torch.from_numpy(np.floor(points_voxel / OBSERVED_VOXELS).astype(np.int64))
    return pack_keys(torch.cat([one_scene(cells)[:, None], cells], dim=1)).numpy()
