"""Sparse convolution over neighbour tables in Numba: blocks of rows, all offsets within a block.

For each block and offset the pairs (row in, row out) present are listed, and register tiles
multiply them.  float32, contiguous, CPU.  Widths are those of `padded_width`.
"""

from __future__ import annotations

import numpy as np

import sparse_convonet.runtime.numba_pause  # noqa: F401 (for its effect on every kernel of the process)
from sparse_convonet.engine.register_blocks import LANES, MAX_VECTORS, ROWS, outer_tile, row_tile
from sparse_convonet.runtime.numba_cache import njit

_BLOCK = 256  # rows whose sums stay in the second-level cache while all offsets add to them
_GRADIENT_BLOCK = 64  # rows of features and gradients that stay in the first-level cache while each offset reads them

_row_tile_1, _row_tile_2, _row_tile_3 = row_tile(1), row_tile(min(2, MAX_VECTORS)), row_tile(MAX_VECTORS)
_outer_tile_1, _outer_tile_2, _outer_tile_3 = outer_tile(1), outer_tile(min(2, MAX_VECTORS)), outer_tile(MAX_VECTORS)


def padded_width(width: int) -> int:
    """The number of channels, at least `width`, that the kernels can work with."""
    return -(-width // LANES) * LANES


@njit(inline="always")
def address_of(array: np.ndarray) -> np.int64:
    """Where an array begins; signed, since Numba adds unsigned and signed integers as floats."""
    return np.int64(array.ctypes.data)


@njit(inline="always")
def _tile_vectors(vectors_left: int) -> int:
    """How many vectors the next tile takes: as even a split as possible (4 are 2 + 2, not 3 + 1)."""
    tiles = (vectors_left + MAX_VECTORS - 1) // MAX_VECTORS
    return (vectors_left + tiles - 1) // tiles


@njit(cache=True, nogil=True)
def accumulate(
    features: np.ndarray,  # (V_in, C_in)
    weight: np.ndarray,  # (K, C_in, C_out)
    table: np.ndarray,  # (V_out, K) int32, -1 for absent
    out: np.ndarray,  # (V_out, C_out), written
    begin: int,
    end: int,
) -> None:
    """out[v] = sum over k of features[table[v, k]] @ weight[k], for begin <= v < end."""
    volume, width_in, width_out = weight.shape
    feature_base, out_base, weight_base = address_of(features), address_of(out), address_of(weight)
    feature_bytes, out_bytes = 4 * width_in, 4 * width_out
    spare = np.zeros(width_out, dtype=np.float32)  # takes the sums of rows that only fill up a tile
    spare_address = address_of(spare)
    sources = np.empty(_BLOCK + ROWS, dtype=np.int64)
    targets = np.empty(_BLOCK + ROWS, dtype=np.int64)
    source_list, target_list = address_of(sources), address_of(targets)
    for first in range(begin, end, _BLOCK):
        last = min(first + _BLOCK, end)
        for row in range(first, last):  # here and not ahead of the loop: the block is in the cache afterwards
            for column in range(width_out):
                out[row, column] = 0.0
        for k in range(volume):
            count = 0
            for row in range(first, last):
                source = table[row, k]
                sources[count] = feature_base + np.int64(source) * feature_bytes
                targets[count] = out_base + row * out_bytes
                count += source >= 0
            if count == 0:
                continue
            for extra in range(count, count + ROWS - 1):
                sources[extra] = sources[0]
                targets[extra] = spare_address
            kernel = weight_base + k * width_in * out_bytes
            vector = 0
            while vector < width_out // LANES:
                vectors = _tile_vectors(width_out // LANES - vector)
                column = vector * LANES * 4
                for pair in range(0, count, ROWS):
                    s, t = source_list + 8 * pair, target_list + 8 * pair
                    if vectors == 1:
                        _row_tile_1(s, t, column, kernel + column, out_bytes, width_in)
                    elif vectors == 2:
                        _row_tile_2(s, t, column, kernel + column, out_bytes, width_in)
                    else:
                        _row_tile_3(s, t, column, kernel + column, out_bytes, width_in)
                vector += vectors


@njit(cache=True, nogil=True)
def weight_gradient(
    features: np.ndarray,  # (V_in, C_in)
    grad_out: np.ndarray,  # (V_out, C_out)
    table: np.ndarray,  # (V_out, K) int32, -1 for absent
    grad: np.ndarray,  # (K, C_in, C_out), added to
    begin: int,
    end: int,
) -> None:
    """grad[k] += sum over begin <= v < end of outer(features[table[v, k]], grad_out[v])."""
    volume, width_in, width_out = grad.shape
    feature_base, out_base, grad_base = address_of(features), address_of(grad_out), address_of(grad)
    feature_bytes, out_bytes = 4 * width_in, 4 * width_out
    sources = np.empty(_GRADIENT_BLOCK + 1, dtype=np.int64)
    targets = np.empty(_GRADIENT_BLOCK + 1, dtype=np.int64)
    s, t = address_of(sources), address_of(targets)
    for first in range(begin, end, _GRADIENT_BLOCK):
        last = min(first + _GRADIENT_BLOCK, end)
        for k in range(volume):
            count = 0
            for row in range(first, last):
                source = table[row, k]
                sources[count] = feature_base + np.int64(source) * feature_bytes
                targets[count] = out_base + row * out_bytes
                count += source >= 0
            if count == 0:
                continue
            vector = 0
            while vector < width_out // LANES:
                vectors = _tile_vectors(width_out // LANES - vector)
                column = vector * LANES * 4
                for i in range(0, width_in, ROWS):
                    kernel = grad_base + (k * width_in + i) * out_bytes + column
                    if vectors == 1:
                        _outer_tile_1(s, t, 4 * i, column, kernel, out_bytes, count)
                    elif vectors == 2:
                        _outer_tile_2(s, t, 4 * i, column, kernel, out_bytes, count)
                    else:
                        _outer_tile_3(s, t, 4 * i, column, kernel, out_bytes, count)
                vector += vectors
