"""What lies around a scan on disk is made once, from its sub-cells, and the field is that of the whole scan in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet.cluster import LocalRunner, TaskNeeds
from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.encode.voxelise import voxelise
from sparse_convonet.io.points import write_points
from sparse_convonet.model.weights import save_weights
from sparse_convonet.out_of_core.points.store_points import store_points
from sparse_convonet.out_of_core.tiles.encoding import field_around
from sparse_convonet.out_of_core.tiles.schedule import encode_all
from sparse_convonet.out_of_core.tiles.surroundings import ContextJob, make_context
from sparse_convonet.out_of_core.tiles.work import Work, forget_work
from sparse_convonet.out_of_core.tiles.work_plan import MODEL_FILE, POINTS, WorkPlan
from sparse_convonet.structures import PointCloud
from sparse_convonet.tile_grid import TiledRows, TileGrid, TileName
from tests.small_network import MODEL, assert_same_field, encoding_grid, network, sheets

VOXEL_M = 0.1
CONTEXT = replace(MODEL, widths=(8, 8, 8), context_widths=(8, 8), point_hints=True)


def prepare(
    folder: Path, rng: np.random.Generator, config: SparseModelConfig, count: int = 800
) -> tuple[Work, np.ndarray]:
    """A work folder with sheets of points in a cube of 3 m, and the points in voxels (N, 3)."""
    folder.mkdir()
    scan = folder / "scan.npz"
    write_points(scan, PointCloud(sheets(rng, 1.5, count)))
    store, *_ = store_points([scan], folder / POINTS, up="z", scale=1.0)
    made = network(config)
    save_weights(made.state_dict(), ExperimentConfig(model=config), folder / MODEL_FILE, threshold=0.5, record={})
    frame = VoxelFrame.from_lowest(store.low, VOXEL_M)
    points = frame.snap_to_voxels(store.within(store.low - 1, store.high + 1).points_world)
    x, y, z = frame.origin_world.tolist()
    tiles, meshing = encoding_grid(points, made, 16), TileGrid((0, 0, 0), (8, 8, 8))
    WorkPlan((x, y, z), VOXEL_M, VOXEL_M, 0.5, tiles, meshing, 2, "native", "cpu").save(folder)
    forget_work()
    return Work(folder), points


def tiles_of(work: Work, points: np.ndarray) -> list[TileName]:
    reach, rows = work.network.unet.expansion_voxels(), TiledRows(points, work.plan.encoding)
    return [name for name in rows.near(reach) if len(rows.around(name, reach))]


@torch.no_grad()
def test_the_field_through_the_disk_is_that_in_memory(tmp_path: Path, rng: np.random.Generator) -> None:
    work, points = prepare(tmp_path / "work", rng, CONTEXT)
    tiles = tiles_of(work, points)
    assert len(tiles) > 8
    encode_all(tmp_path / "work", work.network.unet, tiles, LocalRunner(), TaskNeeds(), lambda stage, share: None)
    everywhere = np.full(3, -32), np.full(3, 80)
    batch = torch.zeros(len(points), dtype=torch.int64)
    found, whole = field_around(work, *everywhere), work.network.encode(torch.from_numpy(points), batch)
    assert_same_field(found, whole)
    torch.nn.init.zeros_(work.network.take_context.weight)
    with pytest.raises(AssertionError):  # the context counts
        assert_same_field(work.network.encode(torch.from_numpy(points), batch), whole)


@torch.no_grad()
def test_of_a_dense_scan_tiles_show_the_network_the_points_that_it_is_shown_in_memory(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    work, points = prepare(tmp_path / "work", rng, CONTEXT, 200_000)
    batch = torch.zeros(len(points), dtype=torch.int64)
    every = voxelise(torch.from_numpy(points), batch, 1000)
    shown = work.network.voxelise(torch.from_numpy(points), batch)
    assert len(shown.coordinates) < len(every.coordinates) - 500
    tiles = tiles_of(work, points)
    encode_all(tmp_path / "work", work.network.unet, tiles, LocalRunner(), TaskNeeds(), lambda stage, share: None)
    everywhere = np.full(3, -32), np.full(3, 80)
    assert_same_field(field_around(work, *everywhere), work.network.encode(torch.from_numpy(points), batch))


@torch.no_grad()
def test_the_stored_context_is_that_of_all_points_and_is_made_once(tmp_path: Path, rng: np.random.Generator) -> None:
    work, points = prepare(tmp_path / "work", rng, CONTEXT)
    (tmp_path / "work" / "encoded").mkdir()
    expected = work.network.look_around(torch.from_numpy(points), torch.zeros(len(points), dtype=torch.int64))
    job = ContextJob(str(tmp_path / "work"))
    assert expected is not None and make_context(job) == len(expected.keys) > 20
    found = work.context
    assert found is not None and torch.equal(found.keys, expected.keys)
    torch.testing.assert_close(found.features, expected.features, atol=1e-6, rtol=1e-6)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / "encoded").iterdir()}
    assert times and make_context(job) == len(expected.keys)
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_network_without_context_stores_none(tmp_path: Path, rng: np.random.Generator) -> None:
    work, _ = prepare(tmp_path / "work", rng, MODEL)
    (tmp_path / "work" / "encoded").mkdir()
    assert make_context(ContextJob(str(tmp_path / "work"))) == 0 and work.context is None
    assert not list((tmp_path / "work" / "encoded").iterdir())
