"""PointNet with residual blocks and global pooling: one code for a whole point cloud (Mescheder et al. 2019)."""

from __future__ import annotations

import torch
from torch import nn

from sparse_convonet.encode.dense_pointnet import CellGroups
from sparse_convonet.encode.pointnet import ResidualFullyConnected


class GlobalPointNet(nn.Module):
    """Points (N, 3) of B scenes -> codes (B, code_width)."""

    def __init__(self, *, width: int, blocks: int, code_width: int) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"pointnet_blocks: expected at least 1, found {blocks}")
        self.lift = nn.Linear(3, 2 * width)
        self.blocks = nn.ModuleList(ResidualFullyConnected(2 * width, width) for _ in range(blocks))
        self.project = nn.Linear(width, code_width)

    def forward(self, points: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        scenes = CellGroups(batch, int(batch.max()) + 1 if len(batch) else 0)
        feature = self.blocks[0](self.lift(points))
        for block in self.blocks[1:]:
            feature = block(torch.cat([feature, scenes.pooled(feature)], dim=1))
        return self.project(torch.relu(scenes.maximum(feature)))
