"""Local-pool PointNet: features of points, pooled over the points of the same voxel.

Peng et al., Convolutional Occupancy Networks, ECCV 2020, section 3.1 and supplementary.
"""

from __future__ import annotations

import torch
from torch import nn

from sparse_convonet.encode.scatter import segment_max, segment_mean
from sparse_convonet.encode.voxelise import Voxels

_VOXELS_AT_ONCE = 1024  # of inference on the CPU


class ResidualFullyConnected(nn.Module):
    """x + W1 relu(W0 relu(x)), with a linear shortcut where the widths differ; W1 begins at zero."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width_in, width_out)
        self.outer = nn.Linear(width_out, width_out)
        self.shortcut = nn.Linear(width_in, width_out, bias=False) if width_in != width_out else None
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = self.outer(torch.relu(self.inner(torch.relu(x))))
        return (x if self.shortcut is None else self.shortcut(x)) + change


class LocalPoolPointNet(nn.Module):
    """Offsets of points within their voxels -> one feature per voxel.

    Between the blocks each point's feature is joined with the maximum over the points of its voxel.
    """

    def __init__(self, *, width: int, blocks: int, feature_width: int) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"pointnet_blocks: expected at least 1, found {blocks}")
        self.lift = nn.Linear(3, 2 * width)
        self.blocks = nn.ModuleList(ResidualFullyConnected(2 * width, width) for _ in range(blocks))
        self.project = nn.Linear(width, feature_width)

    def forward(self, voxels: Voxels) -> torch.Tensor:
        """Voxels of M kept points -> (V, feature_width) float."""
        if torch.is_grad_enabled() or voxels.offsets.device.type != "cpu":
            return self._encode(voxels)
        # Voxels do not see each other, so inference on the CPU goes through them in runs that stay in the cache.
        return torch.cat([self._encode(part) for part in voxels.split(_VOXELS_AT_ONCE)])

    def _encode(self, voxels: Voxels) -> torch.Tensor:
        feature = self.blocks[0](self.lift(voxels.offsets))  # (M, width)
        for block in self.blocks[1:]:
            pooled = segment_max(feature, voxels).index_select(0, voxels.owner)  # (M, width)
            feature = block(torch.cat([feature, pooled], dim=1))
        return segment_mean(self.project(feature), voxels)
