"""A training that begins with the weights of another one: the same network, a grown one, and none that does not fit."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparse_convonet.config.experiment import ExperimentConfig, save_resolved
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from sparse_convonet.training.initial import initialise
from tests.tools.running import exit_code, refusal
from tests.training.separate_runs import tiny_config

CONFIG = replace(tiny_config(), model=replace(tiny_config().model, widths=(8, 8, 8)))  # type: ignore[arg-type]
GROWN = replace(CONFIG, model=replace(CONFIG.model, context_widths=(8, 8), point_hints=True))  # type: ignore[arg-type]


def saved(folder: Path, config: ExperimentConfig = CONFIG) -> Path:
    """Weights that were drawn with another seed."""
    torch.manual_seed(7)
    path = folder / "given.safetensors"
    save_weights(build(config.model).state_dict(), config, path, threshold=0.4, record={})
    return path


def test_the_same_network_takes_all_tensors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    given = saved(tmp_path)
    model = build(CONFIG.model)
    with caplog.at_level(logging.INFO):
        initialise(model, given)
    expected = load_file(given)
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert f"begun with {len(expected)} of {len(expected)} tensors of {given}" in caplog.text
    assert "new:" not in caplog.text and "left out" not in caplog.text


def test_a_grown_network_takes_what_there_is_and_keeps_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given, model = saved(tmp_path), build(GROWN.model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level(logging.INFO):
        initialise(model, given)
    expected = load_file(given)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected.get(name, before[name]))
    new = before.keys() - expected.keys()
    assert {name.split(".")[0] for name in new} == {"context", "take_context", "pointnet"}
    assert f"begun with {len(expected)} of {len(before)} tensors" in caplog.text
    assert f"new: {len({name.rsplit('.', 1)[0] for name in new})} layers, such as context." in caplog.text


def test_a_network_that_lost_its_context_leaves_it_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        initialise(build(CONFIG.model), saved(tmp_path, GROWN))
    left = len(build(GROWN.model).state_dict()) - len(build(CONFIG.model).state_dict())
    assert f"left out: {left} tensors" in caplog.text


def test_another_network_is_refused_and_nothing_is_copied(tmp_path: Path) -> None:
    given, model = saved(tmp_path), build(replace(CONFIG.model, widths=(8, 12, 8)))  # type: ignore[arg-type]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError,
        match=r"given\.safetensors: expected weights that fit the network of the config \(.*\), found .* of shape \(.*\); "
        "change the config, or leave --init out",
    ):
        initialise(model, given)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_without_a_tensor_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fit the network of the config, found no name of its tensors; change"):
        initialise(torch.nn.Linear(3, 4), saved(tmp_path))


def test_the_tool_begins_with_the_weights_and_says_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, config = saved(tmp_path), tmp_path / "tiny.yaml"
    save_resolved(GROWN, config)
    still = ["--set", "training.steps=1", "training.warmup_steps=0", "training.learning_rate=1e-12", "training.ema=0"]
    common = [config, "--device", "cpu", *still]
    assert exit_code("train", *common, "--out", tmp_path / "run", "--init", given) == 0
    expected, found = load_file(given), load_file(tmp_path / "run" / "last.safetensors")
    weights = [name for name in expected if "running" not in name and "num_batches" not in name]
    assert weights and all(torch.allclose(found[name], expected[name], atol=1e-6) for name in weights)
    wrong = [*common, "model.widths=[8,12,8]", "--out", tmp_path / "other", "--init", given]
    assert "expected weights that fit the network of the config" in refusal(capsys, "train", *wrong)
    assert "absent.safetensors" in refusal(
        capsys, "train", *common, "--out", tmp_path / "third", "--init", tmp_path / "absent.safetensors"
    )


def test_a_run_that_is_resumed_goes_on_with_its_own_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config, other = tmp_path / "tiny.yaml", tmp_path / "missing.safetensors"
    save_resolved(replace(CONFIG, training=replace(CONFIG.training, steps=1, warmup_steps=0)), config)
    run = [config, "--device", "cpu", "--out", tmp_path / "run"]
    assert exit_code("train", *run) == 0
    before = load_file(tmp_path / "run" / "last.safetensors")
    with caplog.at_level(logging.INFO):
        assert exit_code("train", *run, "--resume", "--init", other) == 0
    assert f"{other} is left out: the run goes on with its own weights" in caplog.text
    after = load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in after.items())
