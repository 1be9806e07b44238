"""The switch between compiled loops and torch's operations."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.engine import kernels_numba, sweep_numba
from sparse_convonet.engine.compiled_loops import compiled_loops_take, without_compiled_loops
from sparse_convonet.engine.convolution import convolve
from sparse_convonet.engine.neighbours import KernelOffsets, dilate, neighbour_table


def test_loops_take_what_lies_on_the_cpu_unless_they_are_switched_off() -> None:
    assert compiled_loops_take(torch.zeros(1))
    assert not compiled_loops_take(torch.zeros(1, device="meta"))
    with without_compiled_loops():
        assert not compiled_loops_take(torch.zeros(1))
    assert compiled_loops_take(torch.zeros(1))


def test_they_are_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="an error"), without_compiled_loops():
        raise ValueError("an error")
    assert compiled_loops_take(torch.zeros(1))


def test_without_them_the_engine_calls_none(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, offsets = torch.arange(5), KernelOffsets(3, 1)
    wide = dilate(keys, offsets)
    features, weight = torch.ones(len(wide), 2), torch.ones(offsets.volume, 2, 2)
    expected = convolve(features, weight, neighbour_table(keys, wide, offsets))

    def refuse(*_: object) -> None:
        raise AssertionError("a compiled loop was called")

    for module, name in ((kernels_numba, "accumulate"), (sweep_numba, "match_rows"), (sweep_numba, "union_of_shifted")):
        monkeypatch.setattr(module, name, refuse)
    with without_compiled_loops():
        assert torch.equal(dilate(keys, offsets), wide)
        table = neighbour_table(keys, wide, offsets)
        torch.testing.assert_close(convolve(features, weight, table), expected)
