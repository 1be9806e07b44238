"""Encode a scan tile by tile: the same sparse field as of the whole scan at once, with the memory of one tile.

What a network says within a box of whole coarsest cells depends on the points up to `SparseUNet.halo_voxels` around
it and on no others, so each tile is encoded with that much around it, and of the result its own cells are kept.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable

import numpy as np
import torch

from sparse_convonet.coordinates import one_scene, unpack_keys
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.fields.sparse import Level, SparseField
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.tile_grid import TiledRows, TileGrid

logger = logging.getLogger(__name__)


def encoding_grid(points_voxel: np.ndarray, unet: SparseUNet, largest_edge: int) -> TileGrid:
    """Tiles of at most `largest_edge` voxels over all cells that (N, 3) points have at any level."""
    reach = unet.expansion_voxels()
    low, high = (np.array([end(column) for column in points_voxel.T]) for end in (np.min, np.max))
    return TileGrid.over(np.floor(low) - reach, np.floor(high) + reach, largest_edge, unet.total_stride)


def largest_load(voxels: np.ndarray, unet: SparseUNet, grid: TileGrid) -> tuple[int, int]:
    """The number of tiles to encode, and the most voxels, of (V, 3) occupied ones, that one takes in with its halo.

    Counted in the coarsest cells, so a little too many.
    """
    cells, counts = np.unique(np.floor_divide(voxels, unet.total_stride), axis=0, return_counts=True)
    rows = TiledRows(cells * unet.total_stride, grid)
    halo = -(-unet.halo_voxels() // unet.total_stride) * unet.total_stride
    names = rows.near(unet.expansion_voxels())
    return len(names), max(int(counts[rows.around(name, halo)].sum()) for name in names)


@torch.no_grad()
def encode_tiled(
    network: SparseOccupancyNetwork,
    points_voxel: np.ndarray,  # (N, 3) float64
    grid: TileGrid,
    progress: Callable[[int, int], None] | None = None,  # tiles done, tiles
    hints: torch.Tensor | None = None,  # (N, 6)
) -> SparseField:
    """The field of a scan, encoded tile by tile; the same as network.encode gives of all points, up to rounding.

    The context (encode/context.py), which sees the whole scan in few cells, is made first and in one piece.

    With the native engine on the CPU it is the same bit by bit.  Tiles without cells are skipped.  The edges of the
    grid and its origin are multiples of the network's total stride.
    """
    unet = network.unet
    if np.any(np.array([grid.origin, grid.edges]) % unet.total_stride):
        raise ValueError(f"tiles: expected multiples of {unet.total_stride} voxels, found {grid}")
    device = next(network.parameters()).device
    rows = TiledRows(points_voxel, grid)
    names = rows.near(unet.expansion_voxels())
    everything = torch.from_numpy(points_voxel).to(device)
    context = network.look_around(everything, one_scene(everything), hints)
    del everything
    parts: list[list[Level]] = []
    for number, name in enumerate(names):
        if len(rows.around(name, unet.expansion_voxels())):
            chosen = rows.around(name, unet.halo_voxels())
            points = torch.from_numpy(points_voxel[chosen]).to(device)
            own_hints = None if hints is None else hints[torch.from_numpy(chosen)]
            field = network.encode(points, one_scene(points), own_hints, context)
            parts.append([_own_cells(level, *grid.box(name)) for level in field.levels])
            del points, field
            return_freed_memory()
        if progress is not None:
            progress(number + 1, len(names))
    logger.info("encoded %d tiles of %s voxels", len(parts), " x ".join(map(str, grid.edges)))
    return SparseField(tuple(_joined(list(levels)) for levels in zip(*parts, strict=True)))


def return_freed_memory() -> None:
    """Let glibc give freed memory back to the system: what one stage left behind in pieces does not fit the next."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _own_cells(level: Level, low: np.ndarray, high: np.ndarray) -> Level:
    """The cells of a level that lie within a box of voxels."""
    cells = unpack_keys(level.keys)[:, 1:]
    begin, end = (torch.from_numpy(corner).to(cells.device) for corner in (low, high))
    own = ((cells >= begin) & (cells < end)).all(dim=1)
    return Level(level.stride, level.keys[own], level.features[own])


def _joined(parts: list[Level]) -> Level:
    """One level of cells that each belong to one part; the parts are used up."""
    stride = parts[0].stride
    keys, _ = torch.sort(torch.cat([part.keys for part in parts]))
    features = parts[0].features.new_empty(len(keys), parts[0].features.shape[1])
    while parts:
        part = parts.pop()
        features[torch.searchsorted(keys, part.keys)] = part.features
    return Level(stride, keys, features)
