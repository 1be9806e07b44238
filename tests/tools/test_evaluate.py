"""tools/evaluate.py as a user calls it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from sparse_convonet.config.experiment import DataConfig, ExperimentConfig
from sparse_convonet.config.models import DenseModelConfig, ModelConfig, SparseModelConfig
from sparse_convonet.data.convonet.stream import evaluation_samples
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.model import build
from sparse_convonet.model.weights import load_model, save_weights
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.training.validation import validate
from tests.data.convonet.small_set import write_set
from tests.octahedron_network import octahedron_state
from tests.tools.running import exit_code, refusal

SPARSE = SparseModelConfig(
    engine="native", widths=(8, 8), pointnet_width=8, feature_width=8, decoder_width=8, dilate_from_stride=2
)
GRID = DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8)


def write_weights(path: Path, model: ModelConfig, folder: Path) -> Path:
    data = replace(
        DataConfig(), folder=str(folder), points=200, near_surface_share=0.0, voxel_size_m=(0.1, 0.1), noise_m=0.0
    )
    config = ExperimentConfig(model=model, data=data)
    save_weights(build(model).state_dict(), config, path, threshold=0.5, record={"steps": 0})
    return path


@pytest.mark.parametrize("model", [SPARSE, GRID], ids=["sparse", "grid"])
def test_weights_are_scored_on_their_data_set_and_published_rows_follow(
    model: ModelConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = write_weights(tmp_path / "mine.safetensors", model, write_set(tmp_path / "set", models=2))
    arguments = [weights, "--out", tmp_path / "out", "--split", "val", "--cells", "16", "--papers", "rooms"]
    assert exit_code("evaluate", *arguments) == 0
    table = capsys.readouterr().out
    assert table.count("(published)") == 9 and "| mine | mean of classes | 2 |" in table
    assert (tmp_path / "out" / "table.md").read_text() == table
    content = json.loads((tmp_path / "out" / "mine" / "scores.json").read_text())
    assert [(each["class"], each["model"]) for each in content["models"]] == [("a", "m1"), ("b", "m1")]
    assert all(0 <= each["IoU"] <= 1 for each in content["models"])
    assert exit_code("evaluate", *arguments) == 0  # finished: read again
    assert capsys.readouterr().out == table


def test_threshold_is_chosen_on_the_val_split_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = write_weights(tmp_path / "mine.safetensors", GRID, write_set(tmp_path / "set", models=2))
    arguments = [weights, "--out", tmp_path / "out", "--split", "train", "--cells", "16", "--limit", "1"]
    assert exit_code("evaluate", *arguments, "--choose-threshold", "2") == 0
    said = capsys.readouterr().out
    chosen = float(said.split("mine: tau ")[1].split(",")[0])
    model = load_model(weights)
    score = validate(model.network, evaluation_samples(model.config.data, "val", 2, 0), torch.device("cpu"))
    assert chosen == score.best_threshold
    assert json.loads((tmp_path / "out" / "mine" / "settings.json").read_text())["threshold"] == chosen
    assert "--tau or --choose-threshold" in refusal(
        capsys, "evaluate", *arguments, "--choose-threshold", "2", "--tau", "0.5"
    )


def test_two_meshes_are_compared_in_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, radius in (("a", 1.0), ("b", 1.03)):
        ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
        write_mesh(tmp_path / f"{name}.ply", Mesh(np.array(ball.vertices), np.array(ball.faces, dtype=np.int64)))
    assert exit_code("evaluate", tmp_path / "a.ply", tmp_path / "b.ply", "--metres") == 0
    said = capsys.readouterr().out
    accuracy = float(said.split("accuracy ")[1].split()[0])
    assert accuracy == pytest.approx(0.03, abs=1e-3)
    assert "F-score 0.0000 at 0.02 m" in said and "F-score 1.0000 at 0.05 m" in said


def test_clouds_are_scored_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    write_mesh(tmp_path / "truth.ply", Mesh(np.array(ball.vertices), np.array(ball.faces, dtype=np.int64)))
    points = np.asarray(ball.vertices)[::3] * 1.02
    write_points(tmp_path / "with.ply", PointCloud(points, normals=points.astype(np.float32) / np.float32(1.02)))
    write_points(tmp_path / "without.xyz", PointCloud(points))
    assert exit_code("evaluate", tmp_path / "with.ply", tmp_path / "truth.ply", "--metres") == 0
    said = capsys.readouterr().out
    assert "accuracy 0.02" in said and "predicted to true 0.99" in said
    squared = float(said.split("Chamfer-L2 ")[1].split()[0])
    assert 0.02**2 < squared < 0.003  # the mesh has more samples than the cloud points
    assert exit_code("evaluate", tmp_path / "without.xyz", tmp_path / "with.ply") == 0
    said = capsys.readouterr().out
    assert "Chamfer-L1 0 of the unit cube" in said and "normal consistency unknown: a cloud has no normals" in said


def test_meshes_are_simplified_and_refined_and_it_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_set(tmp_path / "set", models=1, classes=("a",))
    weights = write_weights(tmp_path / "mine.safetensors", GRID, folder)
    save_weights(octahedron_state(GRID, 0.3), load_model(weights).config, weights, threshold=0.5, record={})
    start = [weights, "--split", "train", "--cells", "16"]
    found = {}
    for name, options in {"plain": [], "less": ["--simplify", "60"], "moved": ["--refine", "3"]}.items():
        assert exit_code("evaluate", *start, "--out", tmp_path / name, *options) == 0
        found[name] = json.loads((tmp_path / name / "mine" / "scores.json").read_text())["models"][0]
        assert {"Chamfer-L2", "normal acc.", "normal compl."} <= found[name].keys()
    assert found["less"]["faces"] < found["plain"]["faces"] == found["moved"]["faces"]
    assert found["moved"]["accuracy"] != found["plain"]["accuracy"] and found["moved"]["finish s"] > 0
    capsys.readouterr()
    assert "holds scores of other settings" in refusal(
        capsys, "evaluate", *start, "--out", tmp_path / "plain", "--refine", 3
    )
    assert "--refine: expected 0 or more" in refusal(
        capsys, "evaluate", *start, "--out", tmp_path / "plain", "--refine", -1
    )
    assert "--simplify: expected at least 4" in refusal(
        capsys, "evaluate", *start, "--out", tmp_path / "o", "--simplify", 3
    )


def test_bad_input_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "rooms.yaml"
    config.write_text("model: {field: dense, grid_resolution: 32}\n")
    assert "--out: expected a folder" in refusal(capsys, "evaluate", config)
    assert "train it first, or name them with --checkpoint" in refusal(capsys, "evaluate", config, "--out", tmp_path)
    config.write_text("model: {field: dens}\n")
    assert "did you mean dense" in refusal(capsys, "evaluate", config, "--out", tmp_path)
    assert "expected two meshes" in refusal(capsys, "evaluate", tmp_path / "a.ply")
    weights = write_weights(tmp_path / "w.safetensors", GRID, write_set(tmp_path / "set", models=1))
    assert "name its configuration to change keys" in refusal(
        capsys, "evaluate", weights, "--out", tmp_path / "o", "--set", "data.points=5"
    )
    assert "expected the list of a split" in refusal(
        capsys, "evaluate", weights, "--out", tmp_path / "o", "--split", "test"
    )
