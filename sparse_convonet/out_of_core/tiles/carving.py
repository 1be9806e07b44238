"""The free space of a whole scan, made once: of points in memory, or of those in a work folder, brick by brick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.scanners import has_scanner
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.fields.free_space import BRICKS, CELLS_PER_VOXEL, FreeSpace, find_free_space
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder, load_arrays, save_arrays
from sparse_convonet.out_of_core.tiles.work import Work, shared_work
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.tile_grid import TileName, names_between

_BRICK, _DONE = "free.npz", "cells.json"


@dataclass(frozen=True)
class FreeSpaceJob:
    """To find the free space of the scan in a work folder."""

    folder: str


def free_bricks(points: PointSource, frame: VoxelFrame) -> Iterator[tuple[TileName, FreeSpace]]:
    """The free space of points that know scanners, as find_free_space gives it."""

    def rays() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for part in points.parts():
            assert part.scanners_world is not None
            starts = frame.to_voxels(part.scanners_world)
            starts[~has_scanner(part.points_world, part.scanners_world)] = np.nan
            yield frame.snap_to_voxels(part.points_world), starts

    return find_free_space(rays, points.count)


def cubic_metres(cells: int, frame: VoxelFrame) -> float:
    """The space of so many free cells."""
    return cells * (frame.voxel_size_m / CELLS_PER_VOXEL) ** 3


def make_free_space(job: FreeSpaceJob) -> int:
    """Write it beside the encoded tiles, if it is not there; how many cells it has."""
    work = shared_work(job.folder)
    done = _done(work)
    if not done.is_file():
        bricks, cells = _bricks(work), 0
        for brick, found in free_bricks(work.points, work.plan.frame):
            save_arrays(bricks.path(brick, _BRICK), {"keys": found.keys, "masks": found.masks})
            cells += found.cells
        done.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(done) as temporary:
            temporary.write_text(json.dumps(cells), encoding="utf-8")
    return int(json.loads(done.read_text(encoding="utf-8")))


def free_space_within(work: Work, low: np.ndarray, high: np.ndarray) -> FreeSpace | None:
    """What was found of it around a box of voxels; None where none was looked for."""
    if not _done(work).is_file():
        return None
    bricks = _bricks(work)
    first, last = BRICKS.tiles_of(np.stack([low - 1, high + 1]))
    places = (bricks.place(brick, _BRICK) for brick in names_between(first, last))
    return FreeSpace.joined([FreeSpace(**load_arrays(place)) for place in places if place.is_file()])


def _bricks(work: Work) -> TileFolder:
    return TileFolder(work.encoded.folder / "free_space", BRICKS)


def _done(work: Work) -> Path:
    return _bricks(work).folder / _DONE
