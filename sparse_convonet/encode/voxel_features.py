"""Features of the voxels of an occupied grid: the encoder of the papers' voxel super-resolution."""

from __future__ import annotations

import torch
from torch import nn


class VoxelFeatures(nn.Module):
    """Occupied voxels of the unit cube -> one feature per voxel, occupied or not.

    Peng et al. 2020, section 4.2 and supplementary: one convolution of 3^3 and ReLU.  resolution: R, voxels along the cube.
    """

    def __init__(self, *, resolution: int, feature_width: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.first = nn.Conv3d(1, feature_width, kernel_size=3, padding=1)

    def forward(self, occupied: torch.Tensor) -> torch.Tensor:
        """(B, R, R, R) 0 or 1, axes x, y, z -> (B R^3, C), z fastest."""
        features = torch.relu(self.first(occupied[:, None].to(self.first.weight.dtype)))
        return features.flatten(2).transpose(1, 2).flatten(0, 1)

    def places(self, scenes: int) -> torch.Tensor:
        """(B R^3, 3): where the features sit in the unit cube; as published, the outermost ones on its faces."""
        steps = torch.linspace(-0.5, 0.5, self.resolution, device=self.first.weight.device)
        lattice = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), dim=-1)
        return lattice.reshape(-1, 3).repeat(scenes, 1)


def voxels_of_points(points: torch.Tensor, batch: torch.Tensor, scenes: int, resolution: int) -> torch.Tensor:
    """(B, R, R, R) float32: 1 where a voxel of the unit cube holds points (N, 3); those beyond it count at its border."""
    cells = torch.floor((points + 0.5) * resolution).long().clamp(0, resolution - 1)
    found = points.new_zeros(scenes, *[resolution] * 3, dtype=torch.float32)
    found[batch, cells[:, 0], cells[:, 1], cells[:, 2]] = 1.0
    return found


def require_voxels(occupied: torch.Tensor, resolution: int) -> None:
    """Raise ValueError for another shape than (B, R, R, R)."""
    expected = (len(occupied), *[resolution] * 3)
    if occupied.shape != expected:
        raise ValueError(
            f"voxels: expected an array of shape (B, {', '.join(map(str, expected[1:]))}), found "
            f"{tuple(occupied.shape)}"
        )
