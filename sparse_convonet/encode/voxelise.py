"""Points to voxels: packed keys, one sort, a cap on the points of a voxel, fewer points where there are many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from sparse_convonet.coordinates import key_shift, pack_keys, unpack_keys
from sparse_convonet.encode import voxelise_numba
from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.runtime.threads import run_ranges

_HASH_STEPS_PER_VOXEL = 1024
_HASH_BITS = 24  # of the positions' hash, the highest, decide whether a point goes where there are many
_VOXELS_PER_PART = 16384
# A network is shown so many points for each occupied voxel in the mean of a voxel and the 26 around it.  With many more,
# the tails of the noise fill voxels beside those of the surface.  What is farther apart is thinned apart, so that a thin
# wall near a dense one stays.
MEAN_POINTS = 3.0
THINNED_BY = 1  # voxels around one, by which its share is told


@dataclass(frozen=True)
class Voxels:
    """Occupied voxels of a batch of scenes, sorted by key, and the points kept in each.

    coordinates: (V, 4) int32 [batch, x, y, z].  offsets: (M, 3) float32, kept points relative to the
    centre of their voxel in units of the voxel, within [-0.5, 0.5], sorted by voxel.
    counts: (V,) int64 kept points per voxel, at least one.  owner: (M,) int64 voxel of each kept point.
    rows: (M,) int64 which of the points given each kept point is.
    """

    coordinates: torch.Tensor
    offsets: torch.Tensor
    counts: torch.Tensor
    owner: torch.Tensor
    rows: torch.Tensor

    def within(self, low: torch.Tensor, high: torch.Tensor) -> Voxels:
        """Those in a box of voxels, low (3,) <= index < high (3,), of whatever scene."""
        index = self.coordinates[:, 1:]
        inside = ((index >= low) & (index < high)).all(dim=1)
        kept, number = inside[self.owner], torch.cumsum(inside, 0) - 1
        return Voxels(
            self.coordinates[inside],
            self.offsets[kept],
            self.counts[inside],
            number[self.owner[kept]],
            self.rows[kept],
        )


def voxelise(
    points_voxel: torch.Tensor, batch: torch.Tensor, points_per_voxel: int, mean_points: float | None = None
) -> Voxels:
    """Group points (N, 3), in voxel coordinates, of scenes `batch` (N,) int64 by voxel.

    At most `points_per_voxel` points of a voxel are kept.  Which ones depends on their positions
    alone (a hash decides), so the order of the points does not matter.  mean_points: where a voxel and those within
    THINNED_BY of it hold more for each that is occupied, that share of its points is kept, and voxels without any are not
    there.  None: all.  Raises ValueError where coordinates leave the range of the keys (see coordinates.pack_keys).
    """
    index = torch.floor(points_voxel)
    offsets = (points_voxel - index - 0.5).to(torch.float32)
    keys = pack_keys(torch.cat([batch[:, None], index.to(torch.int64)], dim=1))
    in_one_pass = compiled_loops_take(keys)  # elsewhere sorting chooses the same points
    order = torch.argsort(keys, stable=True) if in_one_pass else _order_by_voxel_and_hash(keys, offsets)
    unique, counts = torch.unique_consecutive(keys[order], return_counts=True)
    if mean_points is not None:
        unique, counts, order = _thinned(unique, counts, order, offsets, mean_points)
    coordinates, kept_counts = unpack_keys(unique).to(torch.int32), counts.clamp(max=points_per_voxel)
    if in_one_pass:
        rows, owner = _keep_lowest(offsets, order, counts, kept_counts, points_per_voxel)
    else:
        owner = torch.repeat_interleave(torch.arange(len(unique), device=keys.device), counts)
        first = torch.cumsum(counts, 0) - counts
        keep = torch.arange(len(order), device=keys.device) - first[owner] < points_per_voxel
        rows, owner = order[keep], owner[keep]
    return Voxels(coordinates=coordinates, offsets=offsets[rows], counts=kept_counts, owner=owner, rows=rows)


def _thinned(
    unique: torch.Tensor, counts: torch.Tensor, order: torch.Tensor, offsets: torch.Tensor, mean_points: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys of the voxels (V,), counts (V,) and points by voxel (N,) without what voxels hold beyond the mean."""
    if bool((counts <= mean_points).all()):
        return unique, counts, order
    held, occupied = _around(unique, counts)
    share = mean_points * occupied / held
    owner = torch.repeat_interleave(torch.arange(len(unique), device=unique.device), counts)
    chance = _position_hash(offsets[order]) >> (63 - _HASH_BITS)
    kept = chance < (share * (1 << _HASH_BITS))[owner]
    full = counts >= held / occupied  # these keep a point at least
    lowest = torch.full_like(counts, 1 << _HASH_BITS).scatter_reduce_(0, owner, chance, "amin")
    kept |= (chance == lowest[owner]) & full[owner]
    left = torch.bincount(owner[kept], minlength=len(unique))
    return unique[left > 0], left[left > 0], order[kept]


def _around(unique: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(V,) points in each voxel and those within THINNED_BY of it, and (V,) how many of these voxels there are."""
    passed = functional.pad(torch.cumsum(counts, 0), (1, 0))
    held, occupied = torch.zeros_like(counts), torch.zeros_like(counts)
    arrays = tuple(each.numpy() for each in (unique, passed, held, occupied)) if compiled_loops_take(unique) else None
    for dx in range(-THINNED_BY, THINNED_BY + 1):
        for dy in range(-THINNED_BY, THINNED_BY + 1):  # voxels along z follow each other
            low, high = key_shift(dx, dy, -THINNED_BY), key_shift(dx, dy, THINNED_BY)
            if arrays is not None:
                _add_around(low, high, *arrays)
                continue
            first = torch.searchsorted(unique, unique + low)
            after = torch.searchsorted(unique, unique + high, right=True)
            held += passed[after] - passed[first]
            occupied += after - first
    return held, occupied


def _add_around(
    low: int, high: int, keys: np.ndarray, passed: np.ndarray, held: np.ndarray, occupied: np.ndarray
) -> None:
    run_ranges(
        lambda part, begin, end: voxelise_numba.add_around(keys, passed, low, high, held, occupied, begin, end),
        count=len(keys),
        parts=1 + len(keys) // _VOXELS_PER_PART,
    )


def _order_by_voxel_and_hash(keys: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """(N,) int64: points sorted by voxel, then by the hash of their position, then by x."""
    order = torch.argsort(offsets[:, 0])
    order = order[torch.argsort(_position_hash(offsets)[order], stable=True)]
    return order[torch.argsort(keys[order], stable=True)]


def _keep_lowest(
    offsets: torch.Tensor, order: torch.Tensor, counts: torch.Tensor, kept_counts: torch.Tensor, cap: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (M,) and voxels (M,) of the points kept, the same as by sorting all of them."""
    first, kept_first = (functional.pad(torch.cumsum(each, 0), (1, 0)) for each in (counts, kept_counts))
    kept, owner = (torch.empty(int(kept_first[-1]), dtype=torch.int64) for _ in range(2))
    inputs = (offsets.numpy(), order.numpy(), first.numpy(), kept_first.numpy(), cap, np.float32(_HASH_STEPS_PER_VOXEL))
    outputs = (kept.numpy(), owner.numpy())
    run_ranges(
        lambda part, begin, end: voxelise_numba.keep_lowest(*inputs, *outputs, begin, end),
        count=len(counts),
        parts=1 + len(counts) // _VOXELS_PER_PART,
    )
    return kept, owner


def _position_hash(offsets: torch.Tensor) -> torch.Tensor:
    """(N, 3) float32 -> (N,) int64 pseudo-random values that depend on the positions only.

    None is negative, and each of the other 63 bits is as often set as not.  Positions count in coarse steps, so that
    rounding in a scan far from its origin changes no choice.
    """
    bits = torch.floor(offsets * _HASH_STEPS_PER_VOXEL).to(torch.int64)
    mixed = bits[:, 0] * 73856093 ^ bits[:, 1] * 19349663 ^ bits[:, 2] * 83492791
    mixed = mixed * 6364136223846793005 + 1442695040888963407  # the multiplier of Knuth's MMIX generator
    return mixed ^ (mixed >> 29)
