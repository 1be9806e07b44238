"""Scans whose scanners are known: what the network is told of them, in one piece and in tiles."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sparse_convonet import Reconstructor
from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.encode.voxelise import Voxels
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.structures import PointCloud
from tests.small_network import MODEL, network
from tests.synthetic_scan import room_points

SCANNER = np.array([1.5, 1.0, 1.2])


@pytest.fixture(scope="module")
def hinted() -> TrainedModel:
    config = replace(MODEL, point_hints=True)
    return TrainedModel(network(config), ExperimentConfig(model=config), 0.5, {}, "hinted")


class AskedError(Exception):
    """The network was asked: what follows in a reconstruction does not matter here."""

    def __init__(self, voxels: Voxels, hints: torch.Tensor | None) -> None:
        self.voxels, self.hints = voxels, hints


def told(model: TrainedModel, scanners: Any, points: np.ndarray, **settings: Any) -> np.ndarray | None:
    """(N, 6) hints of the points as the network was given them; zeros for those that it did not keep."""

    def listen(module: torch.nn.Module, inputs: tuple[Any, Any]) -> None:
        raise AskedError(*inputs)

    hook = model.sparse.pointnet.register_forward_pre_hook(listen)
    chosen = ReconstructionSettings(voxel_size_m=0.4, **settings)
    with pytest.raises(AskedError) as heard:
        Reconstructor(model, chosen).reconstruct(points, scanners)
    hook.remove()
    hints = heard.value.hints
    if hints is None:
        return None
    by_row = np.zeros((len(points), hints.shape[1]), dtype=np.float32)
    by_row[heard.value.voxels.rows.numpy()] = hints.numpy()
    return by_row


def directions(points: np.ndarray, scanners: np.ndarray) -> np.ndarray:
    way = scanners - points
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True))


def kept(hints: np.ndarray) -> np.ndarray:
    return np.asarray(hints.any(axis=1))


@pytest.mark.parametrize("one_for_all", [True, False])
def test_directions_to_the_scanners_reach_the_network(hinted: TrainedModel, one_for_all: bool) -> None:
    points = room_points(200)
    scanners = SCANNER if one_for_all else SCANNER + np.arange(200)[:, None] * 0.01
    found = told(hinted, scanners, points)
    assert found is not None and kept(found).sum() > 100
    expected = directions(points, np.broadcast_to(scanners, points.shape))
    np.testing.assert_allclose(found[kept(found), :3], expected[kept(found)], atol=1e-6)
    assert not found[:, 3:].any()


def test_directions_are_upright_metres_like_the_points(hinted: TrainedModel) -> None:
    points = room_points(200)
    upright = told(hinted, SCANNER, points)
    lying = told(
        hinted, 1000 * SCANNER[[0, 2, 1]] * [1, 1, -1], 1000 * points[:, [0, 2, 1]] * [1, 1, -1], up="y", scale=1e-3
    )
    assert upright is not None and lying is not None
    both = kept(upright) & kept(lying)
    assert both.sum() > 100
    np.testing.assert_allclose(lying[both], upright[both], atol=1e-5)


def test_positions_that_are_not_finite_or_in_the_point_are_not_known(hinted: TrainedModel) -> None:
    points = room_points(200)
    scanners = np.tile(SCANNER, (200, 1))
    scanners[::4, 1], scanners[1::4], scanners[2::4] = np.nan, np.inf, points[2::4]
    found = told(hinted, scanners, points)
    assert found is not None and np.isfinite(found).all()
    assert not found[::4].any() and not found[1::4].any() and not found[2::4].any() and found[3::4].any()


def test_nothing_is_told_without_scanners(hinted: TrainedModel) -> None:
    assert told(hinted, None, room_points(200)) is None


@pytest.mark.parametrize("shape", [(199, 3), (200, 2), (1, 3), (2,), (0, 3), (200, 3, 1), ()])
def test_scanners_of_another_shape_are_refused(hinted: TrainedModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError) as refused:
        Reconstructor(hinted).reconstruct(room_points(200), np.zeros(shape))
    assert str(refused.value) == (
        "scanners: expected an array of shape (200, 3), one position per point, or (3,) for all, "
        f"found {shape}"
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"scanners: expected"):
        PointCloud(np.zeros((5, 3)), scanners=np.zeros((4, 3)))


def test_a_model_without_hints_leaves_scanners_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    model, points = load_model("building", engine="native"), room_points(300)
    assert not model.sparse.takes_hints
    with caplog.at_level(logging.INFO):
        assert told(model, SCANNER, points) is None
    assert "scanners  the model building takes no directions to them, which are left out" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert told(model, None, points) is None
    assert "left out" not in caplog.text


@pytest.mark.parametrize("context_widths", [(), (8, 8)])
def test_scanners_of_a_scan_that_does_not_fit_the_memory_go_through_the_disk(
    context_widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (16,))
    config = replace(MODEL, point_hints=True, context_widths=context_widths)
    model = TrainedModel(network(config), ExperimentConfig(model=config), 0.5, {}, "hinted")
    points = room_points(1500)
    scanners = SCANNER + np.arange(len(points))[:, None] % 7 * 0.1
    scanners[::5, 1], scanners[1::5], scanners[2::5] = np.nan, np.inf, points[2::5]
    points, scanners = (1000 * values[:, [0, 2, 1]] * [1, 1, -1] for values in (points, scanners))
    settings = ReconstructionSettings(voxel_size_m=0.2, up="y", scale=1e-3, field_normals=False)
    asked = Reconstructor(model, settings).encode(points, scanners).occupancy(points[::10])
    settings = replace(settings, threshold=float(np.median(asked)))  # random weights have no other surface
    cloud = PointCloud(points, scanners=scanners)
    whole = Reconstructor(model, settings).run(cloud)
    tiled = Reconstructor(model, replace(settings, memory_bytes=800_000_000)).run(cloud)
    assert tiled.plan.tiles >= 8 and len(whole.mesh.faces) > 500
    np.testing.assert_array_equal(tiled.mesh.faces, whole.mesh.faces)
    # torch's products, in a decoder so narrow, differ in the last bit with how many queries are asked at a time.
    np.testing.assert_allclose(tiled.mesh.vertices, whole.mesh.vertices, atol=0.01)  # mm
    blind = Reconstructor(model, settings).run(PointCloud(points))
    assert len(blind.mesh.vertices) != len(whole.mesh.vertices) or (
        np.abs(blind.mesh.vertices - whole.mesh.vertices).max() > 1
    )


def test_nothing_is_occupied_where_rays_passed_in_one_piece_and_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (16,))
    model = TrainedModel(network(MODEL), ExperimentConfig(model=MODEL), 0.5, {}, "small")
    points = room_points(3000)
    ways = points[::10] - SCANNER
    far = np.linalg.norm(ways, axis=1, keepdims=True) > 1.5
    on_rays = SCANNER + (ways * np.random.default_rng(0).uniform(0.2, 0.6, far.shape))[far[:, 0]]
    settings = ReconstructionSettings(voxel_size_m=0.2)
    asked = np.concatenate([on_rays, points[::10]])

    def occupancy(scanners: np.ndarray | None, **changed: Any) -> np.ndarray:
        field = Reconstructor(model, replace(settings, **changed)).encode(points, scanners)
        return np.asarray(field.occupancy(asked))

    carved, blind, kept = occupancy(SCANNER), occupancy(None), occupancy(SCANNER, carve=False)
    np.testing.assert_array_equal(kept, blind)
    free, near = slice(len(on_rays)), slice(len(on_rays), None)
    assert len(on_rays) > 100 and np.median(carved[free]) < 0.01 * np.median(blind[free])
    np.testing.assert_allclose(carved[near], blind[near], rtol=0.3)  # at most a corner of a free cell is near a point
    assert np.median(carved[near] / blind[near]) > 0.999
    tiled = occupancy(SCANNER, memory_bytes=800_000_000)
    np.testing.assert_allclose(tiled, carved, rtol=1e-4)


def test_points_keep_their_scanners_when_some_are_selected() -> None:
    scanners = np.arange(15.0).reshape(5, 3)
    cloud = PointCloud(np.zeros((5, 3)), scanners=scanners).select(np.array([4, 0]))
    assert cloud.scanners is not None and cloud.scanners.tolist() == scanners[[4, 0]].tolist()
