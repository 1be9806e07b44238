"""The Occupancy Network's decoder: residual blocks whose batch normalisation is steered by the code."""

from __future__ import annotations

import torch
from torch import nn


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in a code; at first the identity."""

    def __init__(self, code_width: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Linear(code_width, width)
        self.shift = nn.Linear(code_width, width)
        self.norm = nn.BatchNorm1d(width, affine=False)
        for layer in (self.scale, self.shift):
            nn.init.zeros_(layer.weight)
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.shift.bias)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """x (Q, C), codes (B, K), (Q,) int64 code of each row -> (Q, C)."""
        scale, shift = self.scale(codes).index_select(0, batch), self.shift(codes).index_select(0, batch)
        return scale * self.norm(x) + shift


class _Block(nn.Module):
    """x + W1 relu(norm(W0 relu(norm(x)))); W1 begins at zero."""

    def __init__(self, code_width: int, width: int) -> None:
        super().__init__()
        self.first_norm = ConditionalBatchNorm(code_width, width)
        self.inner = nn.Linear(width, width)
        self.second_norm = ConditionalBatchNorm(code_width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)

    def forward(self, x: torch.Tensor, codes: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        inner = self.inner(torch.relu(self.first_norm(x, codes, batch)))
        return x + self.outer(torch.relu(self.second_norm(inner, codes, batch)))


class ConditionalDecoder(nn.Module):
    """Queries and codes to logits (Mescheder et al. 2019, section 3.1 and supplementary)."""

    def __init__(self, *, code_width: int, width: int, blocks: int) -> None:
        super().__init__()
        self.lift = nn.Linear(3, width)
        self.blocks = nn.ModuleList(_Block(code_width, width) for _ in range(blocks))
        self.norm = ConditionalBatchNorm(code_width, width)
        self.logit = nn.Linear(width, 1)

    def forward(self, queries: torch.Tensor, codes: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Queries (Q, 3), codes (B, K), (Q,) int64 -> logits (Q,)."""
        x = self.lift(queries)
        for block in self.blocks:
            x = block(x, codes, batch)
        return self.logit(torch.relu(self.norm(x, codes, batch)))[:, 0]
