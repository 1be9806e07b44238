"""One code for the voxels of an occupied grid: the encoder of the Occupancy Network of voxels (Mescheder et al. 2019)."""

from __future__ import annotations

import torch
from torch import nn

from sparse_convonet.encode.voxel_features import require_voxels

_HALVINGS = 4


class VoxelEncoder(nn.Module):
    """Occupied voxels (B, R, R, R) of the unit cube -> codes (B, code_width).

    A convolution of 3^3, then four of stride 2, each with twice the channels of the one before, and a linear layer.
    resolution: R, a multiple of 16.  width: channels of the first convolution, 32 in the paper.
    """

    def __init__(self, *, resolution: int, width: int, code_width: int) -> None:
        super().__init__()
        if resolution < 1 or resolution % 2**_HALVINGS:
            raise ValueError(f"input_voxels: expected a multiple of {2**_HALVINGS}, found {resolution}")
        self.resolution = resolution
        widths = [1, *(width * 2**level for level in range(_HALVINGS + 1))]
        self.layers = nn.ModuleList(
            nn.Conv3d(entry, out, kernel_size=3, padding=1, stride=2 if level else 1)
            for level, (entry, out) in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.code = nn.Linear(widths[-1] * (resolution // 2**_HALVINGS) ** 3, code_width)

    def forward(self, occupied: torch.Tensor) -> torch.Tensor:
        require_voxels(occupied, self.resolution)
        x = occupied[:, None].to(self.code.weight.dtype)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.code(x.flatten(1))
