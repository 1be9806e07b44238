"""Several processes that share each batch train as one process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import distributed

from sparse_convonet.config.experiment import ExperimentConfig, config_to_mapping
from sparse_convonet.config.models import GlobalModelConfig
from sparse_convonet.data.batching import Shard, TrainingStream
from sparse_convonet.data.convonet.stream import FolderStream
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.training.checkpoint import load_state
from tests.data.convonet.small_set import write_set
from tests.training.joined_processes import normalise, one_step, run_joined, whole_run
from tests.training.separate_runs import CPU, ROOT, tiny_config

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available() and hasattr(os, "fork")),
    reason="needs a torch with torch.distributed and gloo, and a system with fork",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    folder = write_set(tmp_path_factory.mktemp("set"))
    data = {"folder": str(folder), "near_surface_share": 0.0, "voxel_size_m": [0.03, 0.05], "crop_m": 1.0}
    return tiny_config(data, steps=4, batch=4, checkpoint_every=4, validate_every=4)


def largest_relative_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of two elements, as a share of the largest element of all tensors.

    Of all: the gradient of a bias before a normalisation is zero, and rounding all that is there to compare.
    """
    assert one.keys() == other.keys()
    largest = max(float(value.abs().max()) for value in one.values())
    return max(float((one[key] - other[key]).abs().max()) for key in one) / largest


@pytest.mark.parametrize("network", ["sparse", "global"])
def test_gradients_and_statistics_of_two_processes_are_those_of_one(
    network: str, config: ExperimentConfig, tmp_path: Path
) -> None:
    if network == "global":
        model = GlobalModelConfig(pointnet_width=8, pointnet_blocks=2, code_width=8, decoder_width=8, decoder_blocks=1)
        config = replace(config, model=model)
    ((_, alone),) = run_joined(1, tmp_path / "alone", one_step, config)
    joined = [result for _, result in run_joined(2, tmp_path / "joined", one_step, config)]
    assert len(alone["gradients"]) > 10 and len(alone["buffers"]) >= 3
    for each in joined:
        assert each["loss"] == pytest.approx(alone["loss"], rel=1e-5) and each["iou"] == pytest.approx(alone["iou"])
        for kind in ("gradients", "buffers"):
            difference = largest_relative_difference(alone[kind], each[kind])
            assert difference < 1e-5, (kind, difference)
    first, second = ({**each["gradients"], **each["buffers"]} for each in joined)
    assert all(torch.equal(first[name], second[name]) for name in first), "the processes would drift apart"


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_of_uneven_shards_is_that_of_all_rows(affine: bool, tmp_path: Path) -> None:
    alone = run_joined(1, tmp_path / "alone", normalise, affine)[0][1]
    joined = [result for _, result in run_joined(2, tmp_path / "joined", normalise, affine)]
    torch.testing.assert_close(torch.cat([each["own"] for each in joined]), alone["own"], rtol=1e-9, atol=1e-9)
    for each in joined:
        assert each["shared"].keys() == alone["shared"].keys()
        for name, value in alone["shared"].items():
            torch.testing.assert_close(each["shared"][name], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [2])
def test_the_shards_of_all_processes_are_the_scenes_of_the_batch(count: int, config: ExperimentConfig) -> None:
    def scenes(stream: Any) -> list[tuple[torch.Tensor, ...]]:
        batch = stream.make(3)
        return [
            (batch.points[batch.point_batch == scene], batch.queries[own], batch.occupied[own])
            for scene in range(int(batch.query_batch[-1]) + 1)
            for own in [batch.query_batch == scene]
        ]

    rooms = tiny_config()
    library = FurnitureLibrary.load().split("train")
    for make in (
        lambda shard: FolderStream(config.data, "train", 1, 4, shard=shard),
        lambda shard: TrainingStream(rooms.data, library, 1, 4, shard=shard),
    ):
        whole = scenes(make(Shard()))
        shards = [scenes(make(Shard(rank, count))) for rank in range(count)]
        for slot, expected in enumerate(whole):
            found = shards[slot % count][slot // count]
            assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))
        assert sum(map(len, shards)) == len(whole) == 4


def test_a_run_stopped_in_one_process_goes_on_in_another_number_of_them(
    config: ExperimentConfig, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    stopped = run_joined(2, tmp_path / "stopped", whole_run, config, str(out), 1)
    assert stopped == [(0, {"code": 143}), (0, {"code": 143})]  # the second was asked, the first wrote the checkpoint
    assert load_state(out / "last.pt", CPU).step == 1
    ended = run_joined(1, tmp_path / "ended", whole_run, config, str(out))
    longer = replace(config, training=replace(config.training, steps=6))
    longest = run_joined(2, tmp_path / "longest", whole_run, longer, str(out))
    whole = run_joined(1, tmp_path / "whole", whole_run, config, str(tmp_path / "undisturbed"))
    assert ended[0][1]["iou"] == pytest.approx(whole[0][1]["iou"], abs=0.01)
    assert longest[0] == longest[1] and len(list(out.glob("events*"))) == 3  # only the first process writes
    state = load_state(out / "last.pt", CPU)
    assert state.step == 6 and state.validation == longest[0][1]["iou"]


def test_a_batch_that_cannot_be_shared_is_refused_in_one_sentence_by_the_first_process(
    config: ExperimentConfig, tmp_path: Path
) -> None:
    odd = replace(config, training=replace(config.training, batch=3))
    first, second = run_joined(2, tmp_path / "odd", whole_run, odd, str(tmp_path / "run"))
    expected = "training.batch: expected a multiple of the 2 processes, which share each batch, found 3; change "
    assert first[1]["error"].startswith(expected)
    assert second == (2, None)  # ends without a word
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_torchrun_trains_and_hands_a_signal_on(config: ExperimentConfig, tmp_path: Path) -> None:
    path, out = tmp_path / "config.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(config_to_mapping(config)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "tools" / "train.py"), str(path), "--out", str(out), "--device", "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0 and done.stderr.count("weights in") == 1, done.stderr
    assert load_state(out / "last.pt", CPU).step == 4
    (out / "best.safetensors").unlink()
    long = [*command, "--resume", "--set", "training.steps=100000", "training.validate_every=5"]
    running = subprocess.Popen(long, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        events = len(list(out.glob("events*")))
        ends_at = time.monotonic() + 120
        while len(list(out.glob("events*"))) == events:
            assert running.poll() is None and time.monotonic() < ends_at
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=120)
    finally:
        running.kill()
    assert told.count("stopped by SIGTERM after step") == 1, told
    assert f"after step {load_state(out / 'last.pt', CPU).step};" in told
