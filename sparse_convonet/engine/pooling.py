"""Pooling over the cells present, onto the strided map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sparse_convonet.engine.coordinate_manager import CoordinateMapKey
from sparse_convonet.engine.neighbours import KernelOffsets
from sparse_convonet.engine.sparse_tensor import SparseTensor, cubic


class _Pooling(nn.Module):
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        dimension: int = 3,
    ) -> None:
        super().__init__()
        if dimension != 3:
            raise ValueError(f"dimension: expected 3, found {dimension}")
        self.kernel_size = cubic(kernel_size, "kernel size")
        self.stride = cubic(stride, "stride")
        self.dilation = cubic(dilation, "dilation")

    def forward(self, input: SparseTensor) -> SparseTensor:
        manager, in_key = input.coordinate_manager, input.coordinate_map_key
        out_key: CoordinateMapKey = manager.strided(in_key, self.stride)
        offsets = KernelOffsets(self.kernel_size, in_key.tensor_stride[0] * self.dilation)
        pooled = self._pool(input.F, manager.table(out_key, in_key, offsets))
        return SparseTensor(pooled, coordinate_map_key=out_key, coordinate_manager=manager)

    def _pool(self, features: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class MinkowskiMaxPooling(_Pooling):
    """Channel-wise maximum over the cells present; zero where there is none."""

    def _pool(self, features: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        """(V_in, C), (V_out, K) -> (V_out, C); the gradient goes to the first maximum."""
        if len(features) == 0:
            return features.new_zeros(len(table), features.shape[1])
        with torch.no_grad():
            best = features.new_full((len(table), features.shape[1]), -torch.inf)
            best_row = torch.full(best.shape, -1, dtype=torch.int64, device=features.device)
            for rows in table.t():
                value = torch.where(rows[:, None] >= 0, features[rows.clamp(min=0)], -torch.inf)
                better = value > best
                best = torch.where(better, value, best)
                best_row = torch.where(better, rows[:, None].long(), best_row)
        return torch.gather(features, 0, best_row.clamp(min=0)) * (best_row >= 0)


class MinkowskiSumPooling(_Pooling):
    """Channel-wise sum over the cells present."""

    def _pool(self, features: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
        pooled = features.new_zeros(len(table), features.shape[1])
        for rows in table.t():
            pooled = pooled + padded[torch.where(rows >= 0, rows, len(features))]
        return pooled


class MinkowskiAvgPooling(MinkowskiSumPooling):
    """Channel-wise mean over the cells present."""

    def _pool(self, features: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        count = (table >= 0).sum(dim=1, keepdim=True).clamp(min=1)
        return super()._pool(features, table) / count
