"""Sparse convolution over neighbour tables in Triton, for CUDA: gather and matrix product fused, nothing scattered.

Each program sums all offsets of a block of output rows in registers (output-stationary implicit matrix product, as in
TorchSparse++, Tang et al., MICRO 2023), so that no gathered copy of the features is ever written.  Sums are float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_ROWS = 64  # of the output per program
_MOST_CHANNELS = 64  # of a tile
_ROWS_PER_SUM = 4096  # of the weight gradient, at least
_MOST_SUMS = 64

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def gather_sum(features: torch.Tensor, weight: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """(V_in, C_in), (K, C_in, C_out), (V_out, K) int32 -> (V_out, C_out): sum of features[table[:, k]] @ weight[k].

    -1 in the table: no neighbour.  One of DTYPES.  float32 is multiplied as torch.get_float32_matmul_precision says.
    """
    volume, width_in, width_out = weight.shape
    out = features.new_empty(len(table), width_out)
    columns = _tile_width(width_out)
    if out.numel():
        _gather_sum[(triton.cdiv(len(table), _ROWS), triton.cdiv(width_out, columns))](
            features.contiguous(),
            weight.contiguous(),
            table.contiguous(),
            out,
            len(table),
            width_in,
            width_out,
            VOLUME=volume,
            ROWS=_ROWS,
            CHANNELS=_tile_width(width_in),
            COLUMNS=columns,
            PRECISION=_precision(),
        )
    return out


def weight_gradient(features: torch.Tensor, grad_out: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """(V_in, C_in), (V_out, C_out), (V_out, K) int32 -> (K, C_in, C_out): outer products of the rows that are joined.

    Parts of the rows are summed apart and then together in one order, so that equal calls give equal bits.
    """
    volume, width_in, width_out = table.shape[1], features.shape[1], grad_out.shape[1]
    channels, columns = _tile_width(width_in), _tile_width(width_out)
    sums = min(max(1, len(table) // _ROWS_PER_SUM), _MOST_SUMS)
    partial = features.new_empty((sums, volume, width_in, width_out), dtype=torch.float32)
    tiles = triton.cdiv(width_in, channels) * triton.cdiv(width_out, columns)
    if partial.numel():
        _weight_gradient[(volume, tiles, sums)](
            features.contiguous(),
            grad_out.contiguous(),
            table.contiguous(),
            partial,
            len(table),
            triton.cdiv(triton.cdiv(len(table), sums), _ROWS) * _ROWS,
            width_in,
            width_out,
            VOLUME=volume,
            ROWS=_ROWS,
            CHANNELS=channels,
            COLUMNS=columns,
            PRECISION=_precision(),
        )
    return partial.sum(dim=0).to(features.dtype)


def _tile_width(channels: int) -> int:
    """A power of two of at least 16, as tl.dot wants."""
    return max(16, min(_MOST_CHANNELS, triton.next_power_of_2(channels)))


def _precision() -> str:
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


@triton.jit
def _gather_sum(
    features,
    weight,
    table,
    out,
    rows,
    width_in,
    width_out,
    VOLUME: tl.constexpr,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    is_column = column < width_out
    total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
    for k in range(VOLUME):
        source = tl.load(table + row * VOLUME + k, mask=row < rows, other=-1).to(tl.int64)
        if tl.max(source, axis=0) >= 0:
            for first in range(0, width_in, CHANNELS):
                channel = first + tl.arange(0, CHANNELS)
                is_channel = channel < width_in
                left = tl.load(
                    features + source[:, None] * width_in + channel[None, :],
                    mask=(source >= 0)[:, None] & is_channel[None, :],
                    other=0.0,
                )
                right = tl.load(
                    weight + (k * width_in + channel)[:, None] * width_out + column[None, :],
                    mask=is_channel[:, None] & is_column[None, :],
                    other=0.0,
                )
                total += tl.dot(left, right, input_precision=PRECISION)
    tl.store(
        out + row[:, None] * width_out + column[None, :],
        total.to(out.dtype.element_ty),
        mask=(row < rows)[:, None] & is_column[None, :],
    )


@triton.jit
def _weight_gradient(
    features,
    grad_out,
    table,
    partial,
    rows,
    rows_per_sum,
    width_in,
    width_out,
    VOLUME: tl.constexpr,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
    COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    k, part = tl.program_id(0), tl.program_id(2)
    tiles_across = tl.cdiv(width_out, COLUMNS)
    channel = tl.program_id(1) // tiles_across * CHANNELS + tl.arange(0, CHANNELS)
    column = tl.program_id(1) % tiles_across * COLUMNS + tl.arange(0, COLUMNS)
    is_channel, is_column = channel < width_in, column < width_out
    total = tl.zeros((CHANNELS, COLUMNS), dtype=tl.float32)
    for first in range(part * rows_per_sum, min((part + 1) * rows_per_sum, rows), ROWS):
        row = first + tl.arange(0, ROWS).to(tl.int64)
        source = tl.load(table + row * VOLUME + k, mask=row < rows, other=-1).to(tl.int64)
        present = source >= 0
        if tl.max(source, axis=0) >= 0:
            left = tl.load(
                features + source[None, :] * width_in + channel[:, None],
                mask=present[None, :] & is_channel[:, None],
                other=0.0,
            )
            right = tl.load(
                grad_out + row[:, None] * width_out + column[None, :],
                mask=present[:, None] & is_column[None, :],
                other=0.0,
            )
            total += tl.dot(left, right, input_precision=PRECISION)
    tl.store(
        partial + ((part * VOLUME + k) * width_in + channel)[:, None] * width_out + column[None, :],
        total,
        mask=is_channel[:, None] & is_column[None, :],
    )
