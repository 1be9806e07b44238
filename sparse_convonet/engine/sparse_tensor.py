"""Features on a set of voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sparse_convonet.engine.coordinate_manager import CoordinateManager, CoordinateMapKey


def cubic(value: int | Sequence[int], name: str) -> int:
    """A size given as one number, or as three equal ones."""
    values = [value] * 3 if isinstance(value, int) else list(value)
    if len(values) != 3 or any(v != values[0] for v in values) or int(values[0]) < 1:
        raise ValueError(f"{name}: expected a positive number, or three equal ones, found {value}")
    return int(values[0])


class SparseTensor:
    """Features (V, C) on voxels (V, 4) int [batch, x, y, z], multiples of the tensor stride.

    Rows are kept sorted by batch, x, y, z; unsorted input is permuted, so match rows by `C`.  Give
    either coordinates, or the key of a map that the manager already holds.
    Raises ValueError on duplicate coordinates.
    """

    def __init__(
        self,
        features: torch.Tensor,  # (V, C)
        coordinates: torch.Tensor | None = None,  # (V, 4) int
        tensor_stride: int | Sequence[int] = 1,
        coordinate_map_key: CoordinateMapKey | None = None,
        coordinate_manager: CoordinateManager | None = None,
    ) -> None:
        if features.ndim != 2:
            raise ValueError(f"features: expected shape (V, C), found {tuple(features.shape)}")
        self.coordinate_manager = coordinate_manager or CoordinateManager()
        if coordinate_map_key is None:
            if coordinates is None:
                raise ValueError("sparse tensor: expected coordinates or a coordinate_map_key, found neither")
            if len(coordinates) != len(features):
                raise ValueError(
                    f"sparse tensor: expected one row of features per voxel, found {len(features)} rows "
                    f"for {len(coordinates)} voxels"
                )
            coordinates = coordinates.to(features.device)
            stride = cubic(tensor_stride, "tensor stride")
            coordinate_map_key, order = self.coordinate_manager.insert(coordinates, stride)
            if order is not None:
                features = features[order]
        elif self.coordinate_manager.size(coordinate_map_key) != len(features):
            raise ValueError(
                f"sparse tensor: expected {self.coordinate_manager.size(coordinate_map_key)} rows of features "
                f"for {coordinate_map_key}, found {len(features)}"
            )
        self.coordinate_map_key = coordinate_map_key
        self._features = features

    @property
    def F(self) -> torch.Tensor:
        """(V, C) features."""
        return self._features

    @property
    def C(self) -> torch.Tensor:
        """(V, 4) int32 coordinates [batch, x, y, z]."""
        return self.coordinate_manager.get_coordinates(self.coordinate_map_key)

    @property
    def features(self) -> torch.Tensor:
        """(V, C) features."""
        return self._features

    @property
    def coordinates(self) -> torch.Tensor:
        """(V, 4) int32 coordinates [batch, x, y, z]."""
        return self.C

    @property
    def tensor_stride(self) -> list[int]:
        return self.coordinate_map_key.get_tensor_stride()

    @property
    def device(self) -> torch.device:
        return self._features.device

    @property
    def dtype(self) -> torch.dtype:
        return self._features.dtype

    @property
    def shape(self) -> torch.Size:
        return self._features.shape

    def __len__(self) -> int:
        return len(self._features)

    def replace(self, features: torch.Tensor) -> SparseTensor:
        """The same voxels with other features (V, C')."""
        return SparseTensor(
            features, coordinate_map_key=self.coordinate_map_key, coordinate_manager=self.coordinate_manager
        )

    def __add__(self, other: SparseTensor | torch.Tensor | float) -> SparseTensor:
        """Sum; over the union of the voxels where the maps differ, absent voxels counting zero."""
        if not isinstance(other, SparseTensor):
            return self.replace(self._features + other)
        _check_same_manager(self, other)
        if self.coordinate_map_key == other.coordinate_map_key:
            return self.replace(self._features + other._features)
        manager = self.coordinate_manager
        union = manager.united(self.coordinate_map_key, other.coordinate_map_key)
        total = self._features.new_zeros(manager.size(union), self._features.shape[1])
        for part in (self, other):
            rows = torch.searchsorted(manager.keys(union), manager.keys(part.coordinate_map_key))
            total = total.index_add(0, rows, part._features)
        return SparseTensor(total, coordinate_map_key=union, coordinate_manager=manager)

    def __repr__(self) -> str:
        return f"SparseTensor(voxels={len(self)}, channels={self._features.shape[1]}, {self.coordinate_map_key})"


def cat(*tensors: SparseTensor) -> SparseTensor:
    """Channels of tensors over one map side by side: (V, C1 + C2 + ...)."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    first = tensors[0]
    for other in tensors[1:]:
        _check_same_manager(first, other)
        if first.coordinate_map_key != other.coordinate_map_key:
            raise ValueError(
                f"cat: expected tensors over one coordinate map, found {first.coordinate_map_key} and "
                f"{other.coordinate_map_key}; pass `coordinates` to the convolution that should end on the same map"
            )
    return first.replace(torch.cat([tensor.F for tensor in tensors], dim=1))


def _check_same_manager(first: SparseTensor, second: SparseTensor) -> None:
    if first.coordinate_manager is not second.coordinate_manager:
        raise ValueError(
            "sparse tensors: expected one coordinate manager, found two; build one tensor from the other's"
        )
