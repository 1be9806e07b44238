"""Local-pool PointNet over cells of planes and grids, and the mean of its features in each cell.

Peng et al. 2020, section 3.1 and supplementary: between the blocks, each point's feature is joined with the sum, over
all planes and the grid, of the maximum over the points of its cell there (or their mean, an option of the published code).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sparse_convonet.config.models import ScatterName
from sparse_convonet.encode.pointnet import ResidualFullyConnected


@dataclass(frozen=True)
class CellGroups:
    """Which points share a cell of one plane or grid.

    index: (N,) int64 cell of each point, the cells of all scenes counted through.  total: how many cells there are.
    """

    index: torch.Tensor
    total: int

    def maximum(self, features: torch.Tensor) -> torch.Tensor:
        """(N, C) -> (total, C): the maximum over the points of each cell, -inf where there is none."""
        rows = self.index[:, None].expand_as(features)
        least = features.new_full((self.total, features.shape[1]), float("-inf"))
        return least.scatter_reduce(0, rows, features, "amax", include_self=True)

    def pooled(self, features: torch.Tensor, scatter: ScatterName = "max") -> torch.Tensor:
        """(N, C) -> (N, C): for each point the maximum, or the mean, over the points of its cell."""
        cells = self.maximum(features) if scatter == "max" else self.mean(features)
        return cells.index_select(0, self.index)

    def mean(self, features: torch.Tensor) -> torch.Tensor:
        """(N, C) -> (total, C): the mean over the points of each cell, 0 where there is none."""
        total = features.new_zeros(self.total, features.shape[1]).index_add(0, self.index, features)
        counts = torch.bincount(self.index, minlength=self.total).clamp(min=1)
        return total / counts[:, None].to(features.dtype)


class CellPointNet(nn.Module):
    """Points (N, position_width) -> features (N, feature_width).

    scatter: what a point learns of those in its cell between the blocks, their maximum or their mean.
    """

    def __init__(
        self,
        *,
        width: int,
        blocks: int,
        feature_width: int,
        position_width: int = 3,
        scatter: ScatterName = "max",
    ) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"pointnet_blocks: expected at least 1, found {blocks}")
        self.scatter = scatter
        self.lift = nn.Linear(position_width, 2 * width)
        self.blocks = nn.ModuleList(ResidualFullyConnected(2 * width, width) for _ in range(blocks))
        self.project = nn.Linear(width, feature_width)

    def forward(self, positions: torch.Tensor, groups: Sequence[CellGroups]) -> torch.Tensor:
        feature = self.blocks[0](self.lift(positions))
        for block in self.blocks[1:]:
            pooled = torch.stack([group.pooled(feature, self.scatter) for group in groups]).sum(dim=0)
            feature = block(torch.cat([feature, pooled], dim=1))
        return self.project(feature)
