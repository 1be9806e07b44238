"""Sampled features and local positions to occupancy logits."""

from __future__ import annotations

import math

import torch
from torch import nn

from sparse_convonet.encode.pointnet import ResidualFullyConnected

_FREQUENCIES = (1, 2)  # per voxel


def encode_position(queries_voxel: torch.Tensor, encoding: str) -> torch.Tensor:
    """(Q, 3) voxel coordinates -> (Q, 12) sines and cosines ('periodic') or (Q, 3) offsets ('raw').

    Both depend on the position within the finest cell only.  The periodic form is continuous across
    cell borders; raw offsets from the centre jump there.
    """
    within = queries_voxel - torch.floor(queries_voxel.detach())
    if encoding == "raw":
        return (within - 0.5).to(torch.float32)
    angles = torch.cat([within * (2 * math.pi * frequency) for frequency in _FREQUENCIES], dim=1).to(torch.float32)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


class OccupancyDecoder(nn.Module):
    """Residual blocks, each fed the sampled feature through a linear map of its own (ConvONet, section 3.3)."""

    def __init__(self, *, feature_width: int, levels: int, width: int, blocks: int, local_encoding: str) -> None:
        super().__init__()
        self.local_encoding = local_encoding
        position_width = 3 if local_encoding == "raw" else 6 * len(_FREQUENCIES)
        self.lift = nn.Linear(position_width + levels, width)
        self.feature_maps = nn.ModuleList(nn.Linear(feature_width, width) for _ in range(blocks))
        self.blocks = nn.ModuleList(ResidualFullyConnected(width, width) for _ in range(blocks))
        self.logit = nn.Linear(width, 1)

    def forward(self, queries_voxel: torch.Tensor, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Queries (Q, 3), features (Q, C), weights (Q, L) -> logits (Q,)."""
        x = self.lift(torch.cat([encode_position(queries_voxel, self.local_encoding), weights], dim=1))
        for feature_map, block in zip(self.feature_maps, self.blocks, strict=True):
            x = block(x + feature_map(features))
        return self.logit(torch.relu(x))[:, 0]
