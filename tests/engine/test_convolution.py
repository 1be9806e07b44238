"""Convolutions against dense convolutions, forwards and backwards."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import pytest
import torch

from sparse_convonet.coordinates import pack_keys
from sparse_convonet.engine import native as native_engine
from tests.oracles.dense_convolution import dense_convolution

assert_close = functools.partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


def _features(count: int, channels: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(0), dtype=dtype)


def _floor_to(coordinates: torch.Tensor, stride: int) -> torch.Tensor:
    """Unique cells of the given stride that hold the voxels."""
    floored = coordinates.clone()
    floored[:, 1:] = torch.div(coordinates[:, 1:], stride, rounding_mode="floor") * stride
    return torch.unique(floored, dim=0)


def _check_against_dense(layer: Any, x: Any, *, step: int, transposed: bool = False) -> Any:
    """Output, gradient of the features and of the kernel equal those of the dense convolution."""
    x.F.retain_grad()
    y = layer(x)
    seed = _features(*y.F.shape)
    grad_features, grad_kernel = torch.autograd.grad((y.F * seed).sum(), [x.F, layer.kernel])
    features = x.F.detach().double().requires_grad_()
    kernel = layer.kernel.detach().double().requires_grad_()
    size = round((kernel.numel() / kernel.shape[-1] / kernel.shape[-2]) ** (1 / 3))
    dense = dense_convolution(features, x.C, kernel, y.C, size=size, step=step, transposed=transposed)
    if layer.bias is not None:
        dense = dense + layer.bias.detach().double()
    dense_features, dense_kernel = torch.autograd.grad((dense * seed).sum(), [features, kernel])
    assert_close(y.F.double(), dense)
    assert_close(grad_features.double(), dense_features)
    assert_close(grad_kernel.double(), dense_kernel)
    return y


@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(1, 1, 1), (2, 1, 1), (3, 1, 1), (3, 1, 2), (2, 2, 1), (3, 2, 1), (1, 2, 1)]
)
def test_convolution_equals_dense(
    engine: ModuleType, voxels: torch.Tensor, size: int, stride: int, dilation: int
) -> None:
    x = engine.SparseTensor(_features(len(voxels), 5).requires_grad_(), coordinates=voxels)
    layer = engine.MinkowskiConvolution(
        5, 7, kernel_size=size, stride=stride, dilation=dilation, bias=True, dimension=3
    )
    y = _check_against_dense(layer, x, step=dilation)
    assert y.tensor_stride == [stride] * 3
    assert torch.equal(torch.unique(y.C, dim=0), _floor_to(voxels, stride))
    assert len(y.C) == len(_floor_to(voxels, stride))


@pytest.mark.parametrize(("width_in", "width_out"), [(1, 1), (16, 32), (33, 48), (24, 80), (64, 112)])
def test_every_split_of_the_width_into_tiles_equals_dense(
    native: ModuleType, voxels: torch.Tensor, width_in: int, width_out: int
) -> None:
    x = native.SparseTensor(_features(len(voxels), width_in).requires_grad_(), coordinates=voxels)
    _check_against_dense(native.MinkowskiConvolution(width_in, width_out, kernel_size=3), x, step=1)


def test_expanded_map_is_every_cell_a_kernel_reaches(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(_features(len(voxels), 3).requires_grad_(), coordinates=voxels)
    layer = engine.MinkowskiConvolution(3, 4, kernel_size=3, expand_coordinates=True, dimension=3)
    y = _check_against_dense(layer, x, step=1)
    reached = {(b, x + i, y + j, z + k) for b, x, y, z in voxels.tolist() for i, j, k in _cube(-1, 2)}
    assert sorted(reached) == sorted(map(tuple, y.C.tolist()))


def test_strided_expansion_equals_dense(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(_features(len(voxels), 3).requires_grad_(), coordinates=voxels)
    coarse = engine.MinkowskiConvolution(3, 4, kernel_size=2, stride=2, dimension=3)(x)
    coarse = engine.SparseTensor(
        coarse.F.detach().requires_grad_(),
        coordinate_map_key=coarse.coordinate_map_key,
        coordinate_manager=coarse.coordinate_manager,
    )
    layer = engine.MinkowskiConvolution(4, 5, kernel_size=3, expand_coordinates=True, dimension=3)
    y = _check_against_dense(layer, coarse, step=2)
    assert y.tensor_stride == [2, 2, 2]


@pytest.mark.parametrize("size", [2, 3])
def test_transposed_convolution_equals_dense_on_the_map_it_came_from(
    engine: ModuleType, voxels: torch.Tensor, size: int
) -> None:
    fine = engine.SparseTensor(_features(len(voxels), 3), coordinates=voxels)
    down = engine.MinkowskiConvolution(3, 4, kernel_size=2, stride=2, dimension=3)(fine)
    coarse = engine.SparseTensor(
        down.F.detach().requires_grad_(),
        coordinate_map_key=down.coordinate_map_key,
        coordinate_manager=down.coordinate_manager,
    )
    layer = engine.MinkowskiConvolutionTranspose(4, 5, kernel_size=size, stride=2, dimension=3)
    y = _check_against_dense(layer, coarse, step=1, transposed=True)
    assert y.coordinate_map_key == fine.coordinate_map_key


def test_generative_transposed_convolution_makes_all_eight_children(engine: ModuleType, voxels: torch.Tensor) -> None:
    cells = voxels * torch.tensor([1, 2, 2, 2], dtype=torch.int32)
    x = engine.SparseTensor(_features(len(cells), 3).requires_grad_(), coordinates=cells, tensor_stride=2)
    layer = engine.MinkowskiGenerativeConvolutionTranspose(3, 4, kernel_size=2, stride=2, bias=True, dimension=3)
    y = _check_against_dense(layer, x, step=1, transposed=True)
    assert y.tensor_stride == [1, 1, 1]
    children = [(b, x + i, y + j, z + k) for b, x, y, z in cells.tolist() for i, j, k in _cube(0, 2)]
    assert sorted(children) == sorted(map(tuple, y.C.tolist()))


def test_up_path_returns_to_expanded_maps(engine: ModuleType, voxels: torch.Tensor) -> None:
    """A U-Net whose levels are dilated can concatenate its skips without naming maps."""
    torch.manual_seed(0)
    x = engine.SparseTensor(_features(len(voxels), 2), coordinates=voxels)
    skips = [x]
    for _ in range(2):
        down = engine.MinkowskiConvolution(2, 2, kernel_size=2, stride=2, dimension=3)(skips[-1])
        expand = engine.MinkowskiConvolution(2, 2, kernel_size=3, expand_coordinates=True, dimension=3)
        skips.append(expand(down))
    for skip in reversed(skips[:-1]):
        up = engine.MinkowskiConvolutionTranspose(2, 2, kernel_size=2, stride=2, dimension=3)(skips.pop())
        assert engine.cat(up, skip).F.shape == (len(skip.F), 4)


def test_output_can_be_asked_for_on_the_map_of_another_tensor(engine: ModuleType, voxels: torch.Tensor) -> None:
    x = engine.SparseTensor(_features(len(voxels), 3).requires_grad_(), coordinates=voxels)
    expanded = engine.MinkowskiConvolution(3, 3, kernel_size=3, expand_coordinates=True, dimension=3)(x)
    layer = engine.MinkowskiConvolution(3, 4, kernel_size=3, dimension=3)
    y = layer(x, expanded)
    dense = dense_convolution(x.F, x.C, layer.kernel, y.C, size=3, step=1)
    assert y.coordinate_map_key == expanded.coordinate_map_key
    assert_close(y.F, dense)


@pytest.mark.parametrize("kind", ["k3", "k2s2", "transposed", "generative", "expand"])
def test_gradients_of_float64_equal_finite_differences(native: ModuleType, voxels: torch.Tensor, kind: str) -> None:
    cells = torch.unique(voxels[:12], dim=0) * torch.tensor([1, 2, 2, 2], dtype=torch.int32)
    cells = cells[:5] if kind == "expand" else cells  # each output of which is tried against each input
    base = native.SparseTensor(_features(len(cells), 2, torch.float64), coordinates=cells, tensor_stride=2)
    layers = {
        "k3": native.MinkowskiConvolution(2, 3, kernel_size=3, bias=True),
        "k2s2": native.MinkowskiConvolution(2, 3, kernel_size=2, stride=2),
        "transposed": native.MinkowskiConvolutionTranspose(2, 3, kernel_size=2, stride=2),
        "generative": native.MinkowskiGenerativeConvolutionTranspose(2, 3, kernel_size=2, stride=2),
        "expand": native.MinkowskiConvolution(2, 3, kernel_size=3, expand_coordinates=True),
    }
    layer = layers[kind].double()
    if kind == "transposed":
        base = native.MinkowskiMaxPooling(kernel_size=2, stride=2)(base)
    kernel = layer.kernel.detach().clone().requires_grad_()

    def apply(features: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        layer.kernel.data = kernel.data
        x = base.replace(features)
        out: torch.Tensor = torch.func.functional_call(layer, {"kernel": kernel}, (x,)).F
        return out

    assert torch.autograd.gradcheck(apply, (base.F.detach().requires_grad_(), kernel))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_threads(
    native: ModuleType, voxels: torch.Tensor, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    many = torch.cat([voxels + torch.tensor([0, 20 * i, 0, 0], dtype=torch.int32) for i in range(12)])
    x = native.SparseTensor(_features(len(many), 16), coordinates=many)
    layer = native.MinkowskiConvolution(16, 16, kernel_size=3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = layer(x).F
        torch.set_num_threads(threads)
        assert torch.equal(layer(x).F, single)
    finally:
        torch.set_num_threads(before)


def test_shift_by_whole_cells_of_the_coarsest_stride_changes_no_bit(engine: ModuleType, voxels: torch.Tensor) -> None:
    torch.manual_seed(0)
    down = engine.MinkowskiConvolution(3, 8, kernel_size=2, stride=2, dimension=3)
    same = engine.MinkowskiConvolution(8, 8, kernel_size=3, dimension=3)
    results = []
    for shift in (0, -1024):
        moved = voxels + torch.tensor([0, shift, 2 * shift, 0], dtype=torch.int32)
        y = same(down(engine.SparseTensor(_features(len(voxels), 3), coordinates=moved)))
        results.append(y.F[torch.argsort(pack_keys(y.C))])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0 if engine is native_engine else 1e-6)


def test_autocast_and_half_features_compute_in_float32_on_the_cpu(native: ModuleType, voxels: torch.Tensor) -> None:
    layer = native.MinkowskiConvolution(4, 4, kernel_size=3)
    x = native.SparseTensor(_features(len(voxels), 4).bfloat16().float(), coordinates=voxels)
    expected = layer(x).F
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = layer(x.replace(x.F.bfloat16())).F
    assert torch.equal(actual, expected)


def test_wrong_number_of_channels_is_named(native: ModuleType, voxels: torch.Tensor) -> None:
    x = native.SparseTensor(_features(len(voxels), 4), coordinates=voxels)
    with pytest.raises(ValueError, match="expected 5 channels, found 4"):
        native.MinkowskiConvolution(5, 4, kernel_size=3)(x)


def test_transposed_convolution_without_a_finer_map_says_what_to_do(native: ModuleType) -> None:
    cells = torch.tensor([[0, 0, 0, 0], [0, 2, 0, 0]])
    x = native.SparseTensor(_features(2, 3), coordinates=cells, tensor_stride=2)
    with pytest.raises(ValueError, match="found no map of tensor stride 1 .* use the generative"):
        native.MinkowskiConvolutionTranspose(3, 3, kernel_size=2, stride=2)(x)


def _cube(low: int, high: int) -> list[tuple[int, int, int]]:
    axis = range(low, high)
    return [(i, j, k) for i in axis for j in axis for k in axis]
