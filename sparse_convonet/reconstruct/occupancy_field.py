"""The occupancy of an encoded scan at any point: what the network says, before a mesh is made of it."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.coordinates import ScanFrame, VoxelFrame
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.reconstruct.backend import Queries


class OccupancyField:
    """Answers queries about a scan that `Reconstructor.encode` has encoded.

    Queries are (Q, 3) points in the frame of the scan, world metres with z up unless the settings of the reconstruction
    say otherwise (`up`, `scale`); answers are arrays of Q rows in their order.  However many there are, they are worked
    on a bounded number at a time.  threshold: tau, the occupancy at which `Reconstructor` puts the surface.
    Raises ValueError for queries of another shape or that are not finite.
    """

    def __init__(self, *, queries: Queries, voxels: VoxelFrame, scan: ScanFrame, threshold: float) -> None:
        self.threshold = threshold
        self._queries = queries
        self._voxels = voxels
        self._scan = scan

    @property
    def voxel_size_m(self) -> float:
        """Edge of a voxel in metres."""
        return self._voxels.voxel_size_m

    def occupancy(self, points: np.ndarray) -> np.ndarray:
        """(Q,) float32 probabilities that points (Q, 3) lie in occupied space; nearly 0 where nothing is known."""
        return torch.sigmoid(torch.from_numpy(self.logits(points))).numpy()

    def logits(self, points: np.ndarray) -> np.ndarray:
        """(Q,) float32 logits of `occupancy`; model.sparse.OUTSIDE_LOGIT where nothing is known."""
        return self._ask(points)[0]

    def known(self, points: np.ndarray) -> np.ndarray:
        """(Q,) bool: whether points (Q, 3) lie so near to the scan that the field has features there."""
        return self._ask(points)[1]

    def normals(self, points: np.ndarray) -> np.ndarray:
        """(Q, 3) float32 unit vectors along the falling logit, which on a surface point out of occupied space.

        Zero where nothing is known, and where the logit has no slope.
        """
        queries = self._to_voxels(points)
        normals = np.zeros(queries.shape, dtype=np.float32)
        for chunk in query_chunks(len(queries)):
            way = -self._queries.gradient(queries[chunk]).astype(np.float64)
            length = np.linalg.norm(way, axis=1, keepdims=True)
            unit = np.divide(way, length, out=np.zeros_like(way), where=np.isfinite(length) & (length > 0))
            normals[chunk] = self._scan.directions_to_scan(unit)
        return normals

    def _ask(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (Q,) and known (Q,) of points (Q, 3)."""
        queries = self._to_voxels(points)
        logits, known = np.empty(len(queries), dtype=np.float32), np.empty(len(queries), dtype=bool)
        for chunk in query_chunks(len(queries)):
            logits[chunk], known[chunk] = self._queries.logits_and_known(queries[chunk])
        return logits, known

    def _to_voxels(self, points: np.ndarray) -> np.ndarray:
        """(Q, 3) in the frame of the scan -> (Q, 3) float64 voxel coordinates."""
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"queries: expected an array of shape (Q, 3), one point a row, found {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("queries: expected finite coordinates, found NaN or infinite ones; leave those rows out")
        return self._voxels.to_voxels(self._scan.to_world(points))
