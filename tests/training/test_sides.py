"""Sides of surfaces during training: fields whose floor is where it should be, too high, too deep, or under a slab."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparse_convonet.config.experiment import load_config
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.training import review
from sparse_convonet.training.loop import train
from sparse_convonet.training.sides import SidesScore, hall_sample, mean_sides, score_sides, sides_halls
from sparse_convonet.training.stopping import StopRequest, TrainingStopped
from tests.training.test_training import tiny_config

CPU = torch.device("cpu")
BUILDINGS = Path(__file__).parents[2] / "configs" / "buildings"


class Floor(OccupancyNetwork):
    """Occupied below the floor plus `top` voxels, and above it between the two heights of `slab`."""

    coordinates = "voxel"

    def __init__(self, top: float = 0.0, slab: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__()
        self.top, self.slab = top, slab

    def encode(self, points: torch.Tensor, batch: torch.Tensor) -> float:
        return float(points[:, 2].median())

    def occupancy(self, field: float, queries: torch.Tensor, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        height = queries[:, 2] - field
        occupied = (height < self.top) | ((height > self.slab[0]) & (height < self.slab[1]))
        return torch.where(occupied, 5.0, -5.0), torch.ones_like(occupied)


@pytest.mark.parametrize(
    ("network", "wrong", "holes"),
    [
        (Floor(), 0.0, 0.0),
        (Floor(top=0.3), 0.0, 0.0),
        (Floor(top=0.7), 1.0, 0.0),
        (Floor(slab=(1.2, 1.8)), 1.0, 0.0),
        (Floor(slab=(1.8, 2.5)), 0.0, 0.0),
        (Floor(top=-0.7), 0.0, 1.0),
        (Floor(top=-9.0, slab=(0.0, 1.0)), 1.0, 1.0),  # the slab on the wrong side that networks make
    ],
)
def test_a_lone_floor_is_scored_by_where_its_field_is_occupied(network: Floor, wrong: float, holes: float) -> None:
    hall = hall_sample("4x0@0.1", np.random.default_rng(0))
    network.train()
    assert score_sides(network, hall, 0.5, CPU) == SidesScore(wrong, holes)
    assert network.training


def test_what_is_just_below_the_threshold_is_free() -> None:
    hall = hall_sample("4x0@0.1", np.random.default_rng(0))
    assert score_sides(Floor(), hall, 0.999, CPU) == SidesScore(0.0, 1.0)  # all of it: p is 0.993


def test_queries_of_a_hall_lie_before_and_behind_its_true_surfaces() -> None:
    hall = hall_sample("6x2.7@0.08", np.random.default_rng(0))
    assert hall.voxel_size_m == 0.08 and len(hall.points_world) == int(625 * 36) * 2 + int(625 * 6 * 2.7) * 4
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    inside = hall.queries_world @ turn
    depth = np.minimum(inside, [6, 6, 2.7] - inside).min(axis=1).reshape(3, 3, -1)  # offsets, targets, rays
    for offset, voxels in enumerate((1.5, 0.5, -0.5)):
        np.testing.assert_allclose(depth[offset], voxels * 0.08, atol=1e-5)
    np.testing.assert_array_equal(hall.occupied, depth.ravel() < 0)


def test_the_mean_counts_every_hall_the_same() -> None:
    assert mean_sides([SidesScore(0.0, 0.5), SidesScore(1.0, 0.0)]) == SidesScore(0.5, 0.25)


def test_only_sparse_networks_on_generated_scenes_are_measured(caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(BUILDINGS / "sparse_building.yaml")
    assert [hall.voxel_size_m for hall in sides_halls(config)] == [0.08, 0.05, 0.08, 0.08]
    assert sides_halls(tiny_config()) == []
    with caplog.at_level(logging.INFO):
        assert sides_halls(replace(config, data=replace(config.data, folder="set"))) == []
        assert sides_halls(load_config(BUILDINGS / "dense_crop.yaml")) == []
    assert caplog.text.count("training.sides_halls: left out") == 2


def test_a_training_writes_both_curves_and_says_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_config(sides_halls=["3x0@0.1", "3x2x2.5@0.12"])
    with caplog.at_level(logging.INFO):
        train(config, tmp_path, CPU, resume=False)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    for name in ("sides/wrong", "sides/holes"):
        found = events.Scalars(name)
        assert [event.step for event in found] == [2, 4] and all(0 <= event.value <= 1 for event in found)
    last = 100 * events.Scalars("sides/wrong")[-1].value
    assert f"step 4: wrong side of surfaces in empty halls: {last:.2f} %, holes: " in caplog.text
    assert caplog.text.count("validation IoU (threshold): rooms") == 2


def test_a_run_that_is_stopped_between_halls_owes_the_validation_and_makes_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(sides_halls=["3x0@0.1", "3x0@0.12"])

    def stopping(*arguments: Any) -> SidesScore:
        signal.raise_signal(signal.SIGTERM)
        return score_sides(*arguments)

    with monkeypatch.context() as patch, StopRequest() as stop, pytest.raises(TrainingStopped):
        patch.setattr(review, "score_sides", stopping)
        train(config, tmp_path, CPU, resume=False, stop=stop)
    assert not (tmp_path / "best.safetensors").exists()
    train(config, tmp_path, CPU, resume=True)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    for name in ("sides/wrong", "iou/validation_rooms"):
        assert [event.step for event in events.Scalars(name)] == [2, 4]
