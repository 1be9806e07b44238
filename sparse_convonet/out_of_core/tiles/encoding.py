"""The sparse U-Net stage by stage, each in tiles: what a stage gives in a tile depends on a few cells around it only.

A tile with all that the whole network reads around it would be mostly halo (SparseUNet.receptive_field_voxels: 151 of
the shipped model).  So all tiles go down to one level before any goes to the next, and up again, with files in between;
each stage reads SparseUNet.reach_down or reach_up around its tile.  Every number is that of the whole scan at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.encode.voxelise import THINNED_BY
from sparse_convonet.extract.seeds import SEED_STRIDE, seed_cells
from sparse_convonet.fields.sparse import Level, SparseField
from sparse_convonet.out_of_core.tiles.cell_files import (
    CellFeatures,
    cell_keys,
    has_cells,
    load_cells,
    remove_cells,
    save_cells,
)
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.out_of_core.tiles.work import Work, shared_work
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.tile_grid import TileName, names_between


@dataclass(frozen=True)
class Stage:
    """The way down to a level, or up to it."""

    level: int
    up: bool

    def reach(self, unet: SparseUNet) -> int:
        """How many voxels around a tile are read, in whole cells of the coarser level that the stage touches."""
        reach = unet.reach_up(self.level) if self.up else unet.reach_down(self.level)
        coarser = 1 << (self.level + int(self.up))
        return -(-reach // coarser) * coarser


def stages(unet: SparseUNet) -> list[Stage]:
    """All stages of a network, in their order."""
    coarsest = len(unet.widths) - 1
    return [
        *(Stage(level, up=False) for level in range(coarsest + 1)),
        *(Stage(level, up=True) for level in reversed(range(coarsest))),
    ]


@dataclass(frozen=True)
class StageJob:
    """One stage of one tile of the encoding, in a work folder."""

    folder: str
    tile: TileName
    stage: Stage


@dataclass(frozen=True)
class EncodedTile:
    """What a stage made that is a level of the field: its stride, how many cells, and the tiles of the meshing that
    its cells seed, where it is the level for that; 0 cells of stride 0 where it made none."""

    stride: int = 0
    cells: int = 0
    seed_tiles: tuple[TileName, ...] = ()


def field_around(work: Work, low: np.ndarray, high: np.ndarray) -> SparseField:
    """The field of all cells that reach into a box of voxels, low <= v < high, after all stages."""
    levels = []
    for level in range(len(work.network.unet.widths)):
        cells = load_cells(_places(work, _field_name(level), (low, high)), low, high)
        if len(cells.keys):
            keys, features = torch.from_numpy(cells.keys), torch.from_numpy(cells.features)
            levels.append(Level(1 << level, keys.to(work.plan.device), features.to(work.plan.device)))
    return SparseField(tuple(levels))


@torch.no_grad()
def run_stage(job: StageJob) -> EncodedTile:
    """Do one stage of one tile, if it is not done; those before must be done for all tiles."""
    work, stage = shared_work(job.folder), job.stage
    unet = work.network.unet
    gives_level = stage.up or stage.level == len(unet.widths) - 1
    place = work.encoded.path(job.tile, _name(stage))
    field_place = work.encoded.path(job.tile, _field_name(stage.level))
    if not has_cells(field_place if gives_level else place):
        made = _cells_of(work, job.tile, stage)
        if made is None:
            return EncodedTile()
        keys, features = made
        if not (stage.up and stage.level == 0):
            save_cells(place, 1 << stage.level, _on_disk(keys, features))
        if gives_level:
            projected = work.network.project(stage.level, features)
            save_cells(field_place, 1 << stage.level, _on_disk(keys, projected))
            del projected
        del made, keys, features
        return_freed_memory()
    return _encoded(work, stage.level, cell_keys(field_place)) if gives_level else EncodedTile()


def _cells_of(work: Work, tile: TileName, stage: Stage) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(V,) int64 ascending keys and (V, C) features of the cells of a tile after a stage; None where it has none."""
    low, high = work.plan.encoding.box(tile)
    reach = stage.reach(work.network.unet)
    around = low - reach, high + reach
    tensor = _up(work, tile, stage, around) if stage.up else _down(work, tile, stage, around)
    if tensor is None:
        return None
    keys, order = torch.sort(pack_keys(tensor.C))
    cells = unpack_keys(keys)[:, 1:]
    begin, end = (torch.from_numpy(corner).to(cells.device) for corner in (low, high))
    own = ((cells >= begin) & (cells < end)).all(dim=1)
    return (keys[own], tensor.F[order[own]]) if own.any() else None


def _encoded(work: Work, level: int, keys: np.ndarray) -> EncodedTile:
    strides = [1 << each for each in range(len(work.network.unet.widths))]
    if strides[level] != min(strides, key=lambda stride: abs(stride - SEED_STRIDE)):
        return EncodedTile(strides[level], len(keys))
    field = SparseField((Level(strides[level], torch.from_numpy(keys), torch.zeros(len(keys), 0)),))
    seeds = seed_cells(field, work.plan.cell, work.plan.finest_per_seed)
    tiles = np.unique(work.plan.meshing.tiles_of(seeds), axis=0)
    return EncodedTile(strides[level], len(keys), tuple((int(x), int(y), int(z)) for x, y, z in tiles))


def forget_stage(folder: TileFolder, tiles: Sequence[TileName], stage: Stage, coarsest: int) -> None:
    """Remove what no later stage reads once this one is done for all tiles."""
    for tile in tiles:
        if stage.up:
            remove_cells(folder.place(tile, _name(Stage(stage.level, up=False))))
            remove_cells(folder.place(tile, _name(Stage(stage.level + 1, up=stage.level + 1 < coarsest))))


def _name(stage: Stage) -> str:
    return f"{'up' if stage.up else 'down'}{stage.level}"


def _field_name(level: int) -> str:
    return f"field{level}"


def _down(work: Work, tile: TileName, stage: Stage, around: tuple[np.ndarray, np.ndarray]) -> Any:
    """The level's sparse tensor of a box of voxels; None where nothing is in it."""
    network = work.network
    if stage.level == 0:
        observed = work.observed_within(around[0] - THINNED_BY, around[1] + THINNED_BY)  # or others are kept
        if len(observed.points) == 0:
            return None
        low, high = (torch.from_numpy(corner).to(observed.points.device) for corner in around)
        voxels = network.voxelise(observed.points, observed.batch).within(low, high)
        if len(voxels.counts) == 0:
            return None
        hints = None if observed.hints is None else observed.hints[voxels.rows]
        del observed
        x = network.unet.engine.SparseTensor(network.pointnet(voxels, hints), coordinates=voxels.coordinates)
        del voxels, hints
    else:
        x = _tensor(work, _around(work, tile, Stage(stage.level - 1, up=False), around), stage.level - 1)
    if x is None:
        return None
    coarsest = stage.level == len(network.unet.widths) - 1
    context = work.context if coarsest else None
    return network.unet.go_down(stage.level, x, None if context is None else network.context_adder(context))


def _up(work: Work, tile: TileName, stage: Stage, around: tuple[np.ndarray, np.ndarray]) -> Any:
    unet = work.network.unet
    skip = _tensor(work, _around(work, tile, Stage(stage.level, up=False), around), stage.level)
    if skip is None:
        return None
    coarser = Stage(stage.level + 1, up=stage.level + 2 < len(unet.widths))
    x = _tensor(work, _around(work, tile, coarser, around), coarser.level, skip.coordinate_manager)
    return unet.go_up(stage.level, x, skip, skip.coordinate_map_key)


def _around(work: Work, tile: TileName, stage: Stage, box: tuple[np.ndarray, np.ndarray]) -> CellFeatures:
    """What a stage has made in a box of voxels."""
    return load_cells(_places(work, _name(stage), box), *box)


def _places(work: Work, name: str, box: tuple[np.ndarray, np.ndarray]) -> list[Path]:
    first, last = work.plan.encoding.tiles_of(np.stack([box[0], box[1] - 1]))
    tiles = names_between(first, last)
    return [place for place in (work.encoded.place(tile, name) for tile in tiles) if has_cells(place)]


def _tensor(work: Work, cells: CellFeatures, level: int, manager: Any = None) -> Any:
    """A sparse tensor of the network's engine; None without cells."""
    if len(cells.keys) == 0:
        return None
    coordinates = unpack_keys(torch.from_numpy(cells.keys)).to(torch.int32)
    return work.network.unet.engine.SparseTensor(
        torch.from_numpy(cells.features).to(work.plan.device),
        coordinates=coordinates.to(work.plan.device),
        tensor_stride=1 << level,
        **({} if manager is None else {"coordinate_manager": manager}),
    )


def _on_disk(keys: torch.Tensor, features: torch.Tensor) -> CellFeatures:
    return CellFeatures(keys.cpu().numpy(), features.cpu().numpy())
