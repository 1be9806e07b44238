"""The logits of an encoded scan as functions of arrays, for stages that know no tensors."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.coordinates import one_scene
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model.sparse import SparseOccupancyNetwork

_GRADIENTS_AT_ONCE = 1 << 15  # autograd keeps some 4 kB for each


class FieldQueries:
    """Asks a network about its field of one scene, on its device.  Queries are (Q, 3) voxel coordinates."""

    def __init__(self, network: SparseOccupancyNetwork, scene_field: SparseField) -> None:
        self._network = network
        self._scene_field = scene_field
        self._device = next(network.parameters()).device

    @torch.no_grad()
    def logits(self, queries: np.ndarray) -> np.ndarray:
        """(Q,) float32."""
        return self.logits_and_known(queries)[0]

    @torch.no_grad()
    def logits_and_known(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) float32, and (Q,) bool where the field has features."""
        points = self._on_device(queries)
        logits, known = self._network.occupancy(self._scene_field, points, one_scene(points))
        return logits.cpu().numpy(), known.cpu().numpy()

    def value_and_gradient(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (Q,) and their gradients (Q, 3), per voxel; a bounded number at a time."""
        values, gradients = np.empty(len(queries), dtype=np.float32), np.empty((len(queries), 3), dtype=np.float32)
        for start in range(0, len(queries), _GRADIENTS_AT_ONCE):
            chunk = slice(start, start + _GRADIENTS_AT_ONCE)
            with torch.enable_grad():
                points = self._on_device(queries[chunk]).requires_grad_()
                logits, _ = self._network.occupancy(self._scene_field, points, one_scene(points))
                (gradient,) = torch.autograd.grad(logits.sum(), points)
            values[chunk], gradients[chunk] = logits.detach().cpu().numpy(), gradient.cpu().numpy()
        return values, gradients

    def gradient(self, queries: np.ndarray) -> np.ndarray:
        """(Q, 3)."""
        return self.value_and_gradient(queries)[1]

    def _on_device(self, queries: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(queries)).to(self._device)
