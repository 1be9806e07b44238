"""The device that a command works on."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.commands.devices import chosen_device


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_cuda_where_it_is_and_other_names_stay(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert chosen_device("auto") == ("cuda" if there else "cpu")
    assert [chosen_device(name) for name in ("cpu", "cuda:1")] == ["cpu", "cuda:1"]
