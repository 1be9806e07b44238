"""Choosing an engine, and that the choice does not change a network."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from sparse_convonet.engine import load_engine
from sparse_convonet.engine import native as native_engine
from tests.engine.conftest import sort_rows


def test_unknown_engine_is_named() -> None:
    with pytest.raises(ValueError, match="expected one of auto, minkowski, native, found 'spconv'"):
        load_engine("spconv")


def test_missing_minkowski_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MinkowskiEngine", None)
    monkeypatch.delitem(sys.modules, "sparse_convonet.engine.minkowski", raising=False)
    with pytest.raises(ValueError, match="install MinkowskiEngine 0.5.4, or set engine to native or auto"):
        load_engine("minkowski")


def test_auto_takes_native_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert load_engine("auto") is native_engine
    assert "auto chose native" in caplog.text


class _Network(nn.Module):
    """Every kind of layer once."""

    def __init__(self, engine: ModuleType) -> None:
        super().__init__()
        self.engine = engine
        self.stem = engine.MinkowskiConvolution(3, 16, kernel_size=3, bias=True, dimension=3)
        self.norm = engine.MinkowskiBatchNorm(16)
        self.relu = engine.MinkowskiReLU()
        self.down = engine.MinkowskiConvolution(16, 24, kernel_size=2, stride=2, dimension=3)
        self.expand = engine.MinkowskiConvolution(24, 24, kernel_size=3, expand_coordinates=True, dimension=3)
        self.pointwise = engine.MinkowskiConvolution(24, 24, kernel_size=1, bias=True, dimension=3)
        self.up = engine.MinkowskiConvolutionTranspose(24, 16, kernel_size=2, stride=2, dimension=3)
        self.linear = engine.MinkowskiLinear(32, 8)
        self.drop = engine.MinkowskiDropout(0.0)
        self.generate = engine.MinkowskiGenerativeConvolutionTranspose(24, 4, kernel_size=2, stride=2, dimension=3)
        self.pool = engine.MinkowskiMaxPooling(kernel_size=2, stride=2, dimension=3)

    def forward(self, x: object) -> list[object]:
        fine = self.relu(self.norm(self.stem(x)))
        coarse = self.pointwise(self.expand(self.down(fine)))
        merged = self.drop(self.linear(self.engine.cat(self.up(coarse), fine)))
        return [merged, self.generate(coarse), self.pool(merged)]


def test_state_dicts_have_equal_names_and_shapes(minkowski: ModuleType) -> None:
    ours, theirs = (_Network(engine).state_dict() for engine in (native_engine, minkowski))
    assert {name: value.shape for name, value in ours.items()} == {name: v.shape for name, v in theirs.items()}


def test_engines_agree_in_outputs_and_gradients(minkowski: ModuleType, voxels: torch.Tensor) -> None:
    torch.manual_seed(0)
    features = torch.randn(len(voxels), 3)
    networks = [_Network(native_engine), _Network(minkowski)]
    networks[1].load_state_dict(networks[0].state_dict())
    inputs = [features.clone().requires_grad_() for _ in networks]
    outputs = [
        network(network.engine.SparseTensor(x, coordinates=voxels)) for network, x in zip(networks, inputs, strict=True)
    ]
    losses = [torch.zeros(()), torch.zeros(())]
    for pair in zip(*outputs, strict=True):
        orders = [sort_rows(y.C) for y in pair]
        assert torch.equal(pair[0].C[orders[0]], pair[1].C[orders[1]])
        torch.testing.assert_close(pair[0].F[orders[0]], pair[1].F[orders[1]], rtol=1e-5, atol=1e-5)
        seed = torch.randn(pair[0].F.shape, generator=torch.Generator().manual_seed(1))
        losses = [total + (y.F[order] * seed).sum() for total, y, order in zip(losses, pair, orders, strict=True)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-4)
    theirs = dict(networks[1].named_parameters())
    for name, parameter in networks[0].named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=1e-4, atol=1e-3, msg=name)


def test_new_layers_draw_the_same_weights_in_both_engines(minkowski: ModuleType) -> None:
    states = []
    for engine in (native_engine, minkowski):
        torch.manual_seed(3)
        states.append(engine.MinkowskiConvolutionTranspose(5, 6, kernel_size=2, stride=2, bias=True, dimension=3))
    assert torch.equal(states[0].kernel, states[1].kernel)
    assert torch.equal(states[0].bias, states[1].bias)
