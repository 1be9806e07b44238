"""Reductions over the points of each voxel; points are sorted by voxel."""

from __future__ import annotations

import torch

from sparse_convonet.encode.voxelise import Voxels


def segment_max(features: torch.Tensor, voxels: Voxels) -> torch.Tensor:
    """(M, C) point features -> (V, C) their maximum per voxel."""
    return torch.segment_reduce(features, "max", lengths=voxels.counts, unsafe=True)


def segment_mean(features: torch.Tensor, voxels: Voxels) -> torch.Tensor:
    """(M, C) point features -> (V, C) their mean per voxel."""
    total = features.new_zeros(len(voxels.counts), features.shape[1]).index_add(0, voxels.owner, features)
    return total / voxels.counts[:, None].to(features.dtype)
