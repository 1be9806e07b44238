"""Points to voxels: packed keys, one sort, a cap on the points of a voxel."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys

_HASH_STEPS_PER_VOXEL = 1024


@dataclass(frozen=True)
class Voxels:
    """Occupied voxels of a batch of scenes, sorted by key, and the points kept in each.

    coordinates: (V, 4) int32 [batch, x, y, z].  offsets: (M, 3) float32, kept points relative to the
    centre of their voxel in units of the voxel, within [-0.5, 0.5], sorted by voxel.
    counts: (V,) int64 kept points per voxel, at least one.  owner: (M,) int64 voxel of each kept point.
    """

    coordinates: torch.Tensor
    offsets: torch.Tensor
    counts: torch.Tensor
    owner: torch.Tensor

    def split(self, size: int) -> list[Voxels]:
        """Runs of at most `size` voxels with their points; at least one, which may be empty."""
        starts = torch.arange(0, max(1, len(self.counts)), size)
        ends = (starts + size).clamp(max=len(self.counts))
        points = torch.cat([self.counts.new_zeros(1), torch.cumsum(self.counts, 0)]).cpu()
        return [
            Voxels(
                coordinates=self.coordinates[begin:end],
                offsets=self.offsets[points[begin] : points[end]],
                counts=self.counts[begin:end],
                owner=self.owner[points[begin] : points[end]] - begin,
            )
            for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]


def voxelise(points_voxel: torch.Tensor, batch: torch.Tensor, points_per_voxel: int) -> Voxels:
    """Group points (N, 3), in voxel coordinates, of scenes `batch` (N,) int64 by voxel.

    At most `points_per_voxel` points of a voxel are kept.  Which ones depends on their positions
    alone (a hash decides), so the order of the points does not matter.  Raises ValueError where
    coordinates leave the range of the keys (see coordinates.pack_keys).
    """
    index = torch.floor(points_voxel)
    offsets = (points_voxel - index - 0.5).to(torch.float32)
    keys = pack_keys(torch.cat([batch[:, None], index.to(torch.int64)], dim=1))
    order = torch.argsort(offsets[:, 0])  # decides between points of equal hash
    order = order[torch.argsort(_position_hash(offsets)[order], stable=True)]
    order = order[torch.argsort(keys[order], stable=True)]
    unique, counts = torch.unique_consecutive(keys[order], return_counts=True)
    owner = torch.repeat_interleave(torch.arange(len(unique), device=keys.device), counts)
    first = torch.cumsum(counts, 0) - counts
    keep = torch.arange(len(order), device=keys.device) - first[owner] < points_per_voxel
    return Voxels(
        coordinates=unpack_keys(unique).to(torch.int32),
        offsets=offsets[order[keep]],
        counts=counts.clamp(max=points_per_voxel),
        owner=owner[keep],
    )


def _position_hash(offsets: torch.Tensor) -> torch.Tensor:
    """(N, 3) float32 -> (N,) int64 pseudo-random values that depend on the positions only.

    Positions count in coarse steps, so that rounding in a scan far from its origin changes no choice.
    """
    bits = torch.floor(offsets * _HASH_STEPS_PER_VOXEL).to(torch.int64)
    mixed = bits[:, 0] * 73856093 ^ bits[:, 1] * 19349663 ^ bits[:, 2] * 83492791
    mixed = mixed * 6364136223846793005 + 1442695040888963407  # the multiplier of Knuth's MMIX generator
    return mixed ^ (mixed >> 29)
