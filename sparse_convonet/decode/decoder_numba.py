"""Lookup and decoder in one compiled loop, for inference on the CPU: blocks of queries stay in the first-level cache.

The same values as SparseField.sample and OccupancyDecoder.forward, up to rounding.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, AXIS_LIMIT
from sparse_convonet.engine.kernels_numba import address_of
from sparse_convonet.engine.register_blocks import LANES, MAX_VECTORS, ROWS, row_tile, weighted_row_sum
from sparse_convonet.engine.sweep_numba import lower_bound
from sparse_convonet.runtime.numba_cache import njit

WIDTH = 2 * LANES  # channels of a sampled feature and of the decoder that the kernel is written for
FREQUENCIES = 2  # of the periodic position code, see decoder.encode_position

_BLOCK = 64  # queries whose buffers stay in the first-level cache
_CACHE_BITS = 9  # of cells whose corners a thread remembers, per level
_MIX = 0x9E3779B97F4A7C15 >> 1  # spreads keys over the cache (the golden ratio in fixed point)
_POSITION_WIDTH = 6 * FREQUENCIES
_FLOAT_BYTES = 4

_TILE = min(2, MAX_VECTORS)  # vectors of one register tile
_dense_tile = row_tile(_TILE)
_sum_rows = weighted_row_sum(WIDTH // LANES)


@njit
def _sine_cosine(turns):  # type: ignore[no-untyped-def]
    """sin and cos of 2 pi turns, for 0 <= turns <= 1, to 1e-7: a half turn is split off, Taylor does the rest."""
    halves = np.floor(2 * turns + 0.5)
    y = 2 * np.pi * (turns - 0.5 * halves)  # within a quarter turn of zero
    sign = 1.0 - 2.0 * (halves - 2.0 * np.floor(0.5 * halves))
    s = y * y
    sine = y * (1 - s / 6 * (1 - s / 20 * (1 - s / 42 * (1 - s / 72 * (1 - s / 110 * (1 - s / 156))))))
    cosine = 1 - s / 2 * (1 - s / 12 * (1 - s / 30 * (1 - s / 56 * (1 - s / 90 * (1 - s / 132 * (1 - s / 182))))))
    return np.float32(sign * sine), np.float32(sign * cosine)


@njit
def _find_corners(keys, begin, end, key, stride, feature_base, zero_row, addresses, present, at):  # type: ignore[no-untyped-def]
    """Addresses and presence of a cell's corners (x slowest, z fastest), from entry `at` on; absent ones read zeros."""
    for column in range(4):
        shifted = key
        if column & 2:
            shifted += np.int64(stride) << (2 * AXIS_BITS)
        if column & 1:
            shifted += np.int64(stride) << AXIS_BITS
        row = lower_bound(keys, begin, end, shifted)
        for corner in range(at + 2 * column, at + 2 * column + 2):
            found = row < end and keys[row] == shifted
            addresses[corner] = feature_base + row * (WIDTH * _FLOAT_BYTES) if found else zero_row
            present[corner] = np.float32(found)
            row += found
            shifted += stride


@njit
def _weigh_corners(fx, fy, fz, weights, at):  # type: ignore[no-untyped-def]
    """The eight trilinear weights of a position within its cell, from entry `at` on."""
    gx, gy, gz = np.float32(1.0) - fx, np.float32(1.0) - fy, np.float32(1.0) - fz
    low, middle, high, top = gx * gy, gx * fy, fx * gy, fx * fy
    weights[at], weights[at + 1] = low * gz, low * fz
    weights[at + 2], weights[at + 3] = middle * gz, middle * fz
    weights[at + 4], weights[at + 5] = high * gz, high * fz
    weights[at + 6], weights[at + 7] = top * gz, top * fz


@njit
def _dense(sources, targets, weight, width_in):  # type: ignore[no-untyped-def]
    """Rows at targets (WIDTH floats) += rows at sources (width_in floats) @ weight, for a whole block."""
    for column in range(0, WIDTH, _TILE * LANES):
        offset = column * _FLOAT_BYTES
        for row in range(0, 8 * _BLOCK, 8 * ROWS):
            _dense_tile(sources + row, targets + row, offset, weight + offset, WIDTH * _FLOAT_BYTES, width_in)


@njit(cache=True, nogil=True, fastmath={"contract"})
def occupancy_logits(  # type: ignore[no-untyped-def]
    queries_voxel,  # (Q, 3) float32 or float64
    batch,  # (Q,) int64
    keys,  # (V,) int64, of all levels one after the other, sorted within each
    features,  # (V, WIDTH) float32
    level_starts,  # (L + 1,) int64
    strides,  # (L,) int64
    lift,  # (12 + L, WIDTH) float32
    lift_bias,  # (WIDTH,)
    matrices,  # (blocks, 3, WIDTH, WIDTH) float32: of the feature, inner and outer maps, inputs first
    biases,  # (blocks, 3, WIDTH)
    logit_weight,  # (WIDTH,)
    logit_bias,
    logits,  # (Q,) float32, written
    known,  # (Q,) bool, written: whether any level has a cell there
    begin,
    end,
):
    """Logits of queries begin to end, and whether they mean anything."""
    levels, blocks = len(strides), len(matrices)
    cached_keys = np.empty(levels << _CACHE_BITS, dtype=np.int64)
    for slot in range(len(cached_keys)):
        cached_keys[slot] = -1
    cached_addresses = np.empty(8 * levels << _CACHE_BITS, dtype=np.int64)
    cached_presence = np.empty(8 * levels << _CACHE_BITS, dtype=np.float32)
    addresses, corner_weights = np.empty(8 * levels, dtype=np.int64), np.empty(8 * levels, dtype=np.float32)
    zeros = np.zeros(WIDTH, dtype=np.float32)
    zero_row = address_of(zeros)
    code = np.zeros((_BLOCK, _POSITION_WIDTH + levels), dtype=np.float32)
    # One array for all and one for their rows' addresses: both are used to the end, so Numba frees neither early.
    buffers, rows = np.zeros((4, _BLOCK, WIDTH), dtype=np.float32), np.empty((5, _BLOCK), dtype=np.int64)
    x, rectified, inner = buffers[0], buffers[1], buffers[2]
    for n in range(_BLOCK):
        for buffer in range(4):
            rows[buffer, n] = address_of(buffers) + (buffer * _BLOCK + n) * WIDTH * _FLOAT_BYTES
        rows[4, n] = address_of(code) + n * code.shape[1] * _FLOAT_BYTES
    at_x = address_of(rows)
    at_rectified, at_inner = at_x + 8 * _BLOCK, at_x + 16 * _BLOCK
    at_sampled, at_code = at_x + 24 * _BLOCK, at_x + 32 * _BLOCK
    at_addresses, at_weights, at_matrices = address_of(addresses), address_of(corner_weights), address_of(matrices)
    feature_base, zero = address_of(features), np.float32(0.0)
    for first in range(begin, end, _BLOCK):
        count = min(_BLOCK, end - first)
        for n in range(count):
            px, py, pz = queries_voxel[first + n, 0], queries_voxel[first + n, 1], queries_voxel[first + n, 2]
            for axis in range(3):
                position = queries_voxel[first + n, axis]
                sine, cosine = _sine_cosine(np.float64(position) - np.floor(np.float64(position)))
                code[n, axis], code[n, 3 + axis] = sine, 2 * sine * cosine
                code[n, 6 + axis], code[n, 9 + axis] = cosine, 1 - 2 * sine * sine
            weight_known = zero
            for level in range(levels):
                stride = strides[level]
                scale, limit = 1.0 / stride, AXIS_LIMIT // stride - 2
                ux, uy, uz = px * scale - 0.5, py * scale - 0.5, pz * scale - 0.5
                bx, by, bz = np.floor(ux), np.floor(uy), np.floor(uz)
                at, total = 8 * level, zero
                _weigh_corners(np.float32(ux - bx), np.float32(uy - by), np.float32(uz - bz), corner_weights, at)
                if abs(bx) < limit and abs(by) < limit and abs(bz) < limit:
                    key = np.int64(batch[first + n])
                    key = (key << AXIS_BITS) | (np.int64(bx) * stride + AXIS_LIMIT)
                    key = (key << AXIS_BITS) | (np.int64(by) * stride + AXIS_LIMIT)
                    key = (key << AXIS_BITS) | (np.int64(bz) * stride + AXIS_LIMIT)
                    slot = ((key * np.int64(_MIX)) >> np.int64(63 - _CACHE_BITS)) & np.int64((1 << _CACHE_BITS) - 1)
                    slot += level << _CACHE_BITS
                    if cached_keys[slot] != key:
                        cached_keys[slot] = key
                        _find_corners(
                            keys, level_starts[level], level_starts[level + 1], key, stride, feature_base, zero_row,
                            cached_addresses, cached_presence, 8 * slot,
                        )  # fmt: skip
                    for corner in range(8):
                        addresses[at + corner] = cached_addresses[8 * slot + corner]
                        total += corner_weights[at + corner] * cached_presence[8 * slot + corner]
                else:
                    for corner in range(8):
                        addresses[at + corner] = zero_row
                code[n, _POSITION_WIDTH + level] = total
                weight_known += total
            known[first + n] = weight_known > zero
            _sum_rows(at_addresses, at_weights, rows[3, n], 8 * levels)
        for n in range(_BLOCK):
            for channel in range(WIDTH):
                x[n, channel] = lift_bias[channel]
        _dense(at_code, at_x, address_of(lift), code.shape[1])
        for block in range(blocks):
            matrix = at_matrices + block * 3 * WIDTH * WIDTH * _FLOAT_BYTES
            _dense(at_sampled, at_x, matrix, WIDTH)
            for n in range(_BLOCK):
                for channel in range(WIDTH):
                    value = x[n, channel] + biases[block, 0, channel]
                    x[n, channel] = value + biases[block, 2, channel]
                    rectified[n, channel] = max(value, zero)
                    inner[n, channel] = biases[block, 1, channel]
            _dense(at_rectified, at_inner, matrix + WIDTH * WIDTH * _FLOAT_BYTES, WIDTH)
            for n in range(_BLOCK):
                for channel in range(WIDTH):
                    inner[n, channel] = max(inner[n, channel], zero)
            _dense(at_inner, at_x, matrix + 2 * WIDTH * WIDTH * _FLOAT_BYTES, WIDTH)
        for n in range(count):
            total = logit_bias
            for channel in range(WIDTH):
                total += max(x[n, channel], zero) * logit_weight[channel]
            logits[first + n] = total
    return zeros[0]  # keeps the row of zeros alive to the end
