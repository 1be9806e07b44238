"""Tiles searched and meshed as on the disk, of fields that are known instead of encoded."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.cluster import TaskNeeds
from sparse_convonet.extract.lattice import EDGE, unpack_lattice
from sparse_convonet.extract.mise import SearchSpace
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.mesh.normals import central_differences
from sparse_convonet.out_of_core.tiles.schedule import mesh_all, search_all
from sparse_convonet.out_of_core.tiles.searching import TileField, mesh_in, mesh_tile, search_in, search_tile
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.out_of_core.tiles.work_plan import WorkPlan, mesh_tiles
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.tile_grid import TileGrid, TileName
from tests.mesh.analytic_fields import Field

VOXEL_M = 0.25
_SEEDS_AROUND = 3
_SLOPE_STEP = 1e-2  # voxels
NO_POINTS = np.zeros((0, 3))


@dataclass(frozen=True)
class TiledMesh:
    """The meshes of tiles, by name, and the grid of tiles in finest cells."""

    grid: TileGrid
    tiles: dict[TileName, TileMesh]


@dataclass(frozen=True)
class AnalyticWork:
    """A scan whose field, (Q, 3) voxels -> (Q,) logits, is a function.  seeds: (M, 3) int.  points: (N, 3) voxels."""

    plan: WorkPlan
    meshes: TileFolder
    field: Field
    seeds: np.ndarray
    points: np.ndarray

    def points_within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self.points[((self.points >= low) & (self.points < high)).all(axis=1)]

    def field_of(self, tile: TileName) -> TileField:
        low, high = self.plan.meshing.box(tile)
        near = ((self.seeds >= low - _SEEDS_AROUND) & (self.seeds < high + _SEEDS_AROUND)).all(axis=1)
        return TileField(self.seeds[near], self.field, value_and_gradient(self.field))


def value_and_gradient(known: Field) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Of a field that is a function, by differences."""
    slope = central_differences(known, _SLOPE_STEP)
    return lambda queries: (known(queries), slope(queries))


@dataclass
class AnalyticRunner:
    """Searches and meshes the tiles of a work, in this process.  visits: how often each was looked at."""

    work: AnalyticWork
    lost: int = 0
    visits: dict[TileName, int] = field(default_factory=dict)

    def run(
        self, call: Callable[[Any], Any], jobs: Sequence[Any], needs: Callable[[Any], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Any]]:
        here: dict[Any, Callable[[AnalyticWork, TileName], Any]] = {search_tile: search_in, mesh_tile: mesh_in}
        for index, job in enumerate(jobs):
            self.visits[job.tile] = self.visits.get(job.tile, 0) + (call is search_tile)
            yield index, here[call](self.work, job.tile)

    def require_shared(self, folder: Path) -> None:
        """Nothing to check."""

    def close(self) -> None:
        """Nothing to end."""


def analytic_plan(
    seeds: np.ndarray, finest_per_seed: int, tile: int, *, cell: float, logit: float = 0.0, **more: Any
) -> WorkPlan:
    """Tiles of at most `tile` seed cells; cells of `cell` voxels; the surface where the logit is `logit`."""
    low, high = (seeds.min(axis=0) - 1, seeds.max(axis=0) + 1) if len(seeds) else (np.zeros(3), np.zeros(3))
    grid = TileGrid.over(low, high, tile, EDGE)
    probability = 1 / (1 + math.exp(-logit))
    return WorkPlan(
        (3.0, -2.0, 1.5), VOXEL_M, cell * VOXEL_M, probability, grid, grid, finest_per_seed, "native", "cpu", **more
    )


def search_analytic(
    known: Field,
    seeds: np.ndarray,
    plan: WorkPlan,
    folder: Path,
    points: np.ndarray = NO_POINTS,
    progress: Progress = untold,
) -> tuple[TileFolder, AnalyticRunner]:
    """Search and mesh all tiles of a field, from seed cells (M, 3); the folder with their meshes, and who made them."""
    plan.save(folder)
    files = mesh_tiles(folder, plan)
    runner = AnalyticRunner(AnalyticWork(plan, files, known, seeds, points))
    if len(seeds):
        space = SearchSpace.around(seeds, plan.levels)
        first = np.unique(plan.meshing.tiles_of(space.seeds), axis=0)
        search_all(folder, [(int(x), int(y), int(z)) for x, y, z in first], runner, TaskNeeds(), progress)
        mesh_all(folder, runner, TaskNeeds(), untold)
    return files, runner


def loaded(files: TileFolder) -> TiledMesh:
    """The meshes of all tiles of a folder, in memory."""
    return TiledMesh(files.grid, {name: files.mesh(name) for name in files.mesh_names()})


def tiles_in_memory(
    known: Field, seeds: np.ndarray, finest_per_seed: int, tile: int, *, cell: float, points: np.ndarray = NO_POINTS
) -> TiledMesh:
    """search_analytic in a folder that does not stay."""
    with tempfile.TemporaryDirectory() as folder:
        plan = analytic_plan(seeds, finest_per_seed, tile, cell=cell)
        return loaded(search_analytic(known, seeds, plan, Path(folder), points)[0])


def cut_into_tiles(
    known: Field, seeds: np.ndarray, finest_per_seed: int, tile: int, *, cell: float, points: np.ndarray = NO_POINTS
) -> TiledMesh:
    """The meshes that tiles_in_memory gives, but cut from one that is searched whole, which is faster."""
    plan = analytic_plan(seeds, finest_per_seed, tile, cell=cell)
    largest = EDGE * max(1, *(-(-int(edge) // EDGE) for edge in np.ptp(seeds, axis=0) + 3))
    (whole,) = tiles_in_memory(known, seeds, finest_per_seed, 2 * largest, cell=cell, points=points).tiles.values()
    grid = plan.meshing_finest
    places = unpack_lattice(whole.keys >> 2)
    tile_of_face = grid.tiles_of(places[whole.faces].min(axis=1))
    tile_of_vertex = grid.tiles_of(places)
    tiles = {}
    for name in np.unique(tile_of_face, axis=0):
        faces = whole.faces[(tile_of_face == name).all(axis=1)]
        used = np.unique(faces)
        own = (tile_of_vertex[used] == name).all(axis=1)
        mesh = TileMesh(whole.vertices[used], np.searchsorted(used, faces).astype(np.int32), whole.keys[used], own)
        tiles[(int(name[0]), int(name[1]), int(name[2]))] = mesh
    return TiledMesh(grid, tiles)
