"""tools/validate.py as a user calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_convonet.config.experiment import load_config
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from tests.tools.running import exit_code, refusal

TINY = (
    "model: {engine: native, widths: [8, 8], pointnet_width: 8, feature_width: 8, decoder_width: 8, "
    "dilate_from_stride: 2}\n"
    "data: {scenes: rooms, points: 400}\n"
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    config = load_config(tmp_path / "tiny.yaml")
    save_weights(build(config.model).state_dict(), config, tmp_path / "tiny.safetensors", threshold=0.5, record={})
    return tmp_path / "tiny.safetensors"


def test_sides_are_measured_only_where_they_are_asked_for(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    halls = ["--halls", "3x0", "3x2x2.5", "--voxels-cm", "12", "20", "--buildings", "0"]
    assert exit_code("validate", weights, "--scenes", "2", *halls) == 0
    without = capsys.readouterr().out
    assert "rooms" in without and "over 2 scenes" in without and "hall" not in without
    assert exit_code("validate", weights, "--scenes", "2", "--sides", *halls) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(without.splitlines())] == without.splitlines()
    rows = [line for line in lines if line.startswith("hall ")]
    assert [row.split(" m ")[0] for row in rows] == ["hall 3x0", "hall 3x0", "hall 3x2x2.5", "hall 3x2x2.5"]
    assert ["12 cm" in row for row in rows] == [True, False, True, False]
    assert [row.count("%") for row in rows] == [3, 3, 9, 9]
    assert lines[-1].startswith("worst: ") and "on the wrong side or in holes, hall 3x" in lines[-1]


def test_what_cannot_be_measured_is_said_before_anything_takes_time(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "hall '12': expected LENGTHxHEIGHT" in refusal(capsys, "validate", weights, "--sides", "--halls", "12")
    assert "--voxels-cm: expected positive" in refusal(capsys, "validate", weights, "--sides", "--voxels-cm", "0")
    said = refusal(capsys, "validate", weights, "--sides", "--halls", "--buildings", "0")
    assert "expected a hall or a building, found none" in said
    dense = weights.with_name("grid.yaml")
    dense.write_text("model: {field: dense, grid_resolution: 8, grid_levels: 2, grid_width: 8}\n")
    config = load_config(dense)
    path = weights.with_name("grid.safetensors")
    save_weights(build(config.model).state_dict(), config, path, threshold=0.5, record={})
    assert "expected a sparse model" in refusal(capsys, "validate", path, "--sides")
