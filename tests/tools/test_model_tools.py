"""tools/train.py and tools/export_model.py: refusals, and what is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_convonet.model.weights import load_model, pretrained_path, save_weights
from tests.tools.running import exit_code, refusal

CONFIG = Path(__file__).parents[2] / "configs" / "smoke.yaml"


def test_a_misspelt_key_is_named_with_a_suggestion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = refusal(capsys, "train", CONFIG, "--out", tmp_path / "run", "--set", "training.step=5")
    assert "training.step" in sentence and "did you mean training.steps" in sentence
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last.pt").write_bytes(b"precious")
    assert "--resume" in refusal(capsys, "train", CONFIG, "--out", tmp_path)
    assert (tmp_path / "last.pt").read_bytes() == b"precious"


def test_a_checkpoint_that_is_none_is_refused_on_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "last.pt").write_bytes(b"rubbish")
    assert "expected a training checkpoint" in refusal(capsys, "train", CONFIG, "--out", tmp_path, "--resume")
    assert (tmp_path / "last.pt").read_bytes() == b"rubbish"


def test_the_mean_of_two_weights_is_exported_where_their_networks_are_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_model("building")
    moved = {
        name: value + 1 if value.is_floating_point() else value for name, value in first.network.state_dict().items()
    }
    save_weights(moved, first.config, tmp_path / "moved.safetensors", threshold=0.4, record={"validation_iou": 0.9})
    out = tmp_path / "mean.safetensors"
    assert exit_code("export_model", tmp_path / "moved.safetensors", "--mean-with", "building", "--out", out) == 0
    mean = load_model(out)
    assert mean.threshold == 0.4 and dict(mean.record) == {"mean_with": "building"}
    for name, value in first.network.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(mean.network.state_dict()[name], value + 0.5, atol=1e-2, rtol=1e-3)
    capsys.readouterr()
    said = refusal(
        capsys, "export_model", pretrained_path("building"), "--mean-with", "building_wide", "--out", tmp_path / "a"
    )
    assert "--mean-with: expected weights of the network of building, found another in building_wide" in said


def test_exported_weights_are_the_shipped_model_to_half_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "copy.safetensors"
    assert exit_code("export_model", pretrained_path("building"), "--out", out) == 0
    shipped, copy = load_model("building"), load_model(out)
    assert copy.threshold == shipped.threshold and copy.config == shipped.config
    for name, value in shipped.network.state_dict().items():
        assert torch.equal(copy.network.state_dict()[name], value)  # shipped weights are in half precision already
    assert exit_code("export_model", pretrained_path("building"), "--out", out, "--tau", 0.6, "--overwrite") == 0
    assert load_model(out).threshold == 0.6
    capsys.readouterr()
    assert "--overwrite" in refusal(capsys, "export_model", pretrained_path("building"), "--out", out)
    said = refusal(capsys, "export_model", pretrained_path("building"), "--out", out, "--tau", 1.5, "--overwrite")
    assert "expected a probability above 0 and below 1, found 1.5" in said and load_model(out).threshold == 0.6
