"""The workers that make batches end with the training that started them, however that is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.model import build
from sparse_convonet.training import loop, scenes
from sparse_convonet.training.loop import train
from sparse_convonet.training.scenes import open_batches
from sparse_convonet.training.stopping import StopRequest, TrainingStopped
from tests.data.convonet.small_set import write_set
from tests.training.separate_runs import CPU, tiny_config

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def config(tmp_path: Path) -> ExperimentConfig:
    """Two workers, which have all of their batches ahead when the run ends."""
    folder = write_set(tmp_path / "set", models=2, classes=("a",))
    data = {"folder": str(folder), "near_surface_share": 0.0, "voxel_size_m": [0.03, 0.05], "crop_m": 1.0}
    return tiny_config(data, workers=2, steps=2, warmup_steps=1)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseProcess]]:
    """The child processes that were alive when the training began to review, which is after its workers began."""
    seen: list[BaseProcess] = []
    before = set(multiprocessing.active_children())
    original = loop.open_review

    def look(*arguments: Any) -> Any:
        seen.extend(set(multiprocessing.active_children()) - before)
        return original(*arguments)

    monkeypatch.setattr(loop, "open_review", look)
    yield seen
    for each in seen:
        each.kill()


def assert_ended(workers: list[BaseProcess]) -> None:
    assert len(workers) == 2
    assert [each for each in workers if each.is_alive()] == []


def test_workers_end_with_a_training_that_ends(
    config: ExperimentConfig, tmp_path: Path, workers: list[BaseProcess]
) -> None:
    train(config, tmp_path / "run", CPU, resume=False)
    assert_ended(workers)


def test_workers_end_with_a_training_whose_models_cannot_be_read(
    config: ExperimentConfig, tmp_path: Path, workers: list[BaseProcess]
) -> None:
    for file in (tmp_path / "set" / "a" / "m0" / "pointcloud").iterdir():
        file.write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"pointcloud_\d\d\.npz: expected") as refusal:
        train(config, tmp_path / "run", CPU, resume=False)
    assert_ended(workers)
    assert refusal.tb is not None  # what holds everything that the training held


def test_workers_end_with_a_training_that_is_stopped(
    config: ExperimentConfig, tmp_path: Path, workers: list[BaseProcess]
) -> None:
    stop = StopRequest()
    stop.number = signal.SIGTERM
    with pytest.raises(TrainingStopped) as stopped:
        train(config, tmp_path / "run", CPU, resume=False, stop=stop)
    assert_ended(workers)
    assert stopped.tb is not None


def test_workers_end_with_a_training_that_is_interrupted(
    config: ExperimentConfig, tmp_path: Path, workers: list[BaseProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> tuple[float, float]:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt) as interrupt:
        train(config, tmp_path / "run", CPU, resume=False)
    assert_ended(workers)
    assert interrupt.tb is not None


def test_workers_end_with_a_training_that_has_nothing_left_to_do(
    config: ExperimentConfig, tmp_path: Path, workers: list[BaseProcess]
) -> None:
    train(replace(config, training=replace(config.training, workers=0)), tmp_path / "run", CPU, resume=False)
    train(config, tmp_path / "run", CPU, resume=True)
    assert_ended(workers)


@pytest.mark.slow
def test_a_worker_that_does_not_end_by_itself_is_killed(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(worker: int) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)

    monkeypatch.setattr(scenes, "_quiet_worker", deaf)
    before = set(multiprocessing.active_children())
    one = replace(config, training=replace(config.training, workers=1))
    with open_batches(one, 0, build(one.model).coordinates):
        (worker,) = set(multiprocessing.active_children()) - before
    assert worker.exitcode == -signal.SIGKILL
