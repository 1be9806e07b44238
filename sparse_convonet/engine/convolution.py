"""The sum at the heart of sparse convolution, with its gradients, over neighbour tables."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

from sparse_convonet.engine import kernels_numba
from sparse_convonet.engine.compiled_loops import compiled_loops_take
from sparse_convonet.runtime.threads import run_ranges

_ROWS_PER_PART = 2048  # of the Numba forward pass: small enough to share out evenly
_ROWS_PER_PRODUCT = 1 << 18  # of torch's products: bounds the gathered copies
TRITON_SWITCH = "SPARSE_CONVONET_TRITON"  # environment variable: 1 for the Triton kernels on CUDA


def convolve(
    features: torch.Tensor,  # (V_in, C_in)
    weight: torch.Tensor,  # (K, C_in, C_out)
    table: torch.Tensor,  # (V_out, K) int32: row of the input at each offset, -1 where absent
    inverse: torch.Tensor | None = None,  # (V_in, K) int32: row of the output that reads each input at offset k
) -> torch.Tensor:
    """(V_out, C_out): sum over k of features[table[:, k]] @ weight[k], absent neighbours counting zero.

    Without `inverse` the table must be its own inverse with the order of the offsets reversed, as it
    is for odd kernels within one map (or no gradient may be asked of the features).
    Under autocast the product is computed in autocast's type on CUDA, and in float32 on the CPU.
    """
    dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
    if features.device.type != "cpu":  # what a matrix product gives here, in any version of torch
        dtype = (features.new_zeros(1, 1, dtype=dtype) @ features.new_zeros(1, 1, dtype=dtype)).dtype
    return _Convolve.apply(features.to(dtype), weight.to(dtype), table, inverse)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, weight: torch.Tensor, table: torch.Tensor, inverse: torch.Tensor | None
    ) -> torch.Tensor:
        ctx.save_for_backward(features, weight, table, inverse)
        return _gather_sum(features, weight, table)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        features, weight, table, inverse = ctx.saved_tensors
        grad_features = grad_weight = None
        if ctx.needs_input_grad[0]:
            transposed = weight.transpose(1, 2)
            if inverse is None:
                grad_features = _gather_sum(grad_out, transposed.flip(0), table)
            else:
                grad_features = _gather_sum(grad_out, transposed, inverse)
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient(features, grad_out, table)
        return grad_features, grad_weight, None, None


def _use_numba(features: torch.Tensor) -> bool:
    return compiled_loops_take(features) and features.dtype == torch.float32


def _triton(features: torch.Tensor) -> ModuleType | None:
    """The Triton kernels, where they are asked for and can work on the features."""
    if features.device.type != "cuda" or os.environ.get(TRITON_SWITCH) != "1":
        return None
    kernels = _triton_kernels()
    return kernels if features.dtype in kernels.DTYPES else None


@functools.cache
def _triton_kernels() -> ModuleType:
    try:
        from sparse_convonet.engine import kernels_triton
    except ImportError as error:
        raise ValueError(f"{TRITON_SWITCH}: needs the package triton, which torch for CUDA brings: {error}") from error
    return kernels_triton


def _pad_last(values: torch.Tensor) -> torch.Tensor:
    """Contiguous, the last axis filled up with zeros to a width that the kernels work with."""
    missing = kernels_numba.padded_width(values.shape[-1]) - values.shape[-1]
    return functional.pad(values.detach(), (0, missing)).contiguous() if missing else values.detach().contiguous()


def _gather_sum(features: torch.Tensor, weight: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """(V_out, C_out): the forward pass, and with mirrored tables the gradient of the features."""
    if _use_numba(features):
        padded = _pad_last(weight)
        out = features.new_empty(len(table), padded.shape[2])
        arrays = (features.detach().contiguous().numpy(), padded.numpy(), table.numpy(), out.numpy())
        run_ranges(
            lambda part, begin, end: kernels_numba.accumulate(*arrays, begin, end),
            count=len(table),
            parts=1 + len(table) // _ROWS_PER_PART,
        )
        return out if out.shape[1] == weight.shape[2] else out[:, : weight.shape[2]].contiguous()
    if kernels := _triton(features):
        triton_out: torch.Tensor = kernels.gather_sum(features.detach(), weight.detach(), table)
        return triton_out
    out = features.new_zeros(len(table), weight.shape[2])
    for k, rows_in, rows_out in _pairs(table):
        out.index_add_(0, rows_out, features[rows_in] @ weight[k])
    return out


def _weight_gradient(features: torch.Tensor, grad_out: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """(K, C_in, C_out): sum over output rows v of outer(features[table[v, k]], grad_out[v])."""
    volume, width_in, width_out = table.shape[1], features.shape[1], grad_out.shape[1]
    if _use_numba(features):
        left, right = _pad_last(features), _pad_last(grad_out)
        # One set of sums per part: as many parts as threads, so that equal runs give equal bits.
        parts = torch.get_num_threads()
        partial = left.new_zeros(parts, volume, left.shape[1], right.shape[1])
        arrays, sums = (left.numpy(), right.numpy(), table.numpy()), partial.numpy()
        run_ranges(
            lambda part, begin, end: kernels_numba.weight_gradient(*arrays, sums[part], begin, end),
            count=len(table),
            parts=parts,
        )
        total = partial.sum(dim=0) if parts > 1 else partial[0]
        return total[:, :width_in, :width_out].contiguous()
    if kernels := _triton(features):
        triton_grad: torch.Tensor = kernels.weight_gradient(features, grad_out, table)
        return triton_grad
    grad = features.new_zeros(volume, width_in, width_out)
    for k, rows_in, rows_out in _pairs(table):
        grad[k] += features[rows_in].t() @ grad_out[rows_out]
    return grad


def _pairs(table: torch.Tensor) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Each offset, with rows of the input and of the output (P,) int64 that it joins, a chunk at a time."""
    for k, column in enumerate(table.t()):
        for rows_out in torch.nonzero(column >= 0)[:, 0].split(_ROWS_PER_PRODUCT):
            yield k, column[rows_out].long(), rows_out
