"""Voxels like those of a scanned building, of any number."""

from __future__ import annotations

import numpy as np
import torch


def room_shell(voxels: int) -> torch.Tensor:
    """About that many voxels (V, 4) int32 of floor, ceiling and walls of a box, two voxels thick, sorted."""
    side = 2 + max(2, round((max(0, voxels - 16) / 12) ** 0.5))  # a box of side n has 12 (n - 2)^2 + 16
    everywhere, between, ends = np.arange(side), np.arange(2, side - 2), np.array([0, 1, side - 2, side - 1])
    slabs = [(ends, everywhere, everywhere), (between, ends, everywhere), (between, between, ends)]
    parts = [np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) for axes in slabs]
    shell = np.concatenate(parts)
    shell = shell[np.lexsort(shell.T[::-1])]
    return torch.from_numpy(np.concatenate([np.zeros((len(shell), 1)), shell], axis=1).astype(np.int32))


def points_in(voxels: torch.Tensor, per_voxel: int, seed: int = 0) -> torch.Tensor:
    """(V * per_voxel, 3) float32 random points, voxel coordinates, in voxels (V, 4)."""
    corners = voxels[:, 1:].repeat_interleave(per_voxel, dim=0).to(torch.float32)
    return corners + torch.rand(corners.shape, generator=torch.Generator().manual_seed(seed))
