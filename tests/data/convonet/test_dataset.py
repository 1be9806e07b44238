"""Samples from files: drawn as asked, the same for the same seed, whatever worker draws them."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from sparse_convonet.config.experiment import DataConfig, load_config
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.dataset import (
    HALF_JITTER_UNIT,
    ConvonetDataset,
    DrawSettings,
    UnitSample,
    pack_unit_samples,
)
from sparse_convonet.data.convonet.sidecar import write_frame
from sparse_convonet.data.convonet.stream import FolderStream, evaluation_samples, in_world
from tests.data.convonet.small_set import POINTS, QUERIES, write_set

ALL = DrawSettings(points=None, queries=None, noise=0.0, random_file=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set")


def same(first: UnitSample, second: UnitSample) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("points_unit", "queries_unit", "occupied")
    )


def radius_of(sample: UnitSample) -> float:
    return float(np.linalg.norm(sample.points_unit, axis=1).mean())


def test_models_come_class_after_class_in_the_order_of_the_lists(root: Path) -> None:
    data = ConvonetDataset(root, "train", ALL)
    assert [(model.category, model.name) for model in data.models] == [(c, f"m{n}") for c in "ab" for n in range(5)]
    assert [radius_of(data[index]) for index in range(10)] == pytest.approx(0.2 + np.arange(10) / 100, abs=1e-4)
    assert len(ConvonetDataset(root, "val")) == 2
    assert len(ConvonetDataset(root, "train", categories=["b"])) == 5


def test_without_subsampling_all_rows_come_in_order_moved_by_the_jitter_of_half_precision_alone(root: Path) -> None:
    sample = ConvonetDataset(root, "train", ALL)[3]
    stored = np.load(root / "a/m3/pointcloud/pointcloud_00.npz")["points"].astype(np.float32)
    moved = sample.points_unit - stored
    assert sample.points_unit.dtype == np.float32 and len(stored) == POINTS
    assert 0.8 * HALF_JITTER_UNIT < moved.std() < 1.2 * HALF_JITTER_UNIT
    occupancy = np.load(root / "a/m3/points_iou/points_iou_00.npz")
    assert np.array_equal(sample.occupied, np.unpackbits(occupancy["occupancies"])[:QUERIES].astype(bool))
    moved = sample.queries_unit - occupancy["points"].astype(np.float32)
    assert 0.8 * HALF_JITTER_UNIT < moved.std() < 1.2 * HALF_JITTER_UNIT
    assert sample.volume == pytest.approx(sample.occupied.mean())


def test_single_precision_is_not_jittered(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=1, dtype=np.float32)
    sample = ConvonetDataset(root, "train", ALL)[0]
    assert np.array_equal(sample.points_unit, np.load(root / "a/m0/pointcloud/pointcloud_00.npz")["points"])
    assert np.array_equal(sample.queries_unit, np.load(root / "a/m0/points_iou/points_iou_00.npz")["points"])


def test_noise_has_the_deviation_asked_for_in_metres_where_the_size_is_known(tmp_path: Path) -> None:
    root = write_set(tmp_path, models=1, dtype=np.float32)
    settings = replace(ALL, points=20_000, noise=0.01)
    exact = 0.2

    def deviation() -> float:
        # Along the radius, the noise of a point on a ball is that of one axis.
        return float((np.linalg.norm(ConvonetDataset(root, "train", settings)[0].points_unit, axis=1) - exact).std())

    assert deviation() == pytest.approx(0.01, rel=0.05)
    write_frame(root / "a" / "m0", UnitFrame(np.array([3.0, 2.0, 1.0]), 4.0))
    assert deviation() == pytest.approx(0.0025, rel=0.05)


def test_training_draws_from_every_file_and_evaluation_from_the_first(root: Path) -> None:
    stored = [np.load(root / f"a/m0/pointcloud/pointcloud_{file:02d}.npz")["points"] for file in range(3)]

    def file_of(sample: UnitSample) -> int:
        near = [
            np.abs(points[:, None].astype(np.float32) - sample.points_unit[None, :5]).sum(-1).min(0)
            for points in stored
        ]
        return int(np.argmin([gap.max() for gap in near]))

    training = ConvonetDataset(root, "train", DrawSettings(points=20, noise=0.0))
    drawn = {file_of(training.draw(0, epoch)) for epoch in range(40)}
    assert drawn == {0, 1, 2}
    evaluation = ConvonetDataset(root, "train", DrawSettings(points=20, noise=0.0, random_file=False))
    assert {file_of(evaluation.draw(0, epoch)) for epoch in range(10)} == {0}


def test_a_pair_of_numbers_draws_so_many_queries_outside_and_inside(root: Path) -> None:
    sample = ConvonetDataset(root, "train", DrawSettings(queries=(30, 20)))[4]
    assert sample.occupied.tolist() == [False] * 30 + [True] * 20
    inside = np.linalg.norm(sample.queries_unit, axis=1) < 0.24
    assert (inside == sample.occupied).mean() > 0.95  # the jitter may carry one over the border


def test_a_model_without_a_query_inside_is_an_error_for_a_pair(root: Path) -> None:
    queries = np.full((10, 3), 0.5, dtype=np.float16)
    for file in range(3):
        path = root / f"a/m0/points_iou/points_iou_{file:02d}.npz"
        np.savez(path, points=queries, occupancies=np.packbits(np.zeros(10, dtype=bool)))
    with pytest.raises(ValueError, match="m0: expected queries inside the model, found none"):
        ConvonetDataset(root, "train", DrawSettings(queries=(5, 5)))[0]


def test_partial_scans_keep_a_share_of_one_axis_from_its_lower_end(root: Path) -> None:
    data = ConvonetDataset(root, "train", DrawSettings(points=2000, noise=0.0, keep_ratio=0.5))
    whole = ConvonetDataset(root, "train", ALL)[0].points_unit
    cut_axes = set()
    for epoch in range(30):
        kept = data.draw(0, epoch).points_unit
        shares = (kept.max(axis=0) - whole.min(axis=0)) / np.ptp(whole, axis=0)
        cut = np.flatnonzero(shares < 0.97)
        assert len(cut) <= 1 and shares.min() > 0.49
        assert np.allclose(kept.min(axis=0), whole.min(axis=0), atol=0.03)
        cut_axes |= set(cut.tolist())
    assert cut_axes == {0, 1, 2}


def test_scans_without_occupancies_are_read_where_no_queries_are_wanted(root: Path) -> None:
    for folder in root.glob("*/m*/points_iou"):
        folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(ValueError, match="m0: expected points_iou.npz or points_iou/points_iou_00.npz or points.npz"):
        ConvonetDataset(root, "train", ALL)[0]
    sample = ConvonetDataset(root, "train", replace(ALL, with_queries=False))[0]
    assert len(sample.points_unit) == POINTS and sample.queries_unit.shape == (0, 3) and len(sample.occupied) == 0


def test_normals_and_points_stay_together(root: Path) -> None:
    sample = ConvonetDataset(root, "train", DrawSettings(noise=0.0, with_normals=True, keep_ratio=0.7))[2]
    assert sample.normals is not None
    assert np.allclose(sample.points_unit / 0.22, sample.normals, atol=5e-3)


def test_samples_depend_on_seed_epoch_and_index_alone(root: Path) -> None:
    data = ConvonetDataset(root, "train", seed=3)
    first = data[2]
    assert same(first, ConvonetDataset(root, "train", seed=3)[2])
    assert not same(first, ConvonetDataset(root, "train", seed=4)[2])
    data.set_epoch(1)
    assert not same(first, data[2])
    assert same(data[2], data.draw(2, 1))
    assert same(data[-8], data[2])
    with pytest.raises(IndexError):
        data[10]


@pytest.mark.parametrize("workers", [0, 2])
def test_packed_batches_hold_every_row_and_whose_it_is(root: Path, workers: int) -> None:
    settings = DrawSettings(points=None, queries=7)
    data = ConvonetDataset(root, "train", settings)
    loader = DataLoader(data, batch_size=4, num_workers=workers, collate_fn=pack_unit_samples)
    batches = list(loader)
    assert [int(batch.point_batch.max()) + 1 for batch in batches] == [4, 4, 2]
    for start, batch in zip((0, 4, 8), batches, strict=True):
        for slot in range(int(batch.point_batch.max()) + 1):
            expected = data[start + slot]
            mine, asked = batch.point_batch == slot, batch.query_batch == slot
            assert torch.equal(batch.points[mine], torch.from_numpy(expected.points_unit))
            assert torch.equal(batch.queries[asked], torch.from_numpy(expected.queries_unit))
            assert torch.equal(batch.occupied[asked], torch.from_numpy(expected.occupied.astype(np.float32)))
        assert (batch.point_batch.diff() >= 0).all()


def test_broken_models_are_an_error_unless_they_are_to_be_skipped(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for file in (root / "a" / "m1" / "pointcloud").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    (root / "a" / "m2").rename(root / "a" / "elsewhere")
    with pytest.raises(ValueError, match=r"m1.*expected an .npz archive, found damaged"):
        ConvonetDataset(root, "train", ALL)[1]
    with pytest.raises(ValueError, match=r"m2: expected pointcloud.npz or pointcloud/pointcloud_00.npz, found no such"):
        ConvonetDataset(root, "train", ALL)[2]
    data = ConvonetDataset(root, "train", ALL, skip_broken=True)
    assert radius_of(data[1]) == pytest.approx(0.23, abs=1e-4)  # the next sound one
    assert radius_of(data[2]) == pytest.approx(0.23, abs=1e-4)
    assert [path.name for path in data.broken] == ["m1", "m2"]
    assert len(caplog.records) == 2 and "broken model 2 skipped" in caplog.text


def test_a_set_without_any_sound_model_is_an_error(root: Path) -> None:
    for model in (root / "a").glob("m*"):
        (model / "pointcloud").rename(model / "gone")
    with pytest.raises(ValueError, match="expected at least one model that can be read, found none of 5"):
        ConvonetDataset(root, "train", ALL, categories=["a"], skip_broken=True)[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"points": 0}, "expected positive numbers"),
        ({"queries": (0, 5)}, "expected positive numbers"),
        ({"noise": -1.0}, "expected a standard deviation of at least 0"),
        ({"keep_ratio": 1.5}, "expected a share above 0 and at most 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DrawSettings(**settings)


def test_a_data_set_takes_no_memory_but_names(root: Path) -> None:
    data = ConvonetDataset(root, "train", ALL)

    def read_all() -> None:
        for index in range(len(data)):
            data[index]

    read_all()
    tracemalloc.start()
    for _ in range(3):
        read_all()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < len(data) * POINTS * 6  # less than the points alone, as they are on disk


def test_world_coordinates_are_upright_and_in_metres(root: Path) -> None:
    frame = UnitFrame(np.array([1.0, 2.0, 3.0]), 5.0)
    write_frame(root / "a" / "m0", frame)
    sample = ConvonetDataset(root, "train", ALL)[0]
    world = in_world(sample, 0.1)
    assert np.allclose(world.points_world, frame.to_world(sample.points_unit), atol=1e-6)
    up = sample.points_unit[:, 1] * 5 + 3
    assert np.allclose(world.points_world[:, 2], up, atol=1e-6)
    without = ConvonetDataset(root, "train", ALL)[1]
    assert np.allclose(in_world(without, 0.1).points_world[:, 2], without.points_unit[:, 1], atol=1e-6)


def stream_config(root: Path) -> DataConfig:
    return DataConfig(folder=str(root), points=50, queries=20, near_surface_share=0.0, voxel_size_m=(0.03, 0.06))


def test_stream_gives_each_model_once_in_an_epoch_and_any_batch_alone(root: Path) -> None:
    stream = FolderStream(stream_config(root), "train", seed=1, batch=5)
    orders = [stream._order(epoch).tolist() for epoch in range(2)]
    assert all(sorted(order) == list(range(10)) for order in orders) and orders[0] != orders[1]
    batches = iter(DataLoader(stream, batch_size=None, num_workers=2))
    later = FolderStream(stream_config(root), "train", seed=1, batch=5, first_batch=2)
    expected = [stream.make(index) for index in range(4)]
    for index in range(4):
        assert torch.equal(next(batches).points, expected[index].points)
    assert torch.equal(next(iter(later)).queries, expected[2].queries)


def test_evaluation_takes_all_queries_of_the_first_file(root: Path) -> None:
    samples = evaluation_samples(stream_config(root), "val", 10, seed=0)
    assert len(samples) == 2
    stored = np.load(root / "a/m4/points_iou/points_iou_00.npz")["occupancies"]
    assert np.array_equal(samples[0].occupied, np.unpackbits(stored)[:QUERIES].astype(bool))
    assert samples[0].voxel_size_m == pytest.approx(np.sqrt(0.03 * 0.06))


def test_config_of_a_folder_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    for text, words in (
        ("data: {folder: x}", "data.near_surface_share: expected 0 with data.folder"),
        ("data: {outside_inside: [0, 5]}", "data.outside_inside: expected null or two positive numbers"),
        ("data: {keep_ratio: 2.0}", "data.keep_ratio: expected null or a share"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            load_config(path)
