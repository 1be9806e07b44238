"""Sampled features and local positions to occupancy logits."""

from __future__ import annotations

import logging
import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from sparse_convonet.decode import decoder_numba
from sparse_convonet.encode.pointnet import ResidualFullyConnected
from sparse_convonet.encode.position_encoding import SIN_COS_WIDTH, sin_cos
from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.runtime.threads import run_ranges

logger = logging.getLogger(__name__)

_FREQUENCIES = (1, 2)  # per voxel
_QUERIES_PER_PART = 16384  # of the compiled loop: large enough to remember cells, small enough to share out evenly


def encode_position(queries: torch.Tensor, encoding: str) -> torch.Tensor:
    """(Q, 3) voxel coordinates -> (Q, 12) sines and cosines ('periodic'), (Q, 60) ('sin_cos') or (Q, 3) offsets ('raw').

    All depend on the position within the finest cell only.  The periodic form is continuous across
    cell borders; raw offsets from the centre jump there.  'none': (Q, 3) positions as they are.
    """
    if encoding == "none":
        return queries.to(torch.float32)
    within = queries - torch.floor(queries.detach())
    if encoding == "raw":
        return (within - 0.5).to(torch.float32)
    if encoding == "sin_cos":
        return sin_cos(within).to(torch.float32)
    angles = torch.cat([within * (2 * math.pi * frequency) for frequency in _FREQUENCIES], dim=1).to(torch.float32)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


@cache
def _log_slow_decoder(feature_width: int, width: int, blocks: int, local_encoding: str) -> None:
    """Say once per process why a decoder of this kind takes longer."""
    logger.info(
        "decoder: its layers run in torch, slower than the compiled loop, which needs feature_width and decoder_width "
        "%d, decoder_blocks of at least 1 and local_encoding periodic, not %d, %d, %d and %s",
        decoder_numba.WIDTH, feature_width, width, blocks, local_encoding,
    )  # fmt: skip


class OccupancyDecoder(nn.Module):
    """Residual blocks, each fed the sampled feature through a linear map of its own (ConvONet, section 3.3)."""

    def __init__(self, *, feature_width: int, levels: int, width: int, blocks: int, local_encoding: str) -> None:
        super().__init__()
        self.local_encoding = local_encoding
        position_width = {"periodic": 6 * len(_FREQUENCIES), "sin_cos": SIN_COS_WIDTH}.get(local_encoding, 3)
        self.lift = nn.Linear(position_width + levels, width)
        self.feature_maps = nn.ModuleList(nn.Linear(feature_width, width) for _ in range(blocks))
        self.blocks = nn.ModuleList(ResidualFullyConnected(width, width) for _ in range(blocks))
        self.logit = nn.Linear(width, 1)

    def forward(self, queries: torch.Tensor, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Queries (Q, 3), features (Q, C), weights (Q, L) -> logits (Q,)."""
        x = self.lift(torch.cat([encode_position(queries, self.local_encoding), weights], dim=1))
        for feature_map, block in zip(self.feature_maps, self.blocks, strict=True):
            x = block(x + feature_map(features))
        return self.logit(torch.relu(x))[:, 0]

    def fits_compiled_loop(self, field: SparseField) -> bool:
        """Whether `decode_field` can be used: inference on the CPU with the widths that it is written for."""
        features, width = field.levels[0].features, self.logit.in_features
        if not (
            compiled_loops_take(features)
            and not torch.is_grad_enabled()
            and features.dtype == self.logit.weight.dtype == torch.float32
        ):
            return False
        if (
            self.local_encoding == "periodic"
            and len(self.blocks) > 0
            and features.shape[1] == width == decoder_numba.WIDTH
        ):
            return True
        _log_slow_decoder(features.shape[1], width, len(self.blocks), self.local_encoding)
        return False

    def decode_field(
        self, field: SparseField, queries_voxel: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Lookup and decoder in one compiled loop: queries (Q, 3), (Q,) int64 -> logits (Q,), known (Q,) bool.

        The same values as forward(field.sample(...)) up to rounding.
        """
        joined = field.joined
        layers: list[tuple[Any, Any, Any]] = [
            (feature_map, block.inner, block.outer)
            for feature_map, block in zip(self.feature_maps, self.blocks, strict=True)
        ]
        matrices = torch.stack([torch.stack([layer.weight.t() for layer in each]) for each in layers])
        biases = torch.stack([torch.stack([layer.bias for layer in each]) for each in layers])
        logits, known = np.empty(len(queries_voxel), dtype=np.float32), np.empty(len(queries_voxel), dtype=bool)
        arrays = (
            np.ascontiguousarray(queries_voxel.numpy(), dtype=np.float64),
            np.ascontiguousarray(batch.numpy()),
            joined.keys,
            joined.features,
            joined.starts,
            joined.strides,
            self.lift.weight.t().contiguous().numpy(),
            self.lift.bias.numpy(),
            matrices.contiguous().numpy(),
            biases.contiguous().numpy(),
            self.logit.weight[0].numpy(),
            np.float32(self.logit.bias.item()),
            logits,
            known,
        )
        run_ranges(
            lambda part, begin, end: decoder_numba.occupancy_logits(*arrays, begin, end),
            count=len(logits),
            parts=1 + len(logits) // _QUERIES_PER_PART,
        )
        return torch.from_numpy(logits), torch.from_numpy(known)
