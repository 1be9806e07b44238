"""Native against MinkowskiEngine: every layer on random voxels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_convonet.engine import native as native_engine
from tests.engine.conftest import assert_close, sort_rows
from tests.oracles.dense_convolution import dense_convolution

_FAR = 2**18 - 1200  # as far from the origin as native's packed keys reach; MinkowskiEngine errs beyond 2**24

Layers = Callable[[ModuleType], torch.nn.Module]


@dataclass(frozen=True)
class Scene:
    """Random voxels (V, 4) int32 of some batches, in no order, and what to compute on them."""

    voxels: torch.Tensor
    tensor_stride: int
    width_in: int
    width_out: int
    seed: int

    def features(self, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(len(self.voxels), self.width_in, generator=generator, dtype=dtype)


@st.composite
def scenes(
    draw: st.DrawFn,
    tensor_strides: tuple[int, ...] = (1, 2),
    widths: tuple[int, ...] = (1, 2, 3, 16, 17, 32, 48, 64, 96),
    sides: tuple[int, ...] = (1, 3, 6, 9),
) -> Scene:
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    batches, side = draw(st.integers(1, 3)), draw(st.sampled_from(sides))
    stride = draw(st.sampled_from(tensor_strides))
    centre = [draw(st.sampled_from([0, 7, -_FAR, _FAR])) // stride for _ in range(3)]
    count = draw(st.integers(1, 300))
    cells = np.unique(np.c_[rng.integers(0, batches, count), rng.integers(-side, side, (count, 3)) + centre], axis=0)
    cells[:, 1:] *= stride
    voxels = torch.from_numpy(rng.permutation(cells).astype(np.int32))
    return Scene(voxels, stride, draw(st.sampled_from(widths)), draw(st.sampled_from(widths)), seed)


def _cube_offsets(size: int) -> torch.Tensor:
    """(size**3, 3) offsets of a kernel, odd ones centred."""
    along = torch.arange(size) - (size // 2 if size % 2 else 0)
    return torch.cartesian_prod(along, along, along)


@dataclass(frozen=True)
class Outcome:
    """What a layer makes of a scene: sorted cells (V', 4), their features, and gradients by name."""

    cells: torch.Tensor
    tensors: dict[str, torch.Tensor]


def _run(
    engine: ModuleType, scene: Scene, layer: torch.nn.Module, apply: Callable[[ModuleType, torch.nn.Module, Any], Any]
) -> Outcome:
    features = scene.features(next(iter([*layer.parameters(), torch.zeros(())])).dtype).requires_grad_()
    x = engine.SparseTensor(features, coordinates=scene.voxels, tensor_stride=scene.tensor_stride)
    y = apply(engine, layer, x)
    order = sort_rows(y.C)
    out = y.F[order]
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(scene.seed + 1), dtype=out.dtype)
    parameters = {"features": features, **dict(layer.named_parameters())}
    gradients = torch.autograd.grad((out * weights).sum(), list(parameters.values()))
    named = {f"gradient of {name}": each for name, each in zip(parameters, gradients, strict=True)}
    return Outcome(y.C[order], {"features": out.detach(), **named})


def _assert_parity(
    minkowski: ModuleType, scene: Scene, layers: Layers, apply: Callable[[ModuleType, torch.nn.Module, Any], Any]
) -> None:
    """Both engines, with the same parameters, give the same cells, features and gradients."""
    torch.manual_seed(scene.seed)
    ours = layers(native_engine)
    theirs = layers(minkowski)
    theirs.load_state_dict(ours.state_dict())
    found, expected = _run(native_engine, scene, ours, apply), _run(minkowski, scene, theirs, apply)
    assert torch.equal(found.cells, expected.cells)
    assert found.tensors.keys() == expected.tensors.keys()
    for name, tensor in expected.tensors.items():
        assert_close(found.tensors[name], tensor, name)


def _apply(engine: ModuleType, layer: torch.nn.Module, x: Any) -> Any:
    return layer(x)


def _halved_first(engine: ModuleType, layer: torch.nn.Module, x: Any) -> Any:
    return layer(engine.MinkowskiSumPooling(kernel_size=2, stride=2, dimension=3)(x))


@settings(max_examples=40)
@given(
    scene=scenes(),
    size=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    bias=st.booleans(),
    expand=st.booleans(),
)
def test_convolution(
    minkowski: ModuleType, scene: Scene, size: int, stride: int, dilation: int, bias: bool, expand: bool
) -> None:
    """Expanding with a stride needs a cell on the coarser grid in reach: MinkowskiEngine crashes without any."""
    if expand and stride > 1:
        reached = scene.voxels[:, None, 1:] + scene.tensor_stride * dilation * _cube_offsets(size)
        on_grid = (reached % (scene.tensor_stride * stride) == 0).all(dim=2)
        expand = bool(on_grid.any())

    def layers(engine: ModuleType) -> torch.nn.Module:
        layer: torch.nn.Module = engine.MinkowskiConvolution(
            scene.width_in,
            scene.width_out,
            kernel_size=size,
            stride=stride,
            dilation=dilation,
            bias=bias,
            expand_coordinates=expand,
            dimension=3,
        )
        return layer

    _assert_parity(minkowski, scene, layers, _apply)


@settings(max_examples=25)
@given(scene=scenes(), size=st.integers(2, 3), bias=st.booleans())
def test_transposed_convolution(minkowski: ModuleType, scene: Scene, size: int, bias: bool) -> None:
    def layers(engine: ModuleType) -> torch.nn.Module:
        layer: torch.nn.Module = engine.MinkowskiConvolutionTranspose(
            scene.width_in, scene.width_out, kernel_size=size, stride=2, bias=bias, dimension=3
        )
        return layer

    _assert_parity(minkowski, scene, layers, _halved_first)


@settings(max_examples=25)
@given(scene=scenes(tensor_strides=(2, 4)), size=st.integers(2, 3), bias=st.booleans())
def test_generative_transposed_convolution(minkowski: ModuleType, scene: Scene, size: int, bias: bool) -> None:
    def layers(engine: ModuleType) -> torch.nn.Module:
        layer: torch.nn.Module = engine.MinkowskiGenerativeConvolutionTranspose(
            scene.width_in, scene.width_out, kernel_size=size, stride=2, bias=bias, dimension=3
        )
        return layer

    _assert_parity(minkowski, scene, layers, _apply)


@given(
    scene=scenes(),
    kind=st.sampled_from(["Max", "Sum", "Avg"]),
    size=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
)
def test_pooling(minkowski: ModuleType, scene: Scene, kind: str, size: int, stride: int, dilation: int) -> None:
    """With a stride, MinkowskiEngine ignores the dilation of size-2 kernels, and where a kernel meets no cell its
    maximum pooling writes beyond its arrays."""
    size, dilation = max(size, stride), 1 if stride > 1 else dilation

    def layers(engine: ModuleType) -> torch.nn.Module:
        layer: torch.nn.Module = getattr(engine, f"Minkowski{kind}Pooling")(
            kernel_size=size, stride=stride, dilation=dilation, dimension=3
        )
        return layer

    _assert_parity(minkowski, scene, layers, _apply)


def _first_or_second_third(x: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Two masks (V,) of overlapping parts of the cells, which do not depend on the order of rows."""
    third = (x.C[:, 1] + x.C[:, 2] + x.C[:, 3]) // x.tensor_stride[0] % 3
    return third < 2, third > 0


def _pruned(engine: ModuleType, layer: torch.nn.Module, x: Any) -> Any:
    return layer(x, _first_or_second_third(x)[0])


def _overlapping_parts(engine: ModuleType, x: Any) -> tuple[Any, Any]:
    prune = engine.MinkowskiPruning()
    first, second = _first_or_second_third(x)
    return prune(x, first), prune(x, second)


def _united(engine: ModuleType, layer: torch.nn.Module, x: Any) -> Any:
    first, second = _overlapping_parts(engine, x)
    return layer(first, second)


def _added(engine: ModuleType, layer: torch.nn.Module, x: Any) -> Any:
    first, second = _overlapping_parts(engine, x)
    return first + second


@settings(max_examples=15)
@given(scene=scenes())
@pytest.mark.parametrize(
    ("name", "apply"),
    [("MinkowskiPruning", _pruned), ("MinkowskiUnion", _united), ("MinkowskiUnion", _added)],
    ids=["pruning", "union", "sum"],
)
def test_pruning_and_sums_over_different_maps(
    minkowski: ModuleType, scene: Scene, name: str, apply: Callable[[ModuleType, torch.nn.Module, Any], Any]
) -> None:
    _assert_parity(minkowski, scene, lambda engine: getattr(engine, name)(), apply)


@settings(max_examples=25)
@given(
    scene=scenes(widths=(1, 3, 5), sides=(1, 3)),
    kind=st.sampled_from(["", "Transpose"]),
    size=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
)
def test_float64_equals_a_dense_convolution(scene: Scene, kind: str, size: int, stride: int, dilation: int) -> None:
    """To 1e-12 of the largest magnitude, with the gradients."""
    transposed = kind == "Transpose"
    if transposed:
        size, stride, dilation = max(2, size), 2, 1
    layer = getattr(native_engine, f"MinkowskiConvolution{kind}")(
        scene.width_in, scene.width_out, kernel_size=size, stride=stride, dilation=dilation
    ).double()
    found = _run(native_engine, scene, layer, _halved_first if transposed else _apply)

    features = scene.features(torch.float64).requires_grad_()
    x = native_engine.SparseTensor(features, coordinates=scene.voxels, tensor_stride=scene.tensor_stride)
    if transposed:
        x = native_engine.MinkowskiSumPooling(kernel_size=2, stride=2)(x)
    kernel = layer.kernel.detach().reshape(size**3, scene.width_in, scene.width_out).requires_grad_()
    # The dense grid is of unit voxels; cells of a coarser stride are a grid of their own.
    dense = dense_convolution(
        x.F, x.C, kernel, found.cells, size=size, step=scene.tensor_stride * dilation, transposed=transposed
    )
    weights = torch.randn(dense.shape, generator=torch.Generator().manual_seed(scene.seed + 1), dtype=dense.dtype)
    gradients = torch.autograd.grad((dense * weights).sum(), [features, kernel])
    assert_close(found.tensors["features"], dense.detach(), "features", 1e-12)
    assert_close(found.tensors["gradient of features"], gradients[0], "gradient of features", 1e-12)
    assert_close(found.tensors["gradient of kernel"].reshape(kernel.shape), gradients[1], "gradient of kernel", 1e-12)
