"""The trilinear lookup in compiled loops on the CPU, with its gradients by the positions and by the features.

Queries that follow each other in the same cell share its search, so sorted queries are fast.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.engine.sweep_numba import lower_bound
from sparse_convonet.runtime.numba_cache import njit


@njit(cache=True, inline="always")
def _base_key(batch, bx, by, bz, stride):  # type: ignore[no-untyped-def]
    key = np.int64(batch)
    key = (key << AXIS_BITS) | (np.int64(bx) * stride + AXIS_LIMIT)
    key = (key << AXIS_BITS) | (np.int64(by) * stride + AXIS_LIMIT)
    return (key << AXIS_BITS) | (np.int64(bz) * stride + AXIS_LIMIT)


@njit(cache=True)
def _find_corners(keys, key, stride, rows):  # type: ignore[no-untyped-def]
    """Rows of the eight corners (x slowest, z fastest) in sorted `keys`, -1 where absent."""
    cells = keys.shape[0]
    for column in range(4):
        shifted = key
        if column & 2:
            shifted += np.int64(stride) << (2 * AXIS_BITS)
        if column & 1:
            shifted += np.int64(stride) << AXIS_BITS
        row = lower_bound(keys, 0, cells, shifted)
        rows[2 * column] = -1
        rows[2 * column + 1] = -1
        if row < cells and keys[row] == shifted:
            rows[2 * column] = row
            row += 1
        if row < cells and keys[row] == shifted + stride:
            rows[2 * column + 1] = row


@njit(cache=True, inline="always")
def _corner_weight(corner, x, y, z):  # type: ignore[no-untyped-def]
    """The trilinear weight of a corner at a place (x, y, z) between the first corner, 0, and the last one, 1."""
    wx = x if corner & 4 else 1.0 - x
    wy = y if corner & 2 else 1.0 - y
    wz = z if corner & 1 else 1.0 - z
    return np.float32(wx * wy * wz)


@njit(cache=True, nogil=True, fastmath=True)
def accumulate_level(  # type: ignore[no-untyped-def]
    keys, features, stride, queries_voxel, batch, out, weights, begin, end
):
    """Add one level's samples of queries begin to end to `out` (Q, C) float32, write their weights (Q,) float32.

    keys: (V,) int64 sorted.  features: (V, C) float32.  queries_voxel: (Q, 3).  batch: (Q,) int64.
    The same result as lookup.trilinear_lookup.
    """
    channels = features.shape[1]
    limit = AXIS_LIMIT // stride - 2
    rows = np.full(8, -1, dtype=np.int64)
    last = np.int64(-1)
    for query in range(begin, end):
        x = queries_voxel[query, 0] / stride - 0.5
        y = queries_voxel[query, 1] / stride - 0.5
        z = queries_voxel[query, 2] / stride - 0.5
        bx, by, bz = np.floor(x), np.floor(y), np.floor(z)
        if not (abs(bx) < limit and abs(by) < limit and abs(bz) < limit):
            weights[query] = 0.0
            continue
        key = _base_key(batch[query], bx, by, bz, stride)
        if key != last:
            last = key
            _find_corners(keys, key, stride, rows)
        total = np.float32(0.0)
        for corner in range(8):
            row = rows[corner]
            if row < 0:
                continue
            weight = _corner_weight(corner, x - bx, y - by, z - bz)
            total += weight
            for channel in range(channels):
                out[query, channel] += weight * features[row, channel]
        weights[query] = total


@njit(cache=True, nogil=True, fastmath=True)
def accumulate_position_gradient(  # type: ignore[no-untyped-def]
    keys, features, stride, queries_voxel, batch, feature_gradient, weight_gradient, out, begin, end
):
    """Add one level's share of the gradient by the positions to `out` (Q, 3) float32.

    feature_gradient: (Q, C) and weight_gradient: (Q,) float32, of a scalar by what accumulate_level gave.
    """
    channels = features.shape[1]
    limit = AXIS_LIMIT // stride - 2
    rows = np.full(8, -1, dtype=np.int64)
    last = np.int64(-1)
    for query in range(begin, end):
        x = queries_voxel[query, 0] / stride - 0.5
        y = queries_voxel[query, 1] / stride - 0.5
        z = queries_voxel[query, 2] / stride - 0.5
        bx, by, bz = np.floor(x), np.floor(y), np.floor(z)
        if not (abs(bx) < limit and abs(by) < limit and abs(bz) < limit):
            continue
        key = _base_key(batch[query], bx, by, bz, stride)
        if key != last:
            last = key
            _find_corners(keys, key, stride, rows)
        for corner in range(8):
            row = rows[corner]
            if row < 0:
                continue
            value = weight_gradient[query]
            for channel in range(channels):
                value += feature_gradient[query, channel] * features[row, channel]
            wx = x - bx if corner & 4 else 1.0 - (x - bx)
            wy = y - by if corner & 2 else 1.0 - (y - by)
            wz = z - bz if corner & 1 else 1.0 - (z - bz)
            value /= stride
            out[query, 0] += np.float32(value * wy * wz * (1.0 if corner & 4 else -1.0))
            out[query, 1] += np.float32(value * wx * wz * (1.0 if corner & 2 else -1.0))
            out[query, 2] += np.float32(value * wx * wy * (1.0 if corner & 1 else -1.0))


@njit(cache=True, nogil=True, fastmath=True)
def accumulate_feature_gradient(keys, stride, queries_voxel, batch, feature_gradient, out):  # type: ignore[no-untyped-def]
    """Add the gradient by one level's features to `out` (V, C) float32, query after query, so that sums keep their order.

    feature_gradient: (Q, C) float32, of a scalar by what accumulate_level added.
    """
    channels = out.shape[1]
    limit = AXIS_LIMIT // stride - 2
    rows = np.full(8, -1, dtype=np.int64)
    last = np.int64(-1)
    for query in range(len(queries_voxel)):
        x = queries_voxel[query, 0] / stride - 0.5
        y = queries_voxel[query, 1] / stride - 0.5
        z = queries_voxel[query, 2] / stride - 0.5
        bx, by, bz = np.floor(x), np.floor(y), np.floor(z)
        if not (abs(bx) < limit and abs(by) < limit and abs(bz) < limit):
            continue
        key = _base_key(batch[query], bx, by, bz, stride)
        if key != last:
            last = key
            _find_corners(keys, key, stride, rows)
        for corner in range(8):
            row = rows[corner]
            if row < 0:
                continue
            weight = _corner_weight(corner, x - bx, y - by, z - bz)
            for channel in range(channels):
                out[row, channel] += weight * feature_gradient[query, channel]
