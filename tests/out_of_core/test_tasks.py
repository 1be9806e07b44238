"""Tiles done as tasks with files between them: the field and the surface of the whole, however often a task is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparse_convonet.cluster import LocalRunner, TaskNeeds
from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.extract.mise import extract_mesh
from sparse_convonet.extract.seeds import seed_cells
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.io.points import write_points
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model.weights import load_model, save_weights
from sparse_convonet.out_of_core.points.store_points import PointStore, store_points
from sparse_convonet.out_of_core.tiles import encoding, searching
from sparse_convonet.out_of_core.tiles.encoding import Stage
from sparse_convonet.out_of_core.tiles.schedule import encode_all, mesh_all, search_all
from sparse_convonet.out_of_core.tiles.search_files import BORDER, SEARCH
from sparse_convonet.out_of_core.tiles.tile_folder import MESH
from sparse_convonet.out_of_core.tiles.work import Work as OpenWork
from sparse_convonet.out_of_core.tiles.work import forget_work
from sparse_convonet.out_of_core.tiles.work_plan import MODEL_FILE, POINTS, WorkPlan, mesh_tiles
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.tile_grid import TiledRows, TileGrid, TileName
from tests.oracles.same_surface import assert_nearly_same_surface, joined_by_keys
from tests.small_network import MODEL, encoding_grid, network, sheets

VOXEL_M, CELL_M = 0.1, 0.1
FINEST_PER_SEED = 2
POINTS_GIVEN = 2500
NEEDS = TaskNeeds()
# Queries go through the compiled loop, which gives one the same bits whatever is asked beside it.
CONFIG = replace(MODEL, feature_width=32, decoder_width=32)
# Matrix products of torch round by the number of rows.  The logits of random weights are so flat that 1e-7 of one moves
# a vertex by 1e-5 voxels; with the shipped weights the meshes are equal to the last bit (test_run.py).
ROUNDING_VOXELS = 1e-3


def silent(stage: str, share: float) -> None:
    assert 0 <= share <= 1


@dataclass(frozen=True)
class Work:
    """A work folder that is ready for its tasks, and the whole that they are parts of."""

    folder: Path
    plan: WorkPlan
    points_voxel: np.ndarray
    network: SparseOccupancyNetwork
    encoded: list[TileName]

    @torch.no_grad()
    def whole_field(self) -> SparseField:
        points = torch.from_numpy(self.points_voxel)
        return self.network.encode(points, torch.zeros(len(points), dtype=torch.int64))

    @torch.no_grad()
    def logits(self, field: SparseField, queries: np.ndarray) -> np.ndarray:
        places = torch.from_numpy(np.ascontiguousarray(queries))
        return self.network.occupancy(field, places, torch.zeros(len(places), dtype=torch.int64))[0].numpy()


def prepare(folder: Path, rng: np.random.Generator, tile: int = 16, seeds_per_tile: int = 8) -> Work:
    """Sheets of points in a cube of 2.4 m, a network of random weights, tiles of `tile` voxels."""
    folder.mkdir()
    scan = folder / "scan.npz"
    write_points(scan, PointCloud(sheets(rng, 1.2, POINTS_GIVEN)))
    store, *_ = store_points([scan], folder / POINTS, up="z", scale=1.0)
    save_weights(
        network(CONFIG).state_dict(), ExperimentConfig(model=CONFIG), folder / MODEL_FILE, threshold=0.5, record={}
    )
    model = load_model(folder / MODEL_FILE).sparse
    frame = VoxelFrame.from_lowest(store.low, VOXEL_M)
    points = frame.snap_to_voxels(store.within(store.low - 1, store.high + 1).points_world)
    tiles = encoding_grid(points, model, tile)
    reach = model.unet.expansion_voxels() + model.unet.total_stride
    low, high = (np.floor(end / FINEST_PER_SEED).astype(np.int64) for end in (points.min(axis=0), points.max(axis=0)))
    meshing = TileGrid.over(low - reach, high + reach, seeds_per_tile, 8)
    x, y, z = frame.origin_world.tolist()
    plan = WorkPlan((x, y, z), VOXEL_M, CELL_M, 0.5, tiles, meshing, FINEST_PER_SEED, "native", "cpu")
    rows, reach = TiledRows(points, tiles), model.unet.expansion_voxels()
    work = Work(folder, plan, points, model, [name for name in rows.near(reach) if len(rows.around(name, reach))])
    lattice = np.rint(points + rng.normal(0, 1, points.shape)).astype(np.float32)  # logits repeat from voxel to voxel
    middle = float(np.median(work.logits(work.whole_field(), lattice)))
    work = replace(work, plan=replace(plan, threshold=1 / (1 + math.exp(-middle))))
    work.plan.save(folder)
    forget_work()
    return work


@pytest.fixture(autouse=True)
def few_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds in every other block of three only, so that most of the surface is found by following it."""
    for module in (encoding, searching):
        monkeypatch.setattr(module, "seed_cells", thinned_seeds)


def thinned_seeds(field: SparseField, cell: float, finest_per_seed: int) -> np.ndarray:
    seeds = seed_cells(field, cell, finest_per_seed)
    return seeds[(seeds // 3).sum(axis=1) % 2 == 0]


def whole_mesh(work: Work) -> Mesh:
    field, plan = work.whole_field(), work.plan
    seeds = thinned_seeds(field, plan.cell, plan.finest_per_seed)
    return extract_mesh(
        lambda queries: work.logits(field, queries), seeds, plan.finest_per_seed, work.points_voxel, plan.extraction
    )


def run_all(work: Work, runner: Any = None) -> int:
    runner = runner or LocalRunner()
    found = encode_all(work.folder, work.network.unet, work.encoded, runner, NEEDS, silent)
    visits = search_all(work.folder, found.seed_tiles, runner, NEEDS, silent)
    mesh_all(work.folder, runner, NEEDS, silent)
    return visits


def found_mesh(work: Work) -> Mesh:
    folder = mesh_tiles(work.folder, work.plan)
    return joined_by_keys({name: folder.mesh(name) for name in folder.mesh_names()})


def contents(work: Work) -> dict[str, bytes]:
    places = [work.folder / name for name in ("encoded", "meshes")]
    return {str(path): path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()}


def test_the_tiles_together_are_the_surface_of_the_whole(tmp_path: Path, rng: np.random.Generator) -> None:
    work = prepare(tmp_path / "work", rng)
    visits = run_all(work)
    folder = mesh_tiles(work.folder, work.plan)
    whole = whole_mesh(work)
    assert len(work.encoded) > 8 and len(folder.mesh_names()) > 4 and len(whole.faces) > 1000
    assert visits > len(folder.names_with(SEARCH))  # the surface led back to some
    assert_nearly_same_surface(found_mesh(work), whole, ROUNDING_VOXELS)


def test_what_is_finished_is_not_done_again_and_what_was_lost_is(tmp_path: Path, rng: np.random.Generator) -> None:
    work = prepare(tmp_path / "work", rng)
    run_all(work)
    before, expected = contents(work), found_mesh(work)
    assert len(expected.faces) > 1000
    times = {path: Path(path).stat().st_mtime_ns for path in before}
    run_all(work)
    assert contents(work) == before and times == {path: Path(path).stat().st_mtime_ns for path in before}
    folder = mesh_tiles(work.folder, work.plan)
    for name in folder.mesh_names()[::3]:
        folder.path(name, MESH).unlink()
    searched = folder.names_with(SEARCH)
    folder.path(searched[0], BORDER).unlink()  # as a kill between the two files of a search leaves it
    forget_work()
    run_all(work)
    assert_nearly_same_surface(found_mesh(work), expected, ROUNDING_VOXELS)


@dataclass
class Stopping:
    """Runs jobs in an order of its own, and breaks off after some of them."""

    rng: np.random.Generator
    most: int
    lost: int = 0

    def run(
        self, call: Callable[[Any], Any], jobs: Sequence[Any], needs: Callable[[Any], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Any]]:
        for index in self.rng.permutation(len(jobs)).tolist():
            if self.most == 0:
                raise KeyboardInterrupt
            self.most -= 1
            yield index, call(jobs[index])

    def require_shared(self, folder: Path) -> None:
        """Nothing to check."""

    def close(self) -> None:
        """Nothing to end."""


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_that_is_broken_off_again_and_again_ends_with_the_same_surface(
    tmp_path: Path, rng: np.random.Generator, seed: int
) -> None:
    work = prepare(tmp_path / "work", rng, tile=24)
    order, broken_off = np.random.default_rng(seed), 0
    while True:
        try:
            run_all(work, Stopping(order, int(order.integers(8, 30)) + 20 * broken_off))
            break
        except KeyboardInterrupt:
            broken_off += 1
            forget_work()
    assert broken_off > 1
    whole = whole_mesh(work)
    assert len(whole.faces) > 1000
    assert_nearly_same_surface(found_mesh(work), whole, ROUNDING_VOXELS)


def test_the_stages_together_give_the_features_of_the_whole_network(tmp_path: Path, rng: np.random.Generator) -> None:
    work = prepare(tmp_path / "work", rng)
    found = encode_all(work.folder, work.network.unet, work.encoded, LocalRunner(), NEEDS, silent)
    forget_work()
    tiled = encoding.field_around(OpenWork(work.folder), np.full(3, -64), np.full(3, 96))
    whole = work.whole_field()
    assert found.level_cells == {level.stride: len(level.keys) for level in whole.levels}
    for ours, theirs in zip(tiled.levels, whole.levels, strict=True):
        assert ours.stride == theirs.stride and torch.equal(ours.keys, theirs.keys)
        torch.testing.assert_close(ours.features, theirs.features, atol=1e-6, rtol=1e-6)
    left = {path.name for path in (work.folder / "encoded").rglob("*") if path.is_file()}
    assert left == {"encoding.json", *(f"field{level}.{kind}" for level in range(3) for kind in ("npy", "npz"))}


@pytest.mark.parametrize("stage", [Stage(0, up=False), Stage(2, up=False), Stage(1, up=True), Stage(0, up=True)])
def test_a_stage_that_reads_a_cell_less_around_its_tile_differs(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    work = prepare(tmp_path / "work", rng)
    reach = Stage.reach

    def less(each: Stage, unet: SparseUNet) -> int:
        return reach(each, unet) - (1 << each.level + each.up if each == stage else 0)

    monkeypatch.setattr(Stage, "reach", less)
    encode_all(work.folder, work.network.unet, work.encoded, LocalRunner(), NEEDS, silent)
    forget_work()
    tiled = encoding.field_around(OpenWork(work.folder), np.full(3, -64), np.full(3, 96))
    whole = work.whole_field()
    assert any(
        not torch.equal(ours.keys, theirs.keys) or not torch.allclose(ours.features, theirs.features, atol=1e-5)
        for ours, theirs in zip(tiled.levels, whole.levels, strict=True)
    )


def test_a_plan_comes_back_from_its_file(tmp_path: Path, rng: np.random.Generator) -> None:
    work = prepare(tmp_path / "work", rng)
    assert WorkPlan.load(work.folder) == work.plan
    assert PointStore.open(work.folder / POINTS).count == POINTS_GIVEN
