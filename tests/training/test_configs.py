"""Every configuration that is shipped trains and validates, its weights load again and are evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparse_convonet.config.experiment import ExperimentConfig, load_config
from sparse_convonet.config.models import (
    DenseModelConfig,
    DenseVoxelModelConfig,
    GlobalModelConfig,
    ImageModelConfig,
    LatentModelConfig,
    SparseModelConfig,
)
from sparse_convonet.model import build
from sparse_convonet.model.weights import load_model
from sparse_convonet.training.loop import train
from sparse_convonet.training.scenes import validation_sets
from sparse_convonet.training.validation import validate
from tests.data.convonet.small_set import show_balls, write_set
from tests.tools.running import exit_code, refusal

CONFIGS = Path(__file__).parents[2] / "configs"
CPU = torch.device("cpu")
FOLDERS = ("rooms", "objects", "buildings", "voxels", "images", "generative")
ALL = sorted(path for folder in FOLDERS for path in (CONFIGS / folder).glob("*.yaml"))
PAPERS = [path for path in ALL if load_config(path).baseline is None]
_STEPS = 8  # enough for pictures, a mesh and a validation that is not that of the first weights
BASELINES = [path for path in ALL if load_config(path).baseline is not None]


def small(config: ExperimentConfig, folder: Path) -> ExperimentConfig:
    """The same kind of network and training on a small data set: fewer cells, channels, points and steps."""
    model = config.model
    if isinstance(model, DenseModelConfig):
        model = replace(
            model,
            plane_resolution=model.plane_resolution // 4,
            plane_width=8,
            grid_resolution=model.grid_resolution // 4,
            grid_width=8,
        )
    elif isinstance(model, GlobalModelConfig):
        model = replace(model, pointnet_width=32, code_width=32, decoder_width=32, voxel_width=4)
    elif isinstance(model, ImageModelConfig):
        model = replace(model, image_width=4, code_width=16, decoder_width=16, decoder_blocks=2)
    elif isinstance(model, LatentModelConfig):
        model = replace(model, latent_width=16, code_width=16, decoder_width=16, decoder_blocks=2)
    elif isinstance(model, DenseVoxelModelConfig):
        model = replace(model, grid_levels=2, grid_width=8, border=2)
    elif isinstance(model, SparseModelConfig):
        model = replace(model, widths=tuple(width // 4 for width in model.widths))
    training = replace(
        config.training,
        steps=_STEPS,
        batch=2,
        workers=0,
        warmup_steps=min(config.training.warmup_steps, 5),
        validation_scenes=1,
        validate_every=_STEPS,
        picture_every=_STEPS,
        mesh_every=_STEPS,
    )
    # Balls of radius 0.2 to 0.24: those of buildings are told apart at 5 to 8 cm as well.
    data = replace(config.data, folder=str(folder), points=300, queries=128, near_surface_share=0.0, image_pixels=32)
    if isinstance(model, DenseVoxelModelConfig):
        data = replace(data, voxel_size_m=(0.05, 0.05))  # a box of 15 voxels a side
    return replace(config, model=model, data=data, training=training)


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_configuration_trains_validates_loads_again_and_is_evaluated(path: Path, tmp_path: Path) -> None:
    config = small(load_config(path), show_balls(write_set(tmp_path / "set", models=2)))
    score = train(config, tmp_path / "run", CPU, resume=False)
    model = load_model(tmp_path / "run" / "last.safetensors")
    assert model.config == config and model.record["steps"] == _STEPS
    again = validate(model.network, validation_sets(config)["val"], CPU)
    assert again.best_iou == pytest.approx(score.best_iou, abs=1e-3)
    weights = tmp_path / "run" / "last.safetensors"
    assert exit_code("evaluate", weights, "--out", tmp_path / "scores", "--split", "val", "--cells", "16") == 0
    content = json.loads((tmp_path / "scores" / "run" / "scores.json").read_text())
    assert len(content["models"]) == 2 and {each["IoU"] is None for each in content["models"]} == {False}


@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_baseline_is_evaluated_and_not_trained(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "learns nothing" in refusal(capsys, "train", path, "--out", tmp_path / "run")
    folder = f"data.folder={show_balls(write_set(tmp_path / 'set', models=1))}"
    assert exit_code("evaluate", path, "--out", tmp_path / "scores", "--split", "val", "--set", folder) == 0
    content = json.loads((tmp_path / "scores" / path.stem / "scores.json").read_text())
    # A ball of radius 0.2 from 10,000 draws of 400 points with noise.
    assert [each["Chamfer-L1"] < 0.05 for each in content["models"]] == [True, True]


def test_configurations_of_the_papers_have_the_published_sizes_and_shares() -> None:
    for name, count in (("objects", 1_388_641), ("rooms", 2_074_081)):
        network = build(load_config(CONFIGS / name / "pointconv.yaml").model)
        assert sum(each.numel() for each in network.parameters()) == count
    assert load_config(CONFIGS / "objects" / "plane3_64_partial.yaml").data.keep_ratio == 0.7


def test_the_table_of_the_papers_has_a_configuration_for_every_learned_row() -> None:
    names = {path.stem for path in (CONFIGS / "rooms").glob("*.yaml")}
    assert names >= set("onet pointconv plane1_128 plane3_128 grid32 grid64 plane3_grid32 sparse64 sparse128".split())
    assert {path.stem for path in BASELINES} >= {"poisson", "poisson_trimmed"}
