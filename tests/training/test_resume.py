"""A training that is killed, stopped or damaged: what comes out in the end is what an undisturbed one gives."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparse_convonet.config.experiment import ExperimentConfig, config_to_mapping
from sparse_convonet.training import loop, review
from sparse_convonet.training.checkpoint import load_state, save_state
from sparse_convonet.training.loop import train
from sparse_convonet.training.stopping import StopRequest, TrainingStopped
from tests.data.convonet.small_set import write_set
from tests.training.comparing_states import largest_difference
from tests.training.separate_runs import (
    CPU,
    die_while_saving,
    exit_code_of,
    resume,
    run_train_tool,
    start,
    tiny_config,
    wait_for,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder_config(tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    """Training on balls in a folder: nothing has to be generated."""
    folder = write_set(tmp_path_factory.mktemp("set"))
    return tiny_config(
        {"folder": str(folder), "near_surface_share": 0.0, "voxel_size_m": [0.03, 0.05], "crop_m": 1.0},
        workers=1,
        validation_scenes=2,
    )


@pytest.fixture(scope="module")
def undisturbed(folder_config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the folder config that nothing disturbed."""
    return run_undisturbed(folder_config, tmp_path_factory.mktemp("undisturbed"))


def run_undisturbed(config: ExperimentConfig, out: Path) -> Path:
    process = start(resume, config, out)
    assert exit_code_of(process) == 0
    return out


def assert_same_end(out: Path, undisturbed: Path) -> None:
    """Same state but for the time it took, same shipped weights and their headers, same curves without gap or double."""
    states = [replace(load_state(folder / "last.pt", CPU), seconds=0.0) for folder in (undisturbed, out)]
    assert largest_difference(*(vars(state) for state in states)) == 0
    for name in ("best.safetensors", "last.safetensors"):
        assert largest_difference(*(load_file(folder / name) for folder in (undisturbed, out))) == 0
        assert header(out / name) == header(undisturbed / name)
    assert curves(out) == curves(undisturbed)
    assert not list(out.glob(".*partial*")), "left behind by a killed process"


def header(path: Path) -> dict[str, str]:
    """What stands beside weights; how many workers made the batches makes no difference."""
    values = safe_open(path, "pt").metadata()
    return {key: value.replace('"workers": 0', '"workers": 1') for key, value in values.items()}


def curves(out: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(out), size_guidance={"scalars": 0})
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("seconds/")]
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in tags}


def kill_often(config: ExperimentConfig, folder: Path, kills: int, longest_s: float) -> list[Path]:
    """Run, kill -9 at random moments and resume until that often killed, then to the end; the folders of the runs.

    A run that ends before all kills are spent is followed by another one.
    """
    rng = np.random.default_rng(kills)
    outs = [folder / "run0"]
    while True:
        process = start(resume, config, outs[-1])
        if kills:
            process.join(rng.uniform(0, longest_s))
        if kills and process.is_alive():
            process.kill()
            exit_code_of(process)
            kills -= 1
            continue
        assert exit_code_of(process) == 0
        if not kills:
            return outs
        outs.append(folder / f"run{len(outs)}")


def test_killed_at_random_moments_a_run_ends_bitwise_like_an_undisturbed_one(
    folder_config: ExperimentConfig, undisturbed: Path, tmp_path: Path
) -> None:
    for out in kill_often(folder_config, tmp_path, kills=4, longest_s=2.0):
        assert_same_end(out, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("scenes", ["folder", "mixed"])
def test_killed_twenty_times_a_run_ends_bitwise_like_an_undisturbed_one(
    scenes: str, folder_config: ExperimentConfig, tmp_path: Path
) -> None:
    config = folder_config if scenes == "folder" else tiny_config({"scenes": "mixed"}, workers=2)
    config = changed(config, steps=16, picture_every=5, mesh_every=10)
    began = time.monotonic()
    undisturbed = run_undisturbed(config, tmp_path / "undisturbed")
    for out in kill_often(config, tmp_path, kills=24, longest_s=0.7 * (time.monotonic() - began)):
        assert_same_end(out, undisturbed)


@pytest.mark.parametrize("renaming", [False, True], ids=["half written", "before it is named"])
def test_a_checkpoint_that_was_not_finished_is_never_found_under_its_name(
    renaming: bool, folder_config: ExperimentConfig, undisturbed: Path, tmp_path: Path
) -> None:
    process = start(die_while_saving, folder_config, tmp_path, 2, renaming)
    assert exit_code_of(process) == -signal.SIGKILL
    assert len(list(tmp_path.glob(".last*partial*"))) == 1
    assert load_state(tmp_path / "last.pt", CPU).step == 2
    assert_same_end(run_undisturbed(folder_config, tmp_path), undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_whole_group_ends_a_run_with_a_checkpoint_one_line_and_its_exit_code(
    number: int, code: int, folder_config: ExperimentConfig, tmp_path: Path
) -> None:
    out, log, config = tmp_path / "run", tmp_path / "log", tmp_path / "config.yaml"
    long = changed(folder_config, steps=10_000, checkpoint_every=5_000)
    config.write_text(yaml.safe_dump(config_to_mapping(long)))
    process = start(run_train_tool, log, str(config), "--out", str(out), "--device", "cpu")
    wait_for(out / "best.safetensors", process)  # some steps are done
    os.killpg(process.pid or 0, number)
    assert exit_code_of(process) == code
    lines = log.read_text().replace("\r", "\n").splitlines()
    assert len([line for line in lines if f"stopped by {signal.Signals(number).name} after step" in line]) == 1
    assert not [line for line in lines if "Traceback" in line or line.startswith("error")]
    state = load_state(out / "last.pt", CPU)
    assert f"after step {state.step};" in log.read_text() and 3 <= state.step < 5_000


@pytest.mark.parametrize(
    ("name", "call", "step"),
    [("training_step", 5, 5), ("validate", 1, 3), ("validate", 5, 8)],
    ids=["in step 5", "in the validation after step 3", "in the last validation"],
)
def test_a_run_that_was_stopped_in_a_step_or_a_validation_ends_like_an_undisturbed_one(
    name: str,
    call: int,
    step: int,
    folder_config: ExperimentConfig,
    undisturbed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = loop if name == "training_step" else review
    original, calls = getattr(module, name), 0

    def with_signal(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments)

    former = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch, StopRequest() as stop, pytest.raises(TrainingStopped, match="SIGTERM") as end:
        patch.setattr(module, name, with_signal)
        train(changed(folder_config, workers=0), tmp_path, CPU, resume=False, stop=stop)
    assert end.value.exit_code == 143 and signal.getsignal(signal.SIGTERM) == former
    state = load_state(tmp_path / "last.pt", CPU)
    assert state.step == step and state.reviewed == (name == "training_step")
    assert_same_end(run_undisturbed(folder_config, tmp_path), undisturbed)


def test_a_signal_again_is_taken_for_the_same_one_and_ctrl_c_later_for_impatience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # the launcher passes on what the terminal sent to all
        signal.raise_signal(signal.SIGTERM)
        assert stop.number == signal.SIGINT
        now = 10.0
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def changed(config: ExperimentConfig, **training: Any) -> ExperimentConfig:
    return replace(config, training=replace(config.training, **training))


def test_a_finished_run_tells_its_score_again_and_changes_nothing(
    folder_config: ExperimentConfig, undisturbed: Path
) -> None:
    before = (undisturbed / "last.pt").read_bytes()
    score = train(folder_config, undisturbed, CPU, resume=True)
    assert score.iou == load_state(undisturbed / "last.pt", CPU).validation and score.best_iou > 0
    assert (undisturbed / "last.pt").read_bytes() == before


def test_minutes_are_those_of_all_parts_of_a_run_together(folder_config: ExperimentConfig, tmp_path: Path) -> None:
    short = changed(folder_config, workers=0, minutes=1e-6)
    train(short, tmp_path, CPU, resume=False)
    first = load_state(tmp_path / "last.pt", CPU)
    train(short, tmp_path, CPU, resume=True)
    assert load_state(tmp_path / "last.pt", CPU).step == first.step == 1
    save_state(replace(first, seconds=0.0), tmp_path / "last.pt")
    train(short, tmp_path, CPU, resume=True)
    assert load_state(tmp_path / "last.pt", CPU).step == 2


def test_weights_written_before_the_next_validation_keep_the_threshold_of_the_last_one(
    folder_config: ExperimentConfig,
    undisturbed: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = changed(folder_config, workers=0, steps=10, validate_every=50)
    (tmp_path / "last.pt").write_bytes((undisturbed / "last.pt").read_bytes())
    original = loop.training_step
    with StopRequest() as stop, caplog.at_level("INFO"), pytest.raises(TrainingStopped, match="SIGINT after step 9"):

        def with_signal(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            return original(*arguments)

        monkeypatch.setattr(loop, "training_step", with_signal)
        train(config, tmp_path, CPU, resume=True, stop=stop)
    found, former = header(tmp_path / "last.safetensors"), header(undisturbed / "last.safetensors")
    assert found["threshold"] == former["threshold"]
    assert found["record"] == former["record"].replace('"steps": 8', '"steps": 9')
    assert "training.steps 8 -> 10" in caplog.text and "training.workers 1 -> 0" in caplog.text


def test_trained_weights_without_a_checkpoint_are_not_overwritten_without_resume(
    folder_config: ExperimentConfig, tmp_path: Path
) -> None:
    (tmp_path / "best.safetensors").write_bytes(b"precious")
    with pytest.raises(ValueError, match="holds a training run already; add --resume"):
        train(folder_config, tmp_path, CPU, resume=False)
    assert (tmp_path / "best.safetensors").read_bytes() == b"precious"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_model_that_cannot_be_read_is_told_in_its_own_words(
    workers: int, folder_config: ExperimentConfig, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "set", models=2, classes=("a",))
    for file in (folder / "a" / "m0" / "pointcloud").iterdir():
        file.write_bytes(b"rubbish")
    config = changed(replace(folder_config, data=replace(folder_config.data, folder=str(folder))), workers=workers)
    with pytest.raises(ValueError, match=r"pointcloud_\d\d\.npz: expected") as refusal:
        train(config, tmp_path / "run", CPU, resume=False)
    assert "Traceback" not in str(refusal.value)
