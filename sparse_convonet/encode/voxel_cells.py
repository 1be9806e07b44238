"""What the sparse network knows of an occupied voxel alone: that it is one."""

from __future__ import annotations

import torch
from torch import nn

from sparse_convonet.encode.voxelise import Voxels


class VoxelCells(nn.Module):
    """Occupied voxels -> (V, feature_width): the same learned feature for each; the first convolution sees neighbours.

    Takes the place of the PointNet, of which it has no part: nothing is known of the points within a voxel, and hints are
    refused.
    """

    hint_lift = None

    def __init__(self, feature_width: int) -> None:
        super().__init__()
        self.feature = nn.Parameter(torch.ones(feature_width))

    def forward(self, voxels: Voxels, hints: torch.Tensor | None = None) -> torch.Tensor:
        if hints is not None:
            raise ValueError(f"hints: expected none for a network with model.input_voxels, found {tuple(hints.shape)}")
        return self.feature.expand(len(voxels.coordinates), -1).contiguous()
