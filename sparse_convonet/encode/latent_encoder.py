"""A distribution of codes for a shape, from queries and which of them are inside (ONet, generative)."""

from __future__ import annotations

import torch
from torch import nn

from sparse_convonet.encode.dense_pointnet import CellGroups


class LatentEncoder(nn.Module):
    """Queries (N, 3) and truth (N,) of B scenes -> mean and logarithm of the deviation, (B, code_width) each.

    Mescheder et al. 2019, supplementary: positions and occupancies are lifted and added; two layers, each joined with the
    maximum over the scene's queries, and a third, of which the maximum is taken.
    """

    def __init__(self, *, width: int, code_width: int) -> None:
        super().__init__()
        self.lift = nn.Linear(3, width)
        self.lift_truth = nn.Linear(1, width)
        self.layers = nn.ModuleList([nn.Linear(width, width), nn.Linear(2 * width, width), nn.Linear(2 * width, width)])
        self.mean = nn.Linear(width, code_width)
        self.log_deviation = nn.Linear(width, code_width)

    def forward(
        self, queries: torch.Tensor, occupied: torch.Tensor, batch: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        scenes = CellGroups(batch, int(batch.max()) + 1 if len(batch) else 0)
        x = self.lift(queries) + self.lift_truth(occupied[:, None].to(queries.dtype))
        for number, layer in enumerate(self.layers):
            if number:
                x = torch.cat([x, scenes.pooled(x)], dim=1)
            x = layer(torch.relu(x))
        pooled = scenes.maximum(x)
        return self.mean(pooled), self.log_deviation(pooled)
