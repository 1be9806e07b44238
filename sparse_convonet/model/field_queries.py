"""The logits of an encoded scan as functions of arrays, for stages that know no tensors."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.coordinates import one_scene
from sparse_convonet.fields.free_space import FreeSpace
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model.sparse import SparseOccupancyNetwork

_GRADIENTS_AT_ONCE = 1 << 15  # autograd keeps some 4 kB for each
_FREE_LOGITS = 10.0  # that free space takes from a logit: more than the shipped networks give (at most 8)
SECOND_SHIFT = 0.5  # voxels: where a scan is encoded twice, its coordinates are so much larger the second time


class FieldQueries:
    """Asks a network about its field of one scene, on its device.  Queries are (Q, 3) voxel coordinates.

    free_space: nothing is occupied there, whatever the network says.  second: the field of the same scene moved by
    SECOND_SHIFT; the mean of both logits counts, and what one knows is known.
    """

    def __init__(
        self,
        network: SparseOccupancyNetwork,
        scene_field: SparseField,
        free_space: FreeSpace | None = None,
        second: SparseField | None = None,
    ) -> None:
        self._network = network
        self._fields = [(scene_field, 0.0)] if second is None else [(scene_field, 0.0), (second, SECOND_SHIFT)]
        self._free_space = free_space
        self._device = next(network.parameters()).device

    @torch.no_grad()
    def logits(self, queries: np.ndarray) -> np.ndarray:
        """(Q,) float32."""
        return self.logits_and_known(queries)[0]

    @torch.no_grad()
    def logits_and_known(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Q,) float32, and (Q,) bool where the field has features."""
        points = self._on_device(queries)
        scenes = one_scene(points)
        logits, known = self._network.occupancy(*self._moved(0, points), scenes)
        for number in range(1, len(self._fields)):
            more, also = self._network.occupancy(*self._moved(number, points), scenes)
            logits, known = logits + more, known | also
        values = logits.cpu().numpy() / np.float32(len(self._fields))
        if self._free_space is not None:
            values = values - _FREE_LOGITS * self._free_space.shares(queries)
        return values, known.cpu().numpy()

    def value_and_gradient(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (Q,) and their gradients (Q, 3), per voxel; a bounded number at a time."""
        values, gradients = np.zeros(len(queries), dtype=np.float32), np.zeros((len(queries), 3), dtype=np.float32)
        for start in range(0, len(queries), _GRADIENTS_AT_ONCE):
            chunk = slice(start, start + _GRADIENTS_AT_ONCE)
            for number in range(len(self._fields)):
                with torch.enable_grad():
                    points = self._on_device(queries[chunk]).requires_grad_()
                    logits, _ = self._network.occupancy(*self._moved(number, points), one_scene(points))
                    (gradient,) = torch.autograd.grad(logits.sum(), points)
                values[chunk] += logits.detach().cpu().numpy() / np.float32(len(self._fields))
                gradients[chunk] += gradient.cpu().numpy() / np.float32(len(self._fields))
            if self._free_space is not None:
                shares, steps = self._free_space.shares_and_gradients(queries[chunk])
                values[chunk] -= _FREE_LOGITS * shares
                gradients[chunk] -= _FREE_LOGITS * steps
        return values, gradients

    def gradient(self, queries: np.ndarray) -> np.ndarray:
        """(Q, 3)."""
        return self.value_and_gradient(queries)[1]

    def _moved(self, number: int, points: torch.Tensor) -> tuple[SparseField, torch.Tensor]:
        """A field, and where points are in it."""
        field, shift = self._fields[number]
        return field, points + shift if shift else points

    def _on_device(self, queries: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(queries)).to(self._device)
