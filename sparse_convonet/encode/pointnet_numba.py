"""The local-pool PointNet in one compiled loop, for inference on the CPU: runs of voxels stay in the first-level cache.

The same values as LocalPoolPointNet's layers, up to rounding.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.engine.kernels_numba import address_of
from sparse_convonet.engine.register_blocks import LANES, MAX_VECTORS, ROWS, row_tile
from sparse_convonet.runtime.numba_cache import njit

WIDTH = 2 * LANES  # the width that the kernel is written for
BLOCK = 64  # points at once; no voxel may hold more

_FLOAT_BYTES = 4
_TILE = min(2, MAX_VECTORS)  # vectors of one register tile
_dense_tile = row_tile(_TILE)


@njit
def _dense(sources, targets, weight, width_in, count):  # type: ignore[no-untyped-def]
    """WIDTH floats at each of `count` targets += width_in floats at the source @ weight (rows beyond may change too)."""
    for column in range(0, WIDTH, _TILE * LANES):
        offset = column * _FLOAT_BYTES
        for row in range(0, 8 * count, 8 * ROWS):
            _dense_tile(sources + row, targets + row, offset, weight + offset, WIDTH * _FLOAT_BYTES, width_in)


@njit
def _rectify(source, target, count, width):  # type: ignore[no-untyped-def]
    for n in range(count):
        for channel in range(width):
            target[n, channel] = max(source[n, channel], np.float32(0.0))


@njit
def _fill_rows(target, values, count):  # type: ignore[no-untyped-def]
    for n in range(count):
        for channel in range(WIDTH):
            target[n, channel] = values[channel]


@njit(cache=True, nogil=True)
def encode_voxels(  # type: ignore[no-untyped-def]
    offsets,  # (M, 3) float32
    counts,  # (V,) int64
    first_point,  # (V,) int64: where the points of each voxel begin
    lift,  # (3, 2 WIDTH) float32
    lift_bias,  # (2 WIDTH,)
    hints,  # (M, H) float32: further inputs of each point; H may be 0
    hint_lift,  # (H, 2 WIDTH)
    matrices,  # (blocks, 5 WIDTH, WIDTH) float32: inner (2 WIDTH rows), outer (WIDTH) and shortcut (2 WIDTH), inputs first
    biases,  # (blocks, 2, WIDTH): of inner and outer
    project,  # (WIDTH, WIDTH)
    project_bias,  # (WIDTH,)
    out,  # (V, WIDTH) float32, written
    begin,
    end,
):
    """Features of voxels begin to end."""
    blocks = len(matrices)
    # One array for all and one for their rows' addresses: both are used to the end, so Numba frees neither early.
    wide, narrow = np.zeros((2, BLOCK, 2 * WIDTH), dtype=np.float32), np.zeros((3, BLOCK, WIDTH), dtype=np.float32)
    rows = np.empty((5, BLOCK), dtype=np.int64)
    joined, rectified, inner, feature, projected = wide[0], wide[1], narrow[0], narrow[1], narrow[2]
    for n in range(BLOCK):
        for buffer in range(2):
            rows[buffer, n] = address_of(wide) + (buffer * BLOCK + n) * 2 * WIDTH * _FLOAT_BYTES
        for buffer in range(3):
            rows[2 + buffer, n] = address_of(narrow) + (buffer * BLOCK + n) * WIDTH * _FLOAT_BYTES
    step, matrix_bytes = 8 * BLOCK, WIDTH * WIDTH * _FLOAT_BYTES
    voxel = begin
    while voxel < end:
        first, count, last = first_point[voxel], 0, voxel
        while last < end and count + counts[last] <= BLOCK:
            count += counts[last]
            last += 1
        for n in range(count):
            x, y, z = offsets[first + n, 0], offsets[first + n, 1], offsets[first + n, 2]
            for channel in range(2 * WIDTH):
                value = lift_bias[channel] + x * lift[0, channel] + y * lift[1, channel] + z * lift[2, channel]
                joined[n, channel] = value
            for hint in range(len(hint_lift)):
                value = hints[first + n, hint]
                if value != np.float32(0.0):  # most scans have none
                    for channel in range(2 * WIDTH):
                        joined[n, channel] += value * hint_lift[hint, channel]
        at_rows = address_of(rows)
        for block in range(blocks):
            matrix = address_of(matrices) + block * 5 * matrix_bytes
            _rectify(joined, rectified, count, 2 * WIDTH)
            _fill_rows(inner, biases[block, 0], count)
            _dense(at_rows + step, at_rows + 2 * step, matrix, 2 * WIDTH, count)
            _rectify(inner, inner, count, WIDTH)
            _fill_rows(feature, biases[block, 1], count)
            _dense(at_rows + 2 * step, at_rows + 3 * step, matrix + 2 * matrix_bytes, WIDTH, count)
            _dense(at_rows, at_rows + 3 * step, matrix + 3 * matrix_bytes, 2 * WIDTH, count)
            if block + 1 == blocks:
                break
            point = 0
            for pooled in range(voxel, last):
                for channel in range(WIDTH):
                    highest = feature[point, channel]
                    for n in range(point + 1, point + counts[pooled]):
                        highest = max(highest, feature[n, channel])
                    for n in range(point, point + counts[pooled]):
                        joined[n, channel], joined[n, WIDTH + channel] = feature[n, channel], highest
                point += counts[pooled]
        # The mean commutes with the linear map, but not its rounding with that of the layers; both are far below 1e-5.
        point = 0
        for pooled in range(voxel, last):
            share = np.float32(1.0) / np.float32(counts[pooled])
            for channel in range(WIDTH):
                total = np.float32(0.0)
                for n in range(point, point + counts[pooled]):
                    total += feature[n, channel]
                inner[pooled - voxel, channel] = total * share
            point += counts[pooled]
        _fill_rows(projected, project_bias, last - voxel)
        _dense(at_rows + 2 * step, at_rows + 4 * step, address_of(project), WIDTH, last - voxel)
        for pooled in range(voxel, last):
            for channel in range(WIDTH):
                out[pooled, channel] = projected[pooled - voxel, channel]
        voxel = last
