"""MinkowskiEngine's layers in torch and Numba: same names, parameters and kernel order.

State dicts load both ways between this module and MinkowskiEngine 0.5.4.  Beyond it: empty tensors
work, rows are always sorted by coordinate, and a transposed convolution without `coordinates`
returns to the map that its input was strided from, also where that map was itself expanded.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import torch
from torch import nn

from sparse_convonet.engine.convolution import convolve
from sparse_convonet.engine.coordinate_manager import CoordinateManager, CoordinateMapKey
from sparse_convonet.engine.neighbours import KernelOffsets
from sparse_convonet.engine.pooling import MinkowskiAvgPooling, MinkowskiMaxPooling, MinkowskiSumPooling
from sparse_convonet.engine.quantize import batched_coordinates, sparse_collate, sparse_quantize
from sparse_convonet.engine.sparse_tensor import SparseTensor, cat, cubic

__all__ = [
    "CoordinateManager",
    "CoordinateMapKey",
    "MinkowskiAvgPooling",
    "MinkowskiBatchNorm",
    "MinkowskiConvolution",
    "MinkowskiConvolutionTranspose",
    "MinkowskiDropout",
    "MinkowskiGenerativeConvolutionTranspose",
    "MinkowskiLinear",
    "MinkowskiMaxPooling",
    "MinkowskiPruning",
    "MinkowskiReLU",
    "MinkowskiSumPooling",
    "MinkowskiUnion",
    "SparseTensor",
    "batched_coordinates",
    "cat",
    "name",
    "sparse_collate",
    "sparse_quantize",
]

name = "native"

Coordinates = SparseTensor | CoordinateMapKey | None


class _Convolution(nn.Module):
    """Parameters that every convolution shares: kernel (K, C_in, C_out), bias (1, C_out)."""

    is_transpose = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        bias: bool = False,
        expand_coordinates: bool = False,
        dimension: int = 3,
    ) -> None:
        super().__init__()
        if dimension != 3:
            raise ValueError(f"dimension: expected 3, found {dimension}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = cubic(kernel_size, "kernel size")
        self.stride = cubic(stride, "stride")
        self.dilation = cubic(dilation, "dilation")
        self.expand_coordinates = expand_coordinates
        volume = self.kernel_size**3
        shape = (in_channels, out_channels) if self._is_pointwise else (volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        bound = 1 / math.sqrt((out_channels if self.is_transpose else in_channels) * volume)
        nn.init.uniform_(self.kernel, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    @property
    def _is_pointwise(self) -> bool:
        return self.kernel_size == 1 and self.stride == 1

    def forward(self, input: SparseTensor, coordinates: Coordinates = None) -> SparseTensor:
        """Convolve onto the layer's own output map, or onto that of `coordinates`."""
        if input.F.shape[1] != self.in_channels:
            raise ValueError(f"{self!r}: expected {self.in_channels} channels, found {input.F.shape[1]}")
        manager, in_key = input.coordinate_manager, input.coordinate_map_key
        if self._is_pointwise:
            out_key, out = in_key, input.F @ self.kernel
        else:
            out_key = self._out_key(manager, in_key, coordinates)
            out = self._apply_kernel(manager, in_key, out_key, input.F)
        if self.bias is not None:
            out = out + self.bias
        return SparseTensor(out, coordinate_map_key=out_key, coordinate_manager=manager)

    def _out_key(
        self, manager: CoordinateManager, in_key: CoordinateMapKey, coordinates: Coordinates
    ) -> CoordinateMapKey:
        if isinstance(coordinates, SparseTensor):
            return coordinates.coordinate_map_key
        return coordinates if coordinates is not None else self._default_out_key(manager, in_key)

    def _default_out_key(self, manager: CoordinateManager, in_key: CoordinateMapKey) -> CoordinateMapKey:
        raise NotImplementedError

    def _apply_kernel(
        self, manager: CoordinateManager, in_key: CoordinateMapKey, out_key: CoordinateMapKey, features: torch.Tensor
    ) -> torch.Tensor:
        """(V_in, C_in) -> (V_out, C_out).

        A convolution reads at out + offset, a transposed one at out - offset; offsets count cells of
        the finer of the two maps.
        """
        fine_key = out_key if self.is_transpose else in_key
        step = fine_key.tensor_stride[0] * self.dilation
        offsets = KernelOffsets(self.kernel_size, step, -1 if self.is_transpose else 1)
        mirrored = KernelOffsets(self.kernel_size, step, -offsets.sign)
        table = manager.table(out_key, in_key, offsets)
        if in_key == out_key and offsets.is_symmetric:
            return convolve(features, self.kernel, table, None)
        inverse = manager.table(in_key, out_key, mirrored) if features.requires_grad else None
        return convolve(features, self.kernel, table, inverse)

    def extra_repr(self) -> str:
        return (
            f"in={self.in_channels}, out={self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, dilation={self.dilation}"
        )


class MinkowskiConvolution(_Convolution):
    """Convolution over the cells present; `expand_coordinates` also makes every cell a kernel reaches."""

    def _default_out_key(self, manager: CoordinateManager, in_key: CoordinateMapKey) -> CoordinateMapKey:
        if not self.expand_coordinates:
            return manager.strided(in_key, self.stride)
        step = in_key.tensor_stride[0] * self.dilation
        return manager.expanded(in_key, KernelOffsets(self.kernel_size, step), self.stride)


class MinkowskiConvolutionTranspose(_Convolution):
    """Transposed convolution onto the existing finer map."""

    is_transpose = True

    def _default_out_key(self, manager: CoordinateManager, in_key: CoordinateMapKey) -> CoordinateMapKey:
        return manager.finer(in_key, self.stride)


class MinkowskiGenerativeConvolutionTranspose(_Convolution):
    """Transposed convolution that makes every finer cell its kernel reaches."""

    is_transpose = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        bias: bool = False,
        dimension: int = 3,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, bias, True, dimension)

    def _default_out_key(self, manager: CoordinateManager, in_key: CoordinateMapKey) -> CoordinateMapKey:
        step = in_key.tensor_stride[0] // self.stride * self.dilation
        return manager.generated(in_key, KernelOffsets(self.kernel_size, step), self.stride)


class MinkowskiPruning(nn.Module):
    """Keeps the cells where a mask (V,) bool is true."""

    def forward(self, input: SparseTensor, mask: torch.Tensor) -> SparseTensor:
        if mask.dtype != torch.bool or mask.shape != (len(input),):
            raise ValueError(f"pruning mask: expected ({len(input)},) bool, found {tuple(mask.shape)} {mask.dtype}")
        key = input.coordinate_manager.pruned(input.coordinate_map_key, mask)
        return SparseTensor(input.F[mask], coordinate_map_key=key, coordinate_manager=input.coordinate_manager)


class MinkowskiUnion(nn.Module):
    """Sum over the union of the cells of several tensors, absent cells counting zero."""

    def forward(self, *inputs: SparseTensor) -> SparseTensor:
        if len(inputs) < 2:
            raise ValueError(f"union: expected two tensors or more, found {len(inputs)}")
        return functools.reduce(operator.add, inputs)


class MinkowskiBatchNorm(nn.Module):
    """Batch normalisation over all voxels; an empty tensor passes unchanged."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(num_features, eps, momentum, affine, track_running_stats)

    def forward(self, input: SparseTensor) -> SparseTensor:
        return input.replace(self.bn(input.F)) if len(input) else input


class MinkowskiReLU(nn.Module):
    """max(x, 0) of every feature."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.module = nn.ReLU(inplace)

    def forward(self, input: SparseTensor) -> SparseTensor:
        return input.replace(self.module(input.F))


class MinkowskiDropout(nn.Module):
    """Zeroes features at random while training."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        self.module = nn.Dropout(p, inplace)

    def forward(self, input: SparseTensor) -> SparseTensor:
        return input.replace(self.module(input.F))


class MinkowskiLinear(nn.Module):
    """One linear map of every voxel's features."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias)

    def forward(self, input: SparseTensor) -> SparseTensor:
        return input.replace(self.linear(input.F))
