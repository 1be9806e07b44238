"""Choosing the points that a voxel keeps, and counting those around it, in compiled passes over the voxels."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit


@njit
def _hash(x, y, z, steps):  # type: ignore[no-untyped-def]
    """As voxelise._position_hash."""
    mixed = np.int64(np.floor(x * steps)) * np.int64(73856093)
    mixed ^= np.int64(np.floor(y * steps)) * np.int64(19349663)
    mixed ^= np.int64(np.floor(z * steps)) * np.int64(83492791)
    mixed = mixed * np.int64(6364136223846793005) + np.int64(1442695040888963407)
    return mixed ^ (mixed >> np.int64(29))


@njit(cache=True, nogil=True)
def keep_lowest(  # type: ignore[no-untyped-def]
    offsets,  # (N, 3) float32, all points
    order,  # (N,) int64: points sorted by voxel
    first,  # (V + 1,) int64: where the points of each voxel begin in `order`
    kept_first,  # (V + 1,) int64: where its kept points begin in `kept`
    cap,
    hash_steps,  # float32: positions are hashed in so many steps per voxel
    kept,  # (M,) int64, written: the kept points
    owner,  # (M,) int64, written: their voxels
    begin,
    end,
):
    """Write the `cap` points of lowest hash, then x, of voxels begin to end, in that order."""
    hashes, points = np.empty(cap, dtype=np.int64), np.empty(cap, dtype=np.int64)
    for voxel in range(begin, end):
        count = 0
        for place in range(first[voxel], first[voxel + 1]):
            point = order[place]
            x = offsets[point, 0]
            value = _hash(x, offsets[point, 1], offsets[point, 2], hash_steps)
            slot = count
            while slot > 0 and (
                hashes[slot - 1] > value or (hashes[slot - 1] == value and offsets[points[slot - 1], 0] > x)
            ):
                slot -= 1
            if slot == cap:
                continue
            count = min(count + 1, cap)
            for later in range(count - 1, slot, -1):
                hashes[later], points[later] = hashes[later - 1], points[later - 1]
            hashes[slot], points[slot] = value, point
        for slot in range(count):
            row = kept_first[voxel] + slot
            owner[row] = voxel
            kept[row] = points[slot]


@njit(cache=True, nogil=True)
def add_around(  # type: ignore[no-untyped-def]
    keys,  # (V,) int64, ascending
    passed,  # (V + 1,) int64: points in all voxels before each
    low,  # to add to a key: the first voxel of the column that is looked at
    high,  # the last
    held,  # (V,) int64, added to: points in the column
    occupied,  # (V,) int64, added to: its voxels
    begin,
    end,
):
    """Add what voxels begin to end have in one column of voxels beside each."""
    if begin == end:
        return
    first = np.searchsorted(keys, keys[begin] + low)
    after = first
    for voxel in range(begin, end):
        while first < len(keys) and keys[first] < keys[voxel] + low:
            first += 1
        after = max(after, first)
        while after < len(keys) and keys[after] <= keys[voxel] + high:
            after += 1
        held[voxel] += passed[after] - passed[first]
        occupied[voxel] += after - first
