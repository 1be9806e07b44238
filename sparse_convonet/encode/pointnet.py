"""Local-pool PointNet: features of points, pooled over the points of the same voxel.

Peng et al., Convolutional Occupancy Networks, ECCV 2020, section 3.1 and supplementary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sparse_convonet.encode.scatter import segment_max, segment_mean
from sparse_convonet.encode.voxelise import Voxels
from sparse_convonet.engine.threads import run_ranges

try:
    from sparse_convonet.encode import pointnet_numba
except ImportError:  # numba is optional: the layers give the same values
    pointnet_numba = None  # type: ignore[assignment]

_VOXELS_PER_PART = 4096  # of the compiled loop: small enough to share out evenly


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
        if self._fits_compiled_loop(voxels):
            return self._encode_compiled(voxels)
        feature = self.blocks[0](self.lift(voxels.offsets))  # (M, width)
        for block in self.blocks[1:]:
            pooled = segment_max(feature, voxels).index_select(0, voxels.owner)  # (M, width)
            feature = block(torch.cat([feature, pooled], dim=1))
        return segment_mean(self.project(feature), voxels)

    def _fits_compiled_loop(self, voxels: Voxels) -> bool:
        """Inference on the CPU with the widths that the loop is written for."""
        return (
            pointnet_numba is not None
            and not torch.is_grad_enabled()
            and voxels.offsets.device.type == "cpu"
            and self.lift.weight.dtype == torch.float32
            and self.project.in_features == self.project.out_features == pointnet_numba.WIDTH
            and int(functional.pad(voxels.counts, (0, 1)).max()) <= pointnet_numba.BLOCK
        )

    def _encode_compiled(self, voxels: Voxels) -> torch.Tensor:
        """(V, feature_width): the same values as the layers up to rounding."""
        blocks: list[Any] = list(self.blocks)
        matrices = [
            torch.cat([block.inner.weight.t(), block.outer.weight.t(), block.shortcut.weight.t()]) for block in blocks
        ]
        biases = [torch.stack([block.inner.bias, block.outer.bias]) for block in blocks]
        out = torch.empty(len(voxels.counts), self.project.out_features)
        arrays = (
            voxels.offsets.contiguous().numpy(),
            voxels.counts.numpy(),
            (torch.cumsum(voxels.counts, 0) - voxels.counts).numpy(),
            self.lift.weight.t().contiguous().numpy(),
            self.lift.bias.numpy(),
            torch.stack(matrices).numpy(),
            torch.stack(biases).numpy(),
            self.project.weight.t().contiguous().numpy(),
            self.project.bias.numpy(),
            out.numpy(),
        )
        run_ranges(
            lambda part, begin, end: pointnet_numba.encode_voxels(*arrays, begin, end),
            count=len(out),
            parts=1 + len(out) // _VOXELS_PER_PART,
        )
        return out
