"""Sets of voxels that sparse tensors share, and the neighbour tables between them, built once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_convonet.coordinates import AXIS_LIMIT, pack_keys, unpack_keys
from sparse_convonet.engine.neighbours import KernelOffsets, dilate, neighbour_table

# Shifted keys must not carry from one axis into the next, so coordinates keep this far from the
# range of the packed keys; it covers the reach of kernels and dilated levels up to stride 256.
_REACH = 1024


@dataclass(frozen=True)
class CoordinateMapKey:
    """Names a set of voxels of one manager: its tensor stride and a serial number."""

    tensor_stride: tuple[int, int, int]
    serial: int

    def get_tensor_stride(self) -> list[int]:
        return list(self.tensor_stride)

    def __repr__(self) -> str:
        return f"coordinate map key:{list(self.tensor_stride)}:{self.serial}"


class CoordinateManager:
    """Coordinate maps (sorted packed keys) and neighbour tables of one batch of scenes.

    Rows of every map are sorted by key: batch, x, y, z.  Maps and tables are made on first use and
    kept, so that all layers of a network share them.
    """

    def __init__(self) -> None:
        self._keys: dict[CoordinateMapKey, torch.Tensor] = {}  # (V,) int64 sorted
        self._coordinates: dict[CoordinateMapKey, torch.Tensor] = {}  # (V, 4) int32
        self._tables: dict[tuple[CoordinateMapKey, CoordinateMapKey, KernelOffsets], torch.Tensor] = {}
        self._derived: dict[tuple[CoordinateMapKey, KernelOffsets], CoordinateMapKey] = {}
        self._expanded: dict[tuple[CoordinateMapKey, KernelOffsets, int], CoordinateMapKey] = {}
        self._finer: dict[CoordinateMapKey, CoordinateMapKey] = {}
        self._next_serial = 0

    def insert(self, coordinates: torch.Tensor, tensor_stride: int) -> tuple[CoordinateMapKey, torch.Tensor | None]:
        """Register (V, 4) int [batch, x, y, z]; returns its key and the order that sorts the rows.

        The order is None where the rows are sorted already.  Raises ValueError on duplicates, on
        coordinates that are not multiples of the stride, and where they leave the range of the keys.
        """
        if coordinates.ndim != 2 or coordinates.shape[1] != 4:
            raise ValueError(
                f"coordinates: expected shape (V, 4) with columns batch, x, y, z, found {tuple(coordinates.shape)}"
            )
        if coordinates.dtype.is_floating_point:
            raise ValueError(f"coordinates: expected integers, found {coordinates.dtype}; floor them first")
        keys = pack_keys(coordinates)
        if len(keys):
            reach = int(coordinates[:, 1:].abs().max())
            if reach >= AXIS_LIMIT - _REACH:
                raise ValueError(
                    f"coordinates: expected within +-{AXIS_LIMIT - _REACH - 1} voxels of the origin, found {reach}; "
                    "shift the scene towards the origin or use larger voxels"
                )
            if tensor_stride != 1 and bool((coordinates[:, 1:] % tensor_stride != 0).any()):
                raise ValueError(f"coordinates: expected multiples of the tensor stride {tensor_stride}")
        order = None
        if not bool((keys[1:] > keys[:-1]).all()):
            keys, order = torch.sort(keys)
            duplicates = int((keys[1:] == keys[:-1]).sum())
            if duplicates:
                raise ValueError(
                    f"coordinates: expected each voxel once, found {duplicates} duplicates among {len(keys)} rows; "
                    "merge the points of a voxel first"
                )
        return self._register(keys, tensor_stride, self._new_serial()), order

    def keys(self, key: CoordinateMapKey) -> torch.Tensor:
        """(V,) int64 packed keys, sorted."""
        return self._keys[key]

    def size(self, key: CoordinateMapKey) -> int:
        return len(self._keys[key])

    def get_coordinates(self, key: CoordinateMapKey) -> torch.Tensor:
        """(V, 4) int32 [batch, x, y, z], sorted."""
        if key not in self._coordinates:
            self._coordinates[key] = unpack_keys(self._keys[key]).to(torch.int32)
        return self._coordinates[key]

    def strided(self, key: CoordinateMapKey, stride: int) -> CoordinateMapKey:
        """The map of cells `stride` times as large that hold a cell of this one (floor, never truncate)."""
        if stride == 1:
            return key
        tensor_stride = key.tensor_stride[0] * stride
        coarse = _key(tensor_stride, key.serial)
        if coarse not in self._keys:
            self._register(torch.unique(_floor_keys(self._keys[key], tensor_stride)), tensor_stride, key.serial)
            self._finer[coarse] = key
        return coarse

    def expanded(self, key: CoordinateMapKey, offsets: KernelOffsets, stride: int = 1) -> CoordinateMapKey:
        """The map of all cells at a kernel offset from a cell of this one; with `stride`, those on the coarser grid."""
        if (key, offsets, stride) not in self._expanded:
            tensor_stride = key.tensor_stride[0] * stride
            keys = dilate(self._keys[key], offsets)
            if stride > 1:
                keys = keys[(unpack_keys(keys)[:, 1:] % tensor_stride == 0).all(dim=1)]
            expanded = self._register(keys, tensor_stride, self._new_serial())
            if stride > 1:
                self._finer[expanded] = key
            elif key in self._finer:
                self._finer[expanded] = self._finer[key]
            self._expanded[key, offsets, stride] = expanded
        return self._expanded[key, offsets, stride]

    def generated(self, key: CoordinateMapKey, offsets: KernelOffsets, stride: int) -> CoordinateMapKey:
        """The finer map of all children at a kernel offset from a cell of this one."""
        if (key, offsets) not in self._derived:
            fine_stride = _finer_stride(key, stride)
            children = dilate(self._keys[key], offsets)
            self._derived[key, offsets] = self._register(children, fine_stride, self._new_serial())
        return self._derived[key, offsets]

    def finer(self, key: CoordinateMapKey, stride: int) -> CoordinateMapKey:
        """The existing map, `stride` times as fine, that this one was made from by striding.

        An expanded map counts as made from what its unexpanded map was made from.
        """
        fine_stride = _finer_stride(key, stride)
        candidate = key
        while candidate in self._finer and candidate.tensor_stride[0] > fine_stride:
            candidate = self._finer[candidate]
        if candidate.tensor_stride[0] != fine_stride:
            candidate = _key(fine_stride, key.serial)
        if candidate not in self._keys:
            raise ValueError(
                f"transposed convolution: found no map of tensor stride {fine_stride} to return to from {key}; "
                "pass `coordinates`, or use the generative transposed convolution"
            )
        return candidate

    def pruned(self, key: CoordinateMapKey, keep: torch.Tensor) -> CoordinateMapKey:
        """The map of the rows where `keep` (V,) bool is true."""
        pruned = self._register(self._keys[key][keep], key.tensor_stride[0], self._new_serial())
        if key in self._finer:
            self._finer[pruned] = self._finer[key]
        return pruned

    def united(self, key: CoordinateMapKey, other: CoordinateMapKey) -> CoordinateMapKey:
        """The map of the cells of either of two maps of one stride."""
        if key.tensor_stride != other.tensor_stride:
            raise ValueError(f"union: expected equal tensor strides, found {key} and {other}")
        keys = torch.unique(torch.cat([self._keys[key], self._keys[other]]))
        return self._register(keys, key.tensor_stride[0], self._new_serial())

    def table(self, out_key: CoordinateMapKey, in_key: CoordinateMapKey, offsets: KernelOffsets) -> torch.Tensor:
        """(V_out, K) int32: row of the in map at each offset from each cell of the out map, or -1."""
        name = (out_key, in_key, offsets)
        if name not in self._tables:
            self._tables[name] = neighbour_table(self._keys[out_key], self._keys[in_key], offsets)
        return self._tables[name]

    def _register(self, keys: torch.Tensor, tensor_stride: int, serial: int) -> CoordinateMapKey:
        key = _key(tensor_stride, serial)
        self._keys[key] = keys
        return key

    def _new_serial(self) -> int:
        self._next_serial += 1
        return self._next_serial - 1


def _key(tensor_stride: int, serial: int) -> CoordinateMapKey:
    return CoordinateMapKey((tensor_stride, tensor_stride, tensor_stride), serial)


def _finer_stride(key: CoordinateMapKey, stride: int) -> int:
    if key.tensor_stride[0] % stride:
        raise ValueError(f"transposed convolution: expected a tensor stride divisible by {stride}, found {key}")
    return key.tensor_stride[0] // stride


def _floor_keys(keys: torch.Tensor, tensor_stride: int) -> torch.Tensor:
    """(V,) int64 keys of the cells of the given stride that hold the voxels."""
    coordinates = unpack_keys(keys)
    coordinates[:, 1:] = torch.div(coordinates[:, 1:], tensor_stride, rounding_mode="floor") * tensor_stride
    return pack_keys(coordinates)
