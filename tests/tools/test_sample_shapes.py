"""tools/sample_shapes.py: meshes and a sheet of random codes, and of those between two shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_convonet.config.experiment import DataConfig, ExperimentConfig
from sparse_convonet.config.models import DenseModelConfig, LatentModelConfig
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.model import build
from sparse_convonet.model.weights import load_model, save_weights
from sparse_convonet.reconstruct.generated import code_of_model, codes_between, random_codes
from tests.data.convonet.small_set import write_model
from tests.octahedron_network import octahedron_state
from tests.tools.running import exit_code, refusal

TOOL = "sample_shapes"
MODEL = LatentModelConfig(code_width=4, latent_width=8, decoder_width=8, decoder_blocks=1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Octahedra whose size is a function of the code: its first number is added to the bias of the last norm's shift."""
    state = octahedron_state(MODEL, 0.25)
    shift = state["decoder.norm.shift.weight"]
    shift.zero_()
    shift[6, 0] = 0.8  # a further feature of the decoder, which only the code moves
    state["decoder.norm.shift.bias"][6] = 4.0
    state["decoder.logit.weight"][0, 6] = 1.0
    state["decoder.logit.bias"] -= 4.0
    data = replace(DataConfig(), folder="set", input="queries", points=100, near_surface_share=0.0)
    config = ExperimentConfig(model=MODEL, data=data)
    save_weights(state, config, tmp_path / "vae.safetensors", threshold=0.5, record={})
    return tmp_path / "vae.safetensors"


def test_shapes_are_those_of_their_codes_and_the_sheet_shows_them(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert exit_code(TOOL, 3, "--model", weights, "--out", out, "--cells", 32, "--seed", 4) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "contact_sheet.png", "shape_000.ply", "shape_001.ply", "shape_002.ply",
    ]  # fmt: skip
    for number, code in enumerate(random_codes(load_model(weights), 3, 4)):
        mesh = read_mesh(out / f"shape_{number:03d}.ply")
        assert np.abs(mesh.vertices).max() == pytest.approx(0.25 + 0.08 * code[0], abs=0.03)
    picture = np.array(Image.open(out / "contact_sheet.png"))
    assert picture.shape[1] == 3 * 252 + 12 and (picture < 240).mean() > 0.05
    more = random_codes(load_model(weights), 5, 4)
    assert np.array_equal(more[:3], random_codes(load_model(weights), 3, 4))


def test_shapes_between_two_models_run_from_one_to_the_other(weights: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_model(tmp_path / "set" / "a" / f"m{number}", 10 * number)
    folders = [tmp_path / "set" / "a" / f"m{number}" for number in range(2)]
    out = tmp_path / "out"
    assert exit_code(TOOL, 4, "--model", weights, "--out", out, "--cells", 32, "--between", *folders) == 0
    assert len(list(out.glob("shape_*.ply"))) == 4
    assert exit_code(TOOL, 3, "--model", weights, "--out", out, "--cells", 16, "--between", "--overwrite") == 0
    assert len(list(out.glob("shape_*.ply"))) == 3
    sizes = [np.abs(read_mesh(out / f"shape_{number:03d}.ply").vertices).max() for number in range(3)]
    first, last = random_codes(load_model(weights), 2, 0)
    assert codes_between(first, last, 3) == pytest.approx(np.stack([first, (first + last) / 2, last]))
    assert (sizes[0] < sizes[1] < sizes[2]) == bool(first[0] < last[0])


def test_the_code_of_a_model_is_its_mean(weights: Path, tmp_path: Path) -> None:
    from sparse_convonet.data.convonet.layout import ModelFolder

    write_model(tmp_path / "a" / "m0", 5, files=1)
    model = load_model(weights)
    folder = ModelFolder("a", "m0", tmp_path / "a" / "m0")
    assert np.array_equal(code_of_model(model, folder, 0), code_of_model(model, folder, 0))
    assert code_of_model(model, folder, 0).shape == (4,)


def test_bad_input_is_one_sentence_and_leaves_nothing(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    start = ("--model", weights, "--out", out)
    assert "N: expected 1 to 1000 shapes, found 0" in refusal(capsys, TOOL, 0, *start)
    assert "N: expected 2 to 1000" in refusal(capsys, TOOL, 1, *start, "--between")
    assert "--between: expected two folders" in refusal(capsys, TOOL, 2, *start, "--between", tmp_path)
    assert "expected points_iou.npz" in refusal(capsys, TOOL, 2, *start, "--between", tmp_path, tmp_path)
    grid = DenseModelConfig(grid_resolution=8, grid_levels=2, grid_width=8)
    torch.manual_seed(0)
    other = tmp_path / "grid.safetensors"
    save_weights(build(grid).state_dict(), ExperimentConfig(model=grid), other, threshold=0.5, record={})
    assert "expected a generative network" in refusal(capsys, TOOL, 2, "--model", other, "--out", out)
    assert not out.exists()
    out.mkdir()
    assert "exists already; add --overwrite" in refusal(capsys, TOOL, 2, *start)
    assert "use sparse-convonet sample" in refusal(
        capsys, "reconstruct_object", weights, "--model", weights, "--out", tmp_path / "o"
    )
