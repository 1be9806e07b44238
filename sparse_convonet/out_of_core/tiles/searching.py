"""The surface in one tile, as functions that read files and write files, on this machine or another.

Each can be done again without harm, also when it was killed half way.  Tiles that touch must not be searched at the
same time: a search reads what the tiles around it have found.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparse_convonet.extract.border_memory import BorderMemory
from sparse_convonet.extract.lattice import pack_lattice, unpack_lattice
from sparse_convonet.extract.mise import Evaluate, SearchSpace, cells_of_points
from sparse_convonet.extract.refine import ValueAndGradient, approach
from sparse_convonet.extract.seeds import seed_cells
from sparse_convonet.extract.tile_search import (
    TileMesh,
    TileState,
    leaving_by_tile,
    mesh_of_tile,
    not_among,
    search_box,
)
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.mesh.normals import gradients_at
from sparse_convonet.model.field_queries import FieldQueries
from sparse_convonet.out_of_core.tiles.carving import free_space_within
from sparse_convonet.out_of_core.tiles.encoding import field_around
from sparse_convonet.out_of_core.tiles.search_files import (
    SEARCH,
    TileBorder,
    load_border,
    load_search,
    save_search,
    tiles_around,
)
from sparse_convonet.out_of_core.tiles.tile_folder import MESH, MOVED, TileFolder, save_arrays
from sparse_convonet.out_of_core.tiles.work import Work, shared_work
from sparse_convonet.out_of_core.tiles.work_plan import WorkPlan
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.tile_grid import TileName

logger = logging.getLogger(__name__)

_SEEDS_AROUND = 3  # seed cells beyond a tile that decide where its search may go


@dataclass(frozen=True)
class TileJob:
    """One tile of the reconstruction in a work folder."""

    folder: str
    tile: TileName


@dataclass(frozen=True)
class TileField:
    """What is asked of the field in and around a tile.  seeds: (S, 3) int64 seed cells up to three beyond the tile."""

    seeds: np.ndarray
    logits: Evaluate
    value_and_gradient: ValueAndGradient


class TileWork(Protocol):
    """What the search of a tile uses: plan, files, points in a box (N, 3) voxels, and the field, loaded when asked for."""

    @property
    def plan(self) -> WorkPlan: ...

    @property
    def meshes(self) -> TileFolder: ...

    def points_within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray: ...

    def field_of(self, tile: TileName) -> TileField: ...


@dataclass(frozen=True)
class _StoredField:
    """The work of a folder with the field that was encoded there."""

    work: Work

    @property
    def plan(self) -> WorkPlan:
        return self.work.plan

    @property
    def meshes(self) -> TileFolder:
        return self.work.meshes

    def points_within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return self.work.points_within(low, high)

    def field_of(self, tile: TileName) -> TileField:
        field, queries = field_and_queries(self.work, tile)
        seeds = _seeds_around(self.plan, field, self.plan.meshing.box(tile))
        return TileField(seeds, queries.logits, queries.value_and_gradient)


@dataclass(frozen=True)
class SearchedTile:
    """changed: whether the search learned anything.  called: the tiles that the surface leads to and that must follow."""

    changed: bool
    called: tuple[TileName, ...]


def search_tile(job: TileJob) -> SearchedTile:
    """Look for the surface in a tile of the meshing.

    Nothing is done where the tile was searched and nothing has come to it since.
    """
    return search_in(_StoredField(shared_work(job.folder)), job.tile)


def search_in(work: TileWork, tile: TileName) -> SearchedTile:
    """search_tile, with what it uses."""
    plan, folder = work.plan, work.meshes
    borders = {name: load_border(folder, name, plan.levels) for name in tiles_around(tile)}
    own = load_border(folder, tile, plan.levels)
    starts = _arrived(plan, tile, borders, own)
    if folder.has(tile, SEARCH) and not any(map(len, starts)):
        return SearchedTile(False, _called(plan, own.leaving, borders))
    state = _search(work, tile, starts, borders)
    return_freed_memory()
    return SearchedTile(True, _called(plan, state.leaving, borders))


def _search(
    work: TileWork, tile: TileName, starts: list[np.ndarray], borders: Mapping[TileName, TileBorder]
) -> TileState:
    """Search a tile, go on where its former search ended, and keep what was found."""
    plan, folder = work.plan, work.meshes
    former = load_search(folder, tile, plan.levels)
    own = TileBorder.nothing(plan.levels) if former is None else former[2]
    box, (low, high) = plan.meshing.box(tile), plan.meshing_finest.box(tile)
    field = work.field_of(tile)
    evaluate = BorderMemory(field.logits, plan.extraction, plan.meshing_finest)
    for border in (*borders.values(), own):
        evaluate.know(border.point_keys, border.logits)
    points = cells_of_points(work.points_within(low * plan.cell - 1, high * plan.cell + 1), plan.extraction)
    points = points[((points >= low) & (points < high)).all(axis=1)]
    own_seeds = field.seeds[((field.seeds >= box[0]) & (field.seeds < box[1])).all(axis=1)]
    space = SearchSpace.around(field.seeds, plan.levels)
    state = search_box(
        evaluate, space, plan.extraction, box, own_seeds, points, starts, None if former is None else former[1]
    )
    asked_keys, asked_logits = evaluate.asked()
    keys, logits = np.concatenate([own.point_keys, asked_keys]), np.concatenate([own.logits, asked_logits])
    save_search(folder, tile, field.seeds, state, keys, logits)
    return state


def _arrived(
    plan: WorkPlan, tile: TileName, borders: Mapping[TileName, TileBorder], own: TileBorder
) -> list[np.ndarray]:
    """(M, 3) int64 cells of a tile, by level, that the surface leads to from those around and that are new to it."""
    starts = []
    for number in range(plan.levels + 1):
        cells = np.concatenate([border.leaving[number] for border in borders.values()])
        arrived = leaving_by_tile(cells, plan.meshing.scaled(1 << number)).get(tile, cells[:0])
        starts.append(unpack_lattice(np.unique(pack_lattice(not_among(arrived, own.border_keys[number])))))
    return starts


def _called(
    plan: WorkPlan, leaving: Sequence[np.ndarray], borders: Mapping[TileName, TileBorder]
) -> tuple[TileName, ...]:
    """The tiles to which the cells are new that a search left for."""
    called = set()
    for number, cells in enumerate(leaving):
        for name, theirs in leaving_by_tile(cells, plan.meshing.scaled(1 << number)).items():
            if len(not_among(theirs, borders[name].border_keys[number])):
                called.add(name)
    return tuple(sorted(called))


def _seeds_around(plan: WorkPlan, field: SparseField, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """(S, 3) int64 seed cells of a field that lie in a box of them or near it."""
    seeds = seed_cells(field, plan.cell, plan.finest_per_seed)
    near = (seeds >= box[0] - _SEEDS_AROUND) & (seeds < box[1] + _SEEDS_AROUND)
    return seeds[near.all(axis=1)]


def field_and_queries(work: Work, tile: TileName) -> tuple[SparseField, FieldQueries]:
    """The field of all cells that queries and seeds in a tile of the meshing depend on, and what answers the queries."""
    plan = work.plan
    stride = work.network.unet.total_stride
    seed_voxels = plan.finest_per_seed * plan.cell
    # A query reads cells up to one and a half strides off; a cell makes seeds up to a seed's edge beyond its own.
    margin = int(np.ceil(max(2 * stride, (_SEEDS_AROUND + 1) * seed_voxels + stride)))
    begin, end = plan.meshing_finest.box(tile)
    low = np.floor(begin * plan.cell).astype(np.int64) - margin
    high = np.ceil(end * plan.cell).astype(np.int64) + margin
    field = field_around(work, low, high)
    second = None if work.second is None else field_around(work.second, low, high + 1)
    return field, FieldQueries(work.network, field, free_space_within(work, low, high), second)


def mesh_tile(job: TileJob) -> bool:
    """The surface in the cells of a tile whose search is finished; whether it has any.

    Where vertices are to be refined, or to have the field's normals, what the field says of them is kept beside it.
    """
    return mesh_in(_StoredField(shared_work(job.folder)), job.tile)


def mesh_in(work: TileWork, tile: TileName) -> bool:
    """mesh_tile, with what it uses."""
    folder, plan = work.meshes, work.plan
    if not folder.has_result(tile):
        found = load_search(folder, tile, plan.levels)
        if found is None:
            raise RuntimeError(f"tile {tile}: meshed before it was searched")
        seeds, state, _ = found
        space = SearchSpace.around(seeds, plan.levels)
        mesh = mesh_of_tile(state, space, plan.extraction, plan.meshing.box(tile))
        del found, seeds, state, space
        if (plan.refine_steps or plan.field_normals) and len(mesh.faces):
            save_arrays(folder.path(tile, MOVED), _asked_of_field(plan, work.field_of(tile), mesh))
        folder.save_mesh(tile, mesh)
        return_freed_memory()
    return folder.has(tile, MESH)


def _asked_of_field(plan: WorkPlan, field: TileField, mesh: TileMesh) -> dict[str, np.ndarray]:
    """Of the vertices that a tile owns: where they move to, and the gradients of the logit before and after."""

    def gradients(vertices: np.ndarray) -> np.ndarray:
        return gradients_at(vertices, lambda queries: field.value_and_gradient(queries)[1]).astype(np.float32)

    vertices, steps = mesh.vertices[mesh.own], plan.refine_steps
    found = {"moved": vertices}
    if steps:
        threshold = plan.extraction.threshold
        found["moved"] = approach(vertices, field.value_and_gradient, steps, cell=plan.cell, threshold=threshold)
    if plan.field_normals:
        found["gradients"] = gradients(vertices)
        if steps:
            found["moved_gradients"] = gradients(found["moved"])
    return found
