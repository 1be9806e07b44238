"""Checkpoints that are damaged, or belong to something else, are refused in one sentence."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet.config.experiment import config_to_mapping, load_config, save_resolved
from sparse_convonet.model import build
from sparse_convonet.training.checkpoint import TrainingState, load_state, save_state
from sparse_convonet.training.loop import train
from tests.training.comparing_states import largest_difference
from tests.training.separate_runs import CPU, tiny_config

CONFIG = tiny_config()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint as a training leaves it."""
    out = tmp_path_factory.mktemp("run")
    model = build(CONFIG.model)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(each.sum() for each in model.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    values = model.state_dict()
    state = TrainingState(
        values, values, optimizer.state_dict(), 3, 0.5, (0.5, 0.25), 1.0, True, config_to_mapping(CONFIG)
    )
    save_state(state, out / "last.pt")
    save_resolved(CONFIG, out / "config.yaml")
    return out


def test_a_damaged_checkpoint_is_refused_in_one_sentence_whatever_byte_is_wrong(
    undisturbed: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    whole = (undisturbed / "last.pt").read_bytes()
    path, expected = tmp_path / "last.pt", vars(load_state(undisturbed / "last.pt", CPU))
    refused = 0
    for trial in range(150):
        place = int(rng.integers(1, len(whole)))
        flipped = bytes([whole[place] ^ int(rng.integers(1, 256))])
        path.write_bytes(whole[:place] if trial % 5 == 0 else whole[:place] + flipped + whole[place + 1 :])
        try:
            state = load_state(path, CPU)
        except ValueError as error:
            assert str(error).startswith(f"{path}: expected a training checkpoint of this library, found ")
            assert str(error).endswith("or name another --out") and "\n" not in str(error)
            refused += 1
        else:  # what is wrong is a date or padding
            assert largest_difference(vars(state), expected) == 0
    assert refused > 100


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_checkpoint_is_refused(rubbish: bytes, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(rubbish)
    with pytest.raises(ValueError, match="expected a training checkpoint of this library, found"):
        load_state(tmp_path / "last.pt", CPU)


def test_a_checkpoint_with_fields_of_other_types_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    values = vars(load_state(undisturbed / "last.pt", CPU))
    for field in fields(TrainingState):
        if field.name not in ("best_iou", "seconds", "reviewed"):
            torch.save({**values, field.name: 0.5}, tmp_path / "last.pt")
            with pytest.raises(ValueError, match=f"found a float as its {field.name}"):
                load_state(tmp_path / "last.pt", CPU)


def test_a_checkpoint_of_another_network_is_refused_and_config_and_checkpoint_stay(
    undisturbed: Path, tmp_path: Path
) -> None:
    for name in ("last.pt", "config.yaml"):
        (tmp_path / name).write_bytes((undisturbed / name).read_bytes())
    wider, deeper = ({"widths": (8, 16)}, {"widths": (8, 8, 8)})
    for change, message in ((wider, r"of shape \(8"), (deeper, r"\d+ tensors that only one of them has")):
        with pytest.raises(ValueError, match=f"expected weights of the network that the config describes.*{message}"):
            train(replace(CONFIG, model=replace(CONFIG.model, **change)), tmp_path, CPU, resume=True)
    assert (tmp_path / "last.pt").read_bytes() == (undisturbed / "last.pt").read_bytes()
    assert load_config(tmp_path / "config.yaml") == CONFIG
