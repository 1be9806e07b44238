"""From points to the unique voxels of a batch, as MinkowskiEngine's functions of the same names do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Array = np.ndarray | torch.Tensor
_COORDINATE_TYPES = (torch.int32, torch.float32)


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
    """The voxels (V, D) int32 of points, in the order in which each first appears, with its first point's values.

    Returns a tuple, in this order, of what there is and what is asked for (a single one without tuple):
    voxels; features (V, C); labels (V,); return_index: unique_map (V,) int64, the first point of each voxel;
    return_inverse: inverse_map (N,) int64, the voxel of each point.  With return_maps_only the maps alone.
    quantization_size: side of a voxel, one number or one per axis; None: 1.  Where points of a voxel differ
    in their labels the first one's stays (ignore_label has no effect), as in MinkowskiEngine 0.5.4.
    Raises ValueError where shapes do not agree.
    """
    check_quantization(coordinates, features, labels, return_index, return_inverse, quantization_size)
    voxels = _discrete(coordinates, quantization_size).to(device)
    unique_map, inverse_map = _unique_rows(voxels)
    maps = [unique_map, inverse_map] if return_inverse else [unique_map]
    if return_maps_only:
        return maps[0] if len(maps) == 1 else tuple(maps)
    kept: list[Any] = [voxels[unique_map]]
    kept += [values[unique_map.to(_device_of(values))] for values in (features, labels) if values is not None]
    kept += maps if return_index else []
    return kept[0] if len(kept) == 1 else tuple(kept)


def check_quantization(
    coordinates: Array,
    features: Array | None,
    labels: Array | None,
    return_index: bool,
    return_inverse: bool,
    quantization_size: float | Sequence[float] | Array | None,
) -> None:
    """Raise ValueError where the arguments of sparse_quantize do not fit together."""
    if coordinates.ndim != 2:
        raise ValueError(f"coordinates: expected shape (N, D), found {tuple(coordinates.shape)}")
    if features is not None and (features.ndim != 2 or len(features) != len(coordinates)):
        raise ValueError(f"features: expected shape ({len(coordinates)}, C), found {tuple(features.shape)}")
    if labels is not None and len(labels) != len(coordinates):
        raise ValueError(f"labels: expected {len(coordinates)}, one per point, found {len(labels)}")
    if return_inverse and not return_index:
        raise ValueError("return_inverse: expected return_index as well, found return_inverse alone")
    sizes = np.asarray(1.0 if quantization_size is None else quantization_size, dtype=np.float64)
    if sizes.shape not in ((), (coordinates.shape[1],)) or not (sizes > 0).all():
        raise ValueError(
            f"quantization_size: expected a positive number, or {coordinates.shape[1]} of them, found {quantization_size}"
        )


def batched_coordinates(
    coords: Sequence[Array],  # B x (N_i, D)
    dtype: torch.dtype = torch.int32,
    device: str | torch.device | None = None,
) -> torch.Tensor:
    """(N, D + 1) `dtype` (int32: rounded down, or float32): the scenes' coordinates below each other, scene first."""
    check_batch(coords, dtype)
    rows = [_floored(torch.as_tensor(scene)) if dtype == torch.int32 else torch.as_tensor(scene) for scene in coords]
    parts = [
        torch.cat([torch.full((len(row), 1), scene, dtype=dtype), row.to("cpu", dtype)], dim=1)
        for scene, row in enumerate(rows)
    ]
    return torch.cat(parts).to(device or "cpu")


def check_batch(coords: Sequence[Array], dtype: torch.dtype) -> None:
    """Raise ValueError where scenes cannot be joined to one batch of coordinates."""
    if len(coords) == 0 or any(scene.ndim != 2 or scene.shape[1] != coords[0].shape[1] for scene in coords):
        shapes = [tuple(scene.shape) for scene in coords]
        raise ValueError(f"coordinates: expected one or more arrays (N, D) of equal D, found {shapes}")
    if dtype not in _COORDINATE_TYPES:
        raise ValueError(f"coordinates: expected type torch.int32 or torch.float32, found {dtype}")


def sparse_collate(
    coords: Sequence[Array],  # B x (N_i, D)
    feats: Sequence[Array],  # B x (N_i, C)
    labels: Sequence[Any] | None = None,  # B arrays, or anything else, which then stays a list
    dtype: torch.dtype = torch.int32,
    device: str | torch.device | None = None,
) -> tuple[Any, ...]:
    """batched_coordinates, the features (N, C) below each other and, where given, the labels too."""
    check_collation(coords, feats)
    joined = (batched_coordinates(coords, dtype, device), torch.cat([torch.as_tensor(rows) for rows in feats]))
    if labels is None:
        return joined
    are_arrays = all(isinstance(each, (np.ndarray, torch.Tensor)) for each in labels)
    return *joined, torch.cat([torch.as_tensor(each) for each in labels]) if are_arrays else list(labels)


def check_collation(coords: Sequence[Array], feats: Sequence[Array]) -> None:
    """Raise ValueError where features do not belong to the coordinates of the same scene."""
    rows, found = [len(scene) for scene in coords], [len(scene) for scene in feats]
    if rows != found:
        raise ValueError(f"features: expected one row per coordinate, {rows} by scene, found {found}")


def _discrete(coordinates: Array, size: float | Sequence[float] | Array | None) -> torch.Tensor:
    """(N, D) int32 voxel of each point; the division is made in the type that MinkowskiEngine makes it in."""
    if isinstance(coordinates, torch.Tensor):
        several = size is not None and not np.isscalar(size)
        divisor: Any = torch.tensor(np.asarray(size), dtype=torch.float32) if several else size
    else:
        divisor = None if size is None else np.asarray(size, dtype=np.float64)
    return _floored(torch.as_tensor(coordinates if divisor is None else coordinates / divisor))


def _floored(coordinates: torch.Tensor) -> torch.Tensor:
    """int32, rounded down; raises ValueError where there is none."""
    floored = torch.floor(coordinates) if coordinates.is_floating_point() else coordinates
    limits = torch.iinfo(torch.int32)
    fits = (floored >= limits.min) & (floored <= limits.max)  # false for NaN
    if not bool(fits.all()):
        raise ValueError(
            f"coordinates: expected finite numbers of 32 bits, found {int((~fits).sum())} others; "
            "remove them, or use larger voxels"
        )
    return floored.to(torch.int32)


def _unique_rows(voxels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, D) int32 -> first row (V,) of each different one, ascending, and which of them each row is (N,)."""
    if len(voxels) == 0:
        return (torch.zeros(0, dtype=torch.int64, device=voxels.device),) * 2
    keys = _row_keys(voxels.to(torch.int64))
    keys, order = torch.sort(keys, stable=True)
    is_first = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
    is_first[1:] = keys[1:] != keys[:-1]
    first = order[is_first]  # stable: the earliest row of each key
    by_appearance = torch.argsort(first)
    position = torch.empty_like(by_appearance)
    position[by_appearance] = torch.arange(len(first), device=first.device)
    inverse = torch.empty_like(order)
    inverse[order] = position[torch.cumsum(is_first, 0) - 1]
    return first[by_appearance], inverse


def _row_keys(voxels: torch.Tensor) -> torch.Tensor:
    """(N, D) int64 -> (N,) int64, equal for equal rows and for no others."""
    low = voxels.amin(dim=0)
    spans = (voxels.amax(dim=0) - low + 1).tolist()
    keys = voxels[:, 0] - low[0]
    count = spans[0]
    for axis in range(1, len(spans)):
        if count * spans[axis] >= 1 << 63:  # number the prefixes that occur; fewer than 2^31 rows leave room
            occurring, keys = torch.unique(keys, return_inverse=True)
            count = len(occurring)
        keys = keys * spans[axis] + (voxels[:, axis] - low[axis])
        count *= spans[axis]
    return keys


def _device_of(values: Array) -> torch.device:
    return values.device if isinstance(values, torch.Tensor) else torch.device("cpu")
