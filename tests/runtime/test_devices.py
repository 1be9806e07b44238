"""The device that a command works on, and the sentences where there is none."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet import Reconstructor
from sparse_convonet.runtime.devices import chosen_device
from sparse_convonet.training.processes import join_processes


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_cuda_where_it_is(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert chosen_device("auto") == ("cuda" if there else "cpu")


def test_names_of_devices_that_are_there_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [chosen_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    with pytest.raises(ValueError, match="--device: expected one of 2 GPUs, cuda:0 to cuda:1, found 'cuda:2'"):
        chosen_device("cuda:2")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cuda", "--device: expected a GPU with CUDA for 'cuda', found .*; take --device cpu"),
        ("cuda:1", "--device: expected a GPU with CUDA for 'cuda:1', found .*; take --device cpu"),
        ("gpu", "--device: expected auto, cpu, cuda or cuda:NUMBER, found 'gpu'"),
        ("cuda:first", "--device: expected auto, cpu, cuda or cuda:NUMBER, found 'cuda:first'"),
        ("meta", "--device: expected auto, cpu, cuda or cuda:NUMBER, found 'meta'"),
        ("", "--device: expected auto, cpu, cuda or cuda:NUMBER, found ''"),
    ],
)
def test_devices_that_are_not_there_are_refused_everywhere(
    name: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=sentence):
        chosen_device(name)
    with pytest.raises(ValueError, match=sentence):
        Reconstructor.from_pretrained("building", device=name)
    with pytest.raises(ValueError, match=sentence), join_processes(name):
        pass
