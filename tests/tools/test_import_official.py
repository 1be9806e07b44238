"""tools/import_official.py: what files it reads, and the sentences with which it refuses others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet import import_official, load_config
from sparse_convonet.model.weights import load_model
from tests.oracles.published_networks import ConvolutionalNetwork
from tests.tools.running import exit_code, refusal

CONFIGS = Path(__file__).parents[2] / "configs"
GRID = CONFIGS / "objects" / "grid32.yaml"
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Of objects/grid32."""
    torch.manual_seed(0)
    return dict(ConvolutionalNetwork((), (0, 0), (32, 3)).state_dict())


def written(folder: Path, content: object, **options: object) -> Path:
    torch.save(content, folder / "official.pt", **options)  # type: ignore[arg-type]
    return folder / "official.pt"


def refused(capsys: pytest.CaptureFixture[str], checkpoint: Path, config: Path = GRID, *options: str) -> str:
    """The sentence, after checking that nothing was written."""
    out = checkpoint.parent / "ours.safetensors"
    sentence = refusal(capsys, "import_official", checkpoint, "--config", config, "--out", out, *options)
    assert not list(checkpoint.parent.glob("*ours*"))
    return sentence


def test_whole_checkpoints_bare_states_and_the_old_format_give_the_same_weights(tmp_path: Path, state: State) -> None:
    config = load_config(GRID)
    whole = {"model": state, "it": 5, "loss_val_best": np.float64(0.7), "epoch_it": np.int64(2)}
    models = [
        import_official(written(tmp_path, whole), config, tmp_path / "a.safetensors"),
        import_official(written(tmp_path, state), config, tmp_path / "b.safetensors", threshold=0.4),
        import_official(
            written(tmp_path, whole, _use_new_zipfile_serialization=False), config, tmp_path / "c.safetensors"
        ),
    ]
    assert [model.threshold for model in models] == [0.2, 0.4, 0.2]
    assert [model.record.get("steps") for model in models] == [5, None, 5]
    first = models[0].network.state_dict()
    for model in models[1:]:
        assert all(torch.equal(value, first[name]) for name, value in model.network.state_dict().items())
    assert load_model(tmp_path / "a.safetensors").config == config


def test_numbers_that_old_numpy_wrote_are_read(tmp_path: Path, state: State) -> None:
    path = written(tmp_path, {"model": state, "loss_val_best": np.float64(0.7)}, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    core = b"numpy._core.multiarray" if b"numpy._core.multiarray" in content else b"numpy.core.multiarray"
    path.write_bytes(content.replace(core, b"numpy.core.multiarray"))
    import_official(path, load_config(GRID), tmp_path / "ours.safetensors")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda state: state.pop("encoder.unet3d.final_conv.bias"),
            "encoder.unet3d.final_conv.bias: expected it for model.field dense, found it missing (1 are)",
        ),
        (
            lambda state: state.update({"encoder.unet.conv_final.bias": torch.zeros(32), "a": torch.zeros(1)}),
            "a: expected no such weights, found them (2 such)",
        ),
        (
            lambda state: state.update({"decoder.fc_p.weight": torch.zeros(256, 3)}),
            "decoder.fc_p.weight: expected shape (32, 3), found (256, 3)",
        ),
        (
            lambda state: state.update({"decoder.fc_p.bias": torch.full((32,), torch.nan)}),
            "expected finite numbers of torch.float32 in decoder.fc_p.bias, found others, of torch.float32",
        ),
        (
            lambda state: state.update({"encoder.conv_in.weight": torch.zeros(32, 1, 3, 3, 3)}),
            "encoder.conv_in.weight: expected no such weights, found them (1 such)",
        ),
        (lambda state: state.update({"decoder.fc_p.bias": 3}), "found decoder.fc_p.bias of type int"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_their_published_name(
    change: Callable[[State], object],
    sentence: str,
    tmp_path: Path,
    state: State,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed = dict(state)
    change(changed)
    found = refused(capsys, written(tmp_path, {"model": changed}))
    assert sentence in found and found.startswith(f"error: {tmp_path / 'official.pt'}: ") and "; " in found


def test_the_configuration_must_be_of_the_network(
    tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, state)
    said = refused(capsys, path, CONFIGS / "rooms" / "plane3_128.yaml")
    assert "encoder.unet.down_convs.0.conv1.weight: expected it for model.field dense" in said
    assert "found a SparseOccupancyNetwork" in refused(capsys, path, CONFIGS / "rooms" / "sparse64.yaml")
    assert "poisson learns nothing" in refused(capsys, path, CONFIGS / "rooms" / "poisson.yaml")
    assert "tau: expected a probability" in refused(capsys, path, GRID, "--tau", "1.5")
    said = refused(capsys, path, GRID, "--set", "model.decoder_blocks=4")
    assert "decoder.blocks.4.fc_0.bias: expected no such weights, found them (6 such)" in said


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("was-run",)


def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "expected a checkpoint of torch" in refused(capsys, written(tmp_path, {"model": state, "other": _Code()}))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [3, [1, 2], {}, {"model": 3}, {"model": {}}, {"weight": torch.ones(1, 1)}], ids=str)
def test_checkpoints_of_something_else_are_refused(
    content: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected" in refused(capsys, written(tmp_path, content))


def test_damaged_files_are_refused(tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, state)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in (b"rubbish", b"", whole[: len(whole) - 9], whole[:middle], flipped, b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        assert str(path) in refused(capsys, path)
    path.unlink()
    assert "does not exist" in refused(capsys, path)
    path.mkdir()
    assert "found a folder" in refused(capsys, path)


def test_an_existing_file_is_kept(tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path, state), tmp_path / "ours.safetensors"
    out.write_bytes(b"precious")
    arguments = (path, "--config", GRID, "--out", out)
    assert "--overwrite" in refusal(capsys, "import_official", *arguments)
    path.write_bytes(b"rubbish")
    refusal(capsys, "import_official", *arguments, "--overwrite")
    assert out.read_bytes() == b"precious"
    written(tmp_path, state)
    assert exit_code("import_official", *arguments, "--overwrite") == 0
    assert load_model(out).threshold == 0.2 and sorted(each.name for each in tmp_path.iterdir()) == [
        "official.pt",
        out.name,
    ]


@pytest.mark.parametrize("value", [torch.full((1,), 1e39, dtype=torch.float64), torch.zeros(1, device="meta")])
def test_weights_that_are_no_numbers_here_are_refused(
    value: torch.Tensor, tmp_path: Path, state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(key for key in state if key.endswith("weight"))
    wrong = value.expand(state[key].shape).clone()
    assert key in refused(capsys, written(tmp_path, {"model": {**state, key: wrong}}))
