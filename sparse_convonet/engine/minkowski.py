"""MinkowskiEngine 0.5.4 itself, guarded where an empty tensor would crash it.

Its C++ ends the process (SIGSEGV) where a tensor without voxels reaches a convolution, a pooling or
a union, so these layers answer for empty tensors here.  Like `native`, duplicates raise ValueError,
and a transposed convolution without `coordinates` returns to the map that its input was strided
from, also where that map was itself expanded (MinkowskiEngine alone knows the unexpanded one only).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

from sparse_convonet.engine.minkowski_import import import_minkowski
from sparse_convonet.engine.quantize import Array, check_batch, check_collation, check_quantization

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


# Any: the classes below inherit from a module that type checkers cannot see.
_me: Any = import_minkowski()

name = "minkowski"
CoordinateManager = _me.CoordinateManager
CoordinateMapKey = _me.CoordinateMapKey

_MapName = tuple[tuple[int, ...], str]
_finer_maps: WeakKeyDictionary[Any, dict[_MapName, Any]] = WeakKeyDictionary()  # per manager: what was strided


class SparseTensor(_me.SparseTensor):
    """MinkowskiEngine's sparse tensor, with unique coordinates and a union that survives empty tensors."""

    def __init__(
        self,
        features: torch.Tensor,  # (V, C)
        coordinates: torch.Tensor | None = None,  # (V, 4) int [batch, x, y, z]
        tensor_stride: Any = 1,
        coordinate_map_key: Any = None,
        coordinate_manager: Any = None,
    ) -> None:
        super().__init__(
            features,
            coordinates=None if coordinates is None else coordinates.to(torch.int32),
            tensor_stride=tensor_stride,
            coordinate_map_key=coordinate_map_key,
            coordinate_manager=coordinate_manager,
        )
        if len(self.F) != len(features):
            raise ValueError(
                f"coordinates: expected each voxel once, found {len(features) - len(self.F)} duplicates among "
                f"{len(features)} rows; merge the points of a voxel first"
            )

    def __add__(self, other: Any) -> Any:
        if isinstance(other, _me.SparseTensor) and self.coordinate_map_key != other.coordinate_map_key:
            if len(other.F) == 0:
                return self
            if len(self.F) == 0:
                return other
        return _own(super().__add__(other))


def _own(tensor: Any) -> SparseTensor:
    """A tensor of MinkowskiEngine as the guarded class."""
    if isinstance(tensor, SparseTensor):
        return tensor
    return SparseTensor(
        tensor.F, coordinate_map_key=tensor.coordinate_map_key, coordinate_manager=tensor.coordinate_manager
    )


def _map_name(key: Any) -> _MapName:
    stride, identifier = key.get_key()
    return tuple(stride), identifier


def _finer_map(tensor: Any) -> Any:
    """Key of the map that a tensor's map was strided from, or None."""
    return _finer_maps.get(tensor.coordinate_manager, {}).get(_map_name(tensor.coordinate_map_key))


def _remember_finer(result: Any, finer: Any) -> None:
    if finer is not None:
        _finer_maps.setdefault(result.coordinate_manager, {})[_map_name(result.coordinate_map_key)] = finer


def _empty_result(input: Any, features: torch.Tensor, coordinates: Any, stride: list[int]) -> SparseTensor:
    """Zeros for a tensor without voxels: on the map of `coordinates`, or on an empty map of `stride`.

    features: (0, C_out), what ties the result to the gradient.
    """
    key = getattr(coordinates, "coordinate_map_key", coordinates)
    if key is None:
        return SparseTensor(
            features,
            coordinates=torch.zeros(0, 4, dtype=torch.int32),
            tensor_stride=stride,
            coordinate_manager=input.coordinate_manager,
        )
    rows = input.coordinate_manager.size(key)
    zeros = features.new_zeros(rows, features.shape[1]) + features.sum(dim=0)
    return SparseTensor(zeros, coordinate_map_key=key, coordinate_manager=input.coordinate_manager)


class _GuardedConvolution:
    """Put before a convolution of MinkowskiEngine: empty input, and which map is the finer one."""

    def forward(self: Any, input: Any, coordinates: Any = None) -> SparseTensor:
        strides = self.kernel_generator.kernel_stride
        transposed = self.is_transpose
        if transposed and coordinates is None and not self.kernel_generator.expand_coordinates:
            coordinates = _finer_map(input)
        if len(input.F) == 0:
            features = input.F @ self.kernel.reshape(-1, self.in_channels, self.out_channels).sum(dim=0)
            pairs = zip(input.tensor_stride, strides, strict=True)
            result = _empty_result(input, features, coordinates, [t // s if transposed else t * s for t, s in pairs])
            if self.bias is not None and len(result.F):
                result = SparseTensor(
                    result.F + self.bias,
                    coordinate_map_key=result.coordinate_map_key,
                    coordinate_manager=result.coordinate_manager,
                )
        else:
            result = _own(super().forward(input, coordinates))  # type: ignore[misc]
        if not transposed and result.coordinate_map_key != input.coordinate_map_key:
            _remember_finer(result, input.coordinate_map_key if max(strides) > 1 else _finer_map(input))
        return result


class MinkowskiConvolution(_GuardedConvolution, _me.MinkowskiConvolution):
    """MinkowskiEngine's convolution, for empty tensors too."""


class MinkowskiConvolutionTranspose(_GuardedConvolution, _me.MinkowskiConvolutionTranspose):
    """MinkowskiEngine's transposed convolution, for empty tensors too."""


class MinkowskiGenerativeConvolutionTranspose(_GuardedConvolution, _me.MinkowskiGenerativeConvolutionTranspose):
    """MinkowskiEngine's generative transposed convolution, for empty tensors too."""


class _GuardedPooling:
    """Put before a pooling of MinkowskiEngine: empty input, and which map is the finer one."""

    def forward(self: Any, input: Any) -> SparseTensor:
        strides = self.kernel_generator.kernel_stride
        if len(input.F) == 0:
            stride = [t * s for t, s in zip(input.tensor_stride, strides, strict=True)]
            return _empty_result(input, input.F, None, stride)
        result = _own(super().forward(input))  # type: ignore[misc]
        if max(strides) > 1:
            _remember_finer(result, input.coordinate_map_key)
        return result


class MinkowskiMaxPooling(_GuardedPooling, _me.MinkowskiMaxPooling):
    """MinkowskiEngine's maximum pooling, for empty tensors too."""


class MinkowskiSumPooling(_GuardedPooling, _me.MinkowskiSumPooling):
    """MinkowskiEngine's sum pooling, for empty tensors too."""


class MinkowskiAvgPooling(_GuardedPooling, _me.MinkowskiAvgPooling):
    """MinkowskiEngine's mean pooling, for empty tensors too."""


class MinkowskiPruning(_me.MinkowskiPruning):
    """MinkowskiEngine's pruning, for empty tensors too."""

    def forward(self, input: Any, mask: torch.Tensor) -> SparseTensor:
        if len(input.F) == 0:
            return _own(input)
        result = _own(super().forward(input, mask))
        _remember_finer(result, _finer_map(input))
        return result


class MinkowskiUnion(_me.MinkowskiUnion):
    """MinkowskiEngine's union, for empty tensors too."""

    def forward(self, *inputs: Any) -> SparseTensor:
        if len(inputs) < 2:
            raise ValueError(f"union: expected two tensors or more, found {len(inputs)}")
        occupied = [tensor for tensor in inputs if len(tensor.F)]
        return _own(super().forward(*occupied) if len(occupied) > 1 else [*occupied, *inputs][0])


class _Pointwise:
    """Put before a layer that keeps the map: results are the guarded class, empty tensors pass."""

    def forward(self: Any, input: Any) -> SparseTensor:
        return _own(super().forward(input))  # type: ignore[misc]


class MinkowskiBatchNorm(_Pointwise, _me.MinkowskiBatchNorm):
    """MinkowskiEngine's batch normalisation; an empty tensor passes unchanged."""

    def forward(self, input: Any) -> SparseTensor:
        return super().forward(input) if len(input.F) else _own(input)


class MinkowskiReLU(_Pointwise, _me.MinkowskiReLU):
    """MinkowskiEngine's ReLU."""


class MinkowskiDropout(_Pointwise, _me.MinkowskiDropout):
    """MinkowskiEngine's dropout."""


class MinkowskiLinear(_Pointwise, _me.MinkowskiLinear):
    """MinkowskiEngine's linear layer."""


def cat(*tensors: Any) -> SparseTensor:
    """Channels of tensors over one map side by side: (V, C1 + C2 + ...)."""
    keys = {str(_map_name(tensor.coordinate_map_key)) for tensor in tensors}
    if len(keys) > 1:
        raise ValueError(
            f"cat: expected tensors over one coordinate map, found {', '.join(sorted(keys))}; "
            "pass `coordinates` to the convolution that should end on the same map"
        )
    return _own(_me.cat(*tensors)) if len(tensors) > 1 else _own(tensors[0])


def sparse_quantize(
    coordinates: Array,  # (N, D)
    features: Array | None = None,  # (N, C)
    labels: Array | None = None,  # (N,)
    ignore_label: int = -100,
    return_index: bool = False,
    return_inverse: bool = False,
    return_maps_only: bool = False,
    quantization_size: float | Sequence[float] | Array | None = None,
    device: str = "cpu",
) -> Any:
    """MinkowskiEngine's voxels of points; see quantize.sparse_quantize for what it returns."""
    check_quantization(coordinates, features, labels, return_index, return_inverse, quantization_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls numpy's floor on tensors
        return _me.utils.sparse_quantize(
            coordinates,
            features,
            labels,
            ignore_label,
            return_index,
            return_inverse,
            return_maps_only,
            quantization_size,
            device,
        )


def batched_coordinates(
    coords: Sequence[Array], dtype: torch.dtype = torch.int32, device: str | torch.device | None = None
) -> torch.Tensor:
    """MinkowskiEngine's (N, D + 1) coordinates of several scenes; see quantize.batched_coordinates."""
    check_batch(coords, dtype)
    return _me.utils.batched_coordinates(coords, dtype=dtype, device=device)


def sparse_collate(
    coords: Sequence[Array],
    feats: Sequence[Array],
    labels: Sequence[Any] | None = None,
    dtype: torch.dtype = torch.int32,
    device: str | torch.device | None = None,
) -> tuple[Any, ...]:
    """MinkowskiEngine's joined coordinates, features and labels; see quantize.sparse_collate."""
    check_batch(coords, dtype)
    check_collation(coords, feats)
    return _me.utils.sparse_collate(coords, feats, labels, dtype=dtype, device=device)
