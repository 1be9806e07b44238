"""Local-pool PointNet: features of points, pooled over the points of the same voxel.

Peng et al., Convolutional Occupancy Networks, ECCV 2020, section 3.1 and supplementary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from sparse_convonet.encode import pointnet_numba
from sparse_convonet.encode.scatter import segment_max, segment_mean
from sparse_convonet.encode.voxelise import Voxels
from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.runtime.threads import run_ranges

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
    hints: how many further numbers a point may have, such as the direction to its scanner.  Their layer begins at zero,
    and zeros stand for what is not known.
    """

    def __init__(self, *, width: int, blocks: int, feature_width: int, hints: int = 0) -> None:
        super().__init__()
        if blocks < 1:
            raise ValueError(f"pointnet_blocks: expected at least 1, found {blocks}")
        self.lift = nn.Linear(3, 2 * width)
        self.hint_lift = nn.Linear(hints, 2 * width, bias=False) if hints else None
        if self.hint_lift is not None:
            nn.init.zeros_(self.hint_lift.weight)
        self.blocks = nn.ModuleList(ResidualFullyConnected(2 * width, width) for _ in range(blocks))
        self.project = nn.Linear(width, feature_width)

    def forward(self, voxels: Voxels, hints: torch.Tensor | None = None) -> torch.Tensor:
        """Voxels of M kept points, hints (M, hints) float32 or None: not known -> (V, feature_width) float.

        Raises ValueError where there are hints that the network does not take.
        """
        if hints is not None and self.hint_lift is None:
            raise ValueError(
                f"hints: expected none for a network without model.point_hints, found {tuple(hints.shape)}"
            )
        if self._fits_compiled_loop(voxels):
            return self._encode_compiled(voxels, hints)
        lifted = self.lift(voxels.offsets)  # (M, 2 width)
        if hints is not None and self.hint_lift is not None:
            lifted = lifted + self.hint_lift(hints)
        feature = self.blocks[0](lifted)  # (M, width)
        for block in self.blocks[1:]:
            pooled = segment_max(feature, voxels).index_select(0, voxels.owner)  # (M, width)
            feature = block(torch.cat([feature, pooled], dim=1))
        return segment_mean(self.project(feature), voxels)

    def _fits_compiled_loop(self, voxels: Voxels) -> bool:
        """Inference on the CPU with the widths that the loop is written for."""
        return (
            compiled_loops_take(voxels.offsets)
            and not torch.is_grad_enabled()
            and self.lift.weight.dtype == torch.float32
            and self.project.in_features == self.project.out_features == pointnet_numba.WIDTH
            and int(functional.pad(voxels.counts, (0, 1)).max()) <= pointnet_numba.BLOCK
        )

    def _encode_compiled(self, voxels: Voxels, hints: torch.Tensor | None) -> torch.Tensor:
        """(V, feature_width): the same values as the layers up to rounding."""
        blocks: list[Any] = list(self.blocks)
        matrices = [
            torch.cat([block.inner.weight.t(), block.outer.weight.t(), block.shortcut.weight.t()]) for block in blocks
        ]
        biases = [torch.stack([block.inner.bias, block.outer.bias]) for block in blocks]
        out = torch.empty(len(voxels.counts), self.project.out_features)
        hint_lift = self.lift.weight.new_zeros(0, self.lift.out_features)
        if hints is None or self.hint_lift is None:
            hints = self.lift.weight.new_zeros(len(voxels.offsets), 0)
        else:
            hint_lift = self.hint_lift.weight.t().contiguous()
        arrays = (
            voxels.offsets.contiguous().numpy(),
            voxels.counts.numpy(),
            (torch.cumsum(voxels.counts, 0) - voxels.counts).numpy(),
            self.lift.weight.t().contiguous().numpy(),
            self.lift.bias.numpy(),
            hints.contiguous().numpy(),
            hint_lift.numpy(),
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
