"""Count the occupied voxels of a point store, exactly and with the memory of a block of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.clouds.occupied_cells import OccupiedCells, cells_of_places, first_by_chance, snapped_places
from sparse_convonet.coordinates import VoxelFrame, pack_keys
from sparse_convonet.out_of_core.points.point_store import PointStore, inside

_BLOCK_POINTS = 1 << 19

IndexOf = Callable[[np.ndarray], np.ndarray]  # (n, 3) world points -> (n, 3) int64 voxels, monotonous along each axis


@dataclass(frozen=True)
class _Block:
    """Voxels low <= v < high, (3,) int64 each, and the cells (n,) of the store that reach into them."""

    low: np.ndarray
    high: np.ndarray
    cells: np.ndarray


def occupied_cells(store: PointStore, edge_m: float) -> OccupiedCells:
    """The cells of that edge with points, and a point of each, as CloudPlaces.occupied finds them in memory."""
    frame = VoxelFrame.from_lowest(store.low, edge_m)

    def index_of(points_world: np.ndarray) -> np.ndarray:
        return cells_of_places(snapped_places(points_world, frame))

    cells, counts, seeds = [], [], []
    for held, points_world, block in _blocks(store, index_of, 1):
        spans = block.high - block.low
        keys, count, rows = first_by_chance(_key(held - block.low, spans), snapped_places(points_world, frame))
        cells.append(np.stack(np.unravel_index(keys, tuple(spans)), axis=1) + block.low)
        counts.append(count)
        seeds.append(points_world[rows])
    found = np.concatenate(cells)
    order = np.lexsort(found.T[::-1])
    return OccupiedCells(found[order], np.concatenate(counts)[order], np.concatenate(seeds)[order])


def count_voxels(store: PointStore, frame: VoxelFrame, coarse_stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per coarse cell of so many voxels along each axis: (C, 3) int64 cells, (C,) occupied voxels, (C,) points.

    Points are in the voxels that frame.snap_to_voxels puts them in.  Cell c covers the voxels from c * coarse_stride
    on; cells are sorted by x, then y, then z.
    """

    def index_of(points_world: np.ndarray) -> np.ndarray:
        return np.floor(frame.snap_to_voxels(points_world)).astype(np.int64)

    cells, voxel_counts, point_counts = [], [], []
    inner = coarse_stride**3
    for voxels, _, block in _blocks(store, index_of, coarse_stride):
        place = voxels - block.low
        coarse = place // coarse_stride
        spans = -(-(block.high - block.low) // coarse_stride)
        keys = _key(coarse, spans) * inner + _key(place - coarse * coarse_stride, np.full(3, coarse_stride))
        keys.sort()
        occupied = keys[np.concatenate([[True], keys[1:] != keys[:-1]])] // inner  # coarse cells, one for each voxel
        held, voxel_count = np.unique(occupied, return_counts=True)
        ends = np.searchsorted(keys, (held + 1) * inner)
        cells.append(np.stack(np.unravel_index(held, tuple(spans)), axis=1) + block.low // coarse_stride)
        voxel_counts.append(voxel_count)
        point_counts.append(np.diff(ends, prepend=0))
    found = np.concatenate(cells)
    order = np.lexsort(found.T[::-1])
    return found[order], np.concatenate(voxel_counts)[order], np.concatenate(point_counts)[order]


def _key(places: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """(n, 3) int64, from 0 to below `spans` (3,) along each axis -> (n,) int64, one number for each."""
    return (places[:, 0] * spans[1] + places[:, 1]) * spans[2] + places[:, 2]


def _blocks(store: PointStore, index_of: IndexOf, stride: int) -> Iterator[tuple[np.ndarray, np.ndarray, _Block]]:
    """The voxels (n, 3) int64 of all points and the points (n, 3), block after block of whole cubes of `stride` voxels.

    So no voxel, and no such cube, is in two blocks.  Raises ValueError for voxels that pack_keys does not fit.
    """
    low, high = index_of(store.cell_low_world), index_of(store.cell_high_world)  # (C, 3), exact: index_of is monotonous
    ends = np.stack([low.min(axis=0), high.max(axis=0)])
    pack_keys(torch.from_numpy(np.concatenate([np.zeros((2, 1), dtype=np.int64), ends], axis=1)))
    begin = np.floor_divide(ends[0], stride) * stride
    waiting = [_Block(begin, ends[1] + 1, np.arange(len(low)))]
    while waiting:
        block = waiting.pop()
        edges = block.high - block.low
        if store.cells.counts[block.cells].sum() > _BLOCK_POINTS and edges.max() > stride:
            waiting += _halves(block, int(edges.argmax()), stride, low, high)
            continue
        found, points = [np.zeros((0, 3), dtype=np.int64)], [np.zeros((0, 3))]
        for batch in store.batches(block.cells):
            voxels = index_of(batch.points_world)
            kept = inside(voxels, block.low, block.high)
            found.append(voxels[kept])
            points.append(batch.points_world[kept])
        voxels = np.concatenate(found)
        if len(voxels):
            yield voxels, np.concatenate(points), block


def _halves(block: _Block, axis: int, stride: int, low: np.ndarray, high: np.ndarray) -> list[_Block]:
    """Two blocks on either side of a multiple of the stride, without those that no cell reaches into."""
    cubes = -(-(block.high[axis] - block.low[axis]) // stride)
    middle = block.low[axis] + cubes // 2 * stride
    lower_high, upper_low = block.high.copy(), block.low.copy()
    lower_high[axis] = upper_low[axis] = middle
    halves = [
        _Block(block.low, lower_high, block.cells[low[block.cells, axis] < middle]),
        _Block(upper_low, block.high, block.cells[high[block.cells, axis] >= middle]),
    ]
    return [half for half in halves if len(half.cells)]
