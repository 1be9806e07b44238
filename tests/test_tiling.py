"""Encoding and reconstructing in tiles: the same field and the same mesh as in one piece, in less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet import Reconstructor
from sparse_convonet.encode.context import Context
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.io.cleaning import clean_points
from sparse_convonet.io.points import read_points
from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.model import build_sparse
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model_config import SparseModelConfig
from sparse_convonet.reconstruct import Reconstruction
from sparse_convonet.reconstruction_settings import ReconstructionSettings
from sparse_convonet.structures import PointCloud
from sparse_convonet.tile_grid import TiledRows, TileGrid
from sparse_convonet.tiling import encode_tiled, encoding_grid, largest_load
from sparse_convonet.weights import TrainedModel, load_model
from tests.mesh.test_tiles import assert_same_surface
from tests.synthetic_scan import room_points

MODEL = SparseModelConfig(
    engine="native", pointnet_width=8, pointnet_blocks=2, widths=(8, 8, 16), blocks_per_level=1, dilate_from_stride=4,
    feature_width=8, decoder_width=8,
)  # fmt: skip


def small_network(widths: tuple[int, ...], blocks: int, dilate_from: int) -> SparseOccupancyNetwork:
    return network(replace(MODEL, widths=widths, blocks_per_level=blocks, dilate_from_stride=dilate_from))


def network(config: SparseModelConfig = MODEL) -> SparseOccupancyNetwork:
    torch.manual_seed(0)
    model = build_sparse(config)
    with torch.no_grad():  # blocks begin as identities; make every weight count
        for name, value in model.named_parameters():
            if any(part in name for part in ("outer", "hint_lift", "take_context")):
                value.normal_(0, 0.3)
        points = torch.rand(500, 3) * 12
        model.encode(points, torch.zeros(500, dtype=torch.int64))  # batch norm takes in some statistics
    return model.eval()


def encode(model: SparseOccupancyNetwork, points: np.ndarray) -> SparseField:
    with torch.no_grad():
        return model.encode(torch.from_numpy(points), torch.zeros(len(points), dtype=torch.int64))


def logits(model: SparseOccupancyNetwork, field: SparseField, queries: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.occupancy(field, torch.from_numpy(queries), torch.zeros(len(queries), dtype=torch.int64))[
            0
        ].numpy()


def assert_same_field(found: SparseField, expected: SparseField) -> None:
    for ours, theirs in zip(found.levels, expected.levels, strict=True):
        assert torch.equal(ours.keys, theirs.keys)
        torch.testing.assert_close(ours.features, theirs.features, atol=1e-6, rtol=1e-6)


def sheets(rng: np.random.Generator, reach: float, count: int = 4000) -> np.ndarray:
    """Points on three sheets across a cube around the origin, and a few anywhere."""
    points = rng.uniform(-reach, reach, (count, 3))
    sheet = rng.integers(0, 3, count)
    points[np.arange(count), sheet] = 0.4 * points[np.arange(count), (sheet + 1) % 3] + rng.normal(0, 0.3, count)
    points[:50] = rng.uniform(-reach, reach, (50, 3))
    return points


# The receptive field, by gradients: with positive weights no path cancels and no unit is off, so the gradient is not
# zero exactly where a path leads.


def with_positive_kernels(model: SparseOccupancyNetwork) -> None:
    """Every path through the network counts, and none cancels another."""
    with torch.no_grad():
        for name, value in model.unet.named_parameters():
            if "kernel" in name:
                value.fill_(0.5 / value.shape[-2])
        for module in model.unet.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.reset_running_stats()
        model.pointnet.project.bias.fill_(1.0)


def line_reaches(model: SparseOccupancyNetwork, length: int, voxels: range) -> torch.Tensor:
    """(len(voxels), length) bool: whether the feature at a voxel of a line depends on the input at another."""
    with_positive_kernels(model)
    coordinates = torch.zeros(length, 4, dtype=torch.int32)
    coordinates[:, 1] = torch.arange(length)
    features = torch.ones(length, 8, requires_grad=True)
    finest = model.unet(features, coordinates)[0]
    reached = []
    for voxel in voxels:
        (gradient,) = torch.autograd.grad(finest.F[voxel].sum(), features, retain_graph=True)
        reached.append(gradient.abs().sum(dim=1) > 0)
    return torch.stack(reached)


@pytest.mark.parametrize(
    ("widths", "blocks", "dilate_from"),
    [((8, 8), 1, 4), ((8, 8, 8), 1, 4), ((8, 8, 8), 2, 2), ((8, 8, 8, 8), 1, 4)],
)
def test_the_receptive_field_is_counted_exactly(widths: tuple[int, ...], blocks: int, dilate_from: int) -> None:
    model = small_network(widths, blocks, dilate_from)
    unet = model.unet
    reach, stride = unet.receptive_field_voxels(), unet.total_stride
    length = -(-(2 * reach + 2 * stride) // stride) * stride
    middle = length // 2 // stride * stride
    reached = line_reaches(model, length, range(middle, middle + stride))
    for row, voxel in enumerate(range(middle, middle + stride)):
        first, last = unet.inputs_along_axis(voxel, voxel + 1)
        found = torch.nonzero(reached[row])[:, 0]
        assert (int(found[0]), int(found[-1]) + 1) == (max(first, 0), min(last, length))
        assert voxel - first <= reach and last - voxel - 1 <= reach
    box = torch.nonzero(reached.any(dim=0))[:, 0]
    assert middle - int(box[0]) == unet.halo_voxels() == int(box[-1]) + 1 - (middle + stride)
    assert unet.halo_voxels() <= reach


def test_a_coarse_cell_less_of_halo_changes_the_field(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_network((8, 8), 1, 2)
    with_positive_kernels(model)
    points = np.zeros((128, 3))
    points[:, 0] = np.arange(-64, 64) + 0.3
    whole, grid = encode(model, points), TileGrid((-64, 0, 0), (32, 32, 32))
    assert_same_field(encode_tiled(model, points, grid), whole)
    less = model.unet.halo_voxels() - model.unet.total_stride
    monkeypatch.setattr(type(model.unet), "halo_voxels", lambda self: less)
    with pytest.raises(AssertionError):
        assert_same_field(encode_tiled(model, points, grid), whole)


# Tiles of many sizes.


@pytest.mark.parametrize("edge", [16, 1024])
@pytest.mark.parametrize(("levels", "dilate_from"), [(2, 1), (3, 4)])
def test_logits_in_tiles_are_those_of_the_whole(
    rng: np.random.Generator, edge: int, levels: int, dilate_from: int
) -> None:
    model, points = small_network((8, 8, 16)[:levels], 1, dilate_from), sheets(rng, 16.0, 1500) + [7.0, -2000.0, 3.0]
    grid = encoding_grid(points, model.unet, edge)
    whole, tiled = encode(model, points), encode_tiled(model, points, grid)
    assert_same_field(tiled, whole)
    queries = np.concatenate([points[::5] + rng.normal(0, 2, (len(points[::5]), 3)), points[::7]])
    queries[::3, 0] = np.round(queries[::3, 0] / grid.edges[0]) * grid.edges[0] + grid.origin[0]  # on borders
    expected = logits(model, whole, queries)
    np.testing.assert_allclose(logits(model, tiled, queries), expected, atol=1e-6)
    assert expected.std() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("with_hints", [True, False])
def test_context_and_hints_in_tiles_are_those_of_the_whole(rng: np.random.Generator, with_hints: bool) -> None:
    model = network(replace(MODEL, context_widths=(8, 12), point_hints=True))
    points = sheets(rng, 24.0, 1500) + [7.0, -2000.0, 3.0]
    hints = torch.from_numpy(rng.normal(size=(len(points), 6)).astype(np.float32)) if with_hints else None
    batch = torch.zeros(len(points), dtype=torch.int64)
    whole = model.encode(torch.from_numpy(points), batch, hints)
    tiled = encode_tiled(model, points, encoding_grid(points, model.unet, 16), hints=hints)
    assert_same_field(tiled, whole)
    nothing_around = Context(batch[:0], torch.zeros(0, 8))
    for blind in (None, hints) if with_hints else (None,):
        with pytest.raises(AssertionError):  # what a tile would be without the others, or without hints
            assert_same_field(model.encode(torch.from_numpy(points), batch, blind, nothing_around), whole)


def test_an_empty_middle_costs_no_tiles_and_progress_ends_at_the_last(rng: np.random.Generator) -> None:
    model, half = network(), sheets(rng, 12.0, 500)
    points = np.concatenate([half, half + [100_000.0, 0, 0]])
    seen: list[tuple[int, int]] = []
    tiled = encode_tiled(model, points, encoding_grid(points, model.unet, 64), lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1] == len(seen) < 100
    assert_same_field(tiled, encode(model, points))


def test_rows_around_a_tile_are_those_in_its_box(rng: np.random.Generator) -> None:
    positions, grid = rng.uniform(-50, 70, (700, 3)), TileGrid((-8, 4, 0), (10, 20, 30))
    rows = TiledRows(positions, grid)
    assert sum(len(rows.of(tile)) for tile in rows.occupied()) == len(positions)
    for tile in rows.near(25)[::20]:
        for reach in (0, 3, 25):
            low, high = grid.box(tile)
            inside = ((positions >= low - reach) & (positions < high + reach)).all(axis=1)
            np.testing.assert_array_equal(rows.around(tile, reach), np.flatnonzero(inside))


def test_the_largest_load_is_no_less_than_the_voxels_of_any_tile(rng: np.random.Generator) -> None:
    model, points = network(), sheets(rng, 60.0)
    grid = encoding_grid(points, model.unet, 32)
    voxels = np.unique(np.floor(points).astype(np.int64), axis=0)
    tiles, load = largest_load(voxels, model.unet, grid)
    rows = TiledRows(voxels, grid)
    most = max(len(rows.around(tile, model.unet.halo_voxels())) for tile in rows.occupied())
    assert tiles >= len(rows.occupied()) and most <= load <= len(voxels)


def test_tiles_off_the_grid_of_coarse_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="expected multiples of 4 voxels"):
        encode_tiled(network(), np.zeros((1, 3)), TileGrid((0, 0, 0), (30, 32, 32)))


# The shipped model.


def run_both(model: TrainedModel, cloud: PointCloud, tile_voxels: int, **settings: object) -> list[Reconstruction]:
    chosen = ReconstructionSettings(**settings)  # type: ignore[arg-type]
    reconstructor = Reconstructor(model, chosen)
    plan = reconstructor.plan(cloud)
    assert plan.tile_voxels is None
    return [reconstructor.run(cloud, replace(plan, tile_voxels=edge)) for edge in (tile_voxels, None)]


def test_a_room_in_tiles_is_the_room_in_one_piece() -> None:
    colours = np.arange(60_000, dtype=np.int64).reshape(-1, 3).astype(np.uint8)
    cloud = PointCloud(room_points(), colours)
    tiled, whole = run_both(load_model("building", engine="native"), cloud, 48, voxel_size_m=0.12)
    assert_same_surface(tiled.mesh, whole.mesh)
    assert is_watertight(tiled.mesh.faces, len(tiled.mesh.vertices))
    assert tiled.level_cells == whole.level_cells and tiled.removed_pieces == whole.removed_pieces
    orders = [np.lexsort(mesh.mesh.vertices.T) for mesh in (tiled, whole)]
    for ours, theirs in ((tiled.mesh.colours, whole.mesh.colours), (tiled.mesh.normals, whole.mesh.normals)):
        assert ours is not None and theirs is not None
        np.testing.assert_allclose(ours[orders[0]].astype(float), theirs[orders[1]].astype(float), atol=1e-5)


@pytest.mark.slow
def test_a_real_hall_in_tiles_is_the_hall_in_one_piece(shared_data: Path) -> None:
    scan = shared_data / "real" / "two_storey_hall.laz"
    if not scan.is_file():
        pytest.skip(f"no file {scan}")
    cloud, _ = clean_points(read_points(scan))
    tiled, whole = run_both(load_model("building", engine="native"), cloud, 192, voxel_size_m=0.12, up="y")
    assert_same_surface(tiled.mesh, whole.mesh)
    assert is_watertight(tiled.mesh.faces, len(tiled.mesh.vertices))
