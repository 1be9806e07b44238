"""Native on CUDA equals native on the CPU in float32: tables, layers, networks and lookups, with their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.coordinates import pack_keys
from sparse_convonet.engine import native
from sparse_convonet.engine.convolution import TRITON_SWITCH
from sparse_convonet.engine.neighbours import KernelOffsets, dilate, neighbour_table
from sparse_convonet.fields.lookup import trilinear_lookup
from sparse_convonet.model import build_sparse
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from tests.synthetic_scan import room_points

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

_DEVICE = "cuda"
_LAYER_TOLERANCE = 1e-5  # shares of the largest magnitude in the CPU's tensor
_NETWORK_TOLERANCE = 1e-4  # rounding grows over some forty layers


@pytest.fixture(autouse=True, params=["torch", "triton"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What multiplies on the device."""
    monkeypatch.setenv(TRITON_SWITCH, str(int(request.param == "triton")))


@pytest.fixture(autouse=True)
def float32_products() -> Iterator[None]:
    """Without the 10-bit mantissas of TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def voxels(rng: np.random.Generator) -> torch.Tensor:
    """(V, 4) int32 unique voxels of two scenes, multiples of 2, in no order."""
    cells = np.unique(np.c_[rng.integers(0, 2, 900), rng.integers(-6, 6, (900, 3))], axis=0)
    return torch.from_numpy((rng.permutation(cells) * [1, 2, 2, 2]).astype(np.int32))


def _assert_close(found: torch.Tensor, expected: torch.Tensor, name: str, tolerance: float = _LAYER_TOLERANCE) -> None:
    assert found.device.type == _DEVICE and expected.device.type == "cpu"
    assert found.shape == expected.shape, name
    error, largest = float((found.cpu() - expected).abs().max()), float(expected.abs().max())
    assert error <= tolerance * largest, f"{name}: {error} of {largest}"


def _convolution(kind: str = "Convolution", **settings: int | bool) -> Callable[[ModuleType], nn.Module]:
    def build_layer(engine: ModuleType) -> nn.Module:
        layer: nn.Module = getattr(engine, f"Minkowski{kind}")(24, 40, dimension=3, **settings)
        return layer

    return build_layer


class _Halved(nn.Module):
    """A transposed convolution back from a coarser map."""

    def __init__(self) -> None:
        super().__init__()
        self.down = native.MinkowskiConvolution(24, 32, kernel_size=2, stride=2, bias=True)
        self.up = native.MinkowskiConvolutionTranspose(32, 40, kernel_size=2, stride=2)

    def forward(self, x: native.SparseTensor) -> native.SparseTensor:
        up: native.SparseTensor = self.up(self.down(x))
        return up


class _Parts(nn.Module):
    """The union of two overlapping parts, and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.prune = native.MinkowskiBatchNorm(24), native.MinkowskiPruning()

    def forward(self, x: native.SparseTensor) -> native.SparseTensor:
        total: native.SparseTensor = self.norm(self.prune(x, x.C[:, 1] < 4) + self.prune(x, x.C[:, 1] > -4))
        return total


@pytest.mark.parametrize(
    "make",
    [
        _convolution(kernel_size=3, bias=True),
        _convolution(kernel_size=1, bias=True),
        _convolution(kernel_size=2, stride=2),
        _convolution(kernel_size=3, stride=2),
        _convolution(kernel_size=3, expand_coordinates=True),
        _convolution("GenerativeConvolutionTranspose", kernel_size=2, stride=2, bias=True),
        lambda engine: _Halved(),
        lambda engine: _Parts(),
        lambda engine: engine.MinkowskiMaxPooling(2, 2),
        lambda engine: engine.MinkowskiSumPooling(3, 2),
        lambda engine: engine.MinkowskiAvgPooling(2, 2),
    ],
    ids=["k3", "k1", "k2s2", "k3s2", "expand", "generative", "transposed", "union", "max", "sum", "mean"],
)
def test_layers_and_their_gradients(make: Callable[[ModuleType], nn.Module], voxels: torch.Tensor) -> None:
    torch.manual_seed(0)
    features, layer = torch.randn(len(voxels), 24), make(native)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    results = []
    for device in ("cpu", _DEVICE):
        layer.load_state_dict(state)
        layer.to(device)
        leaf = features.to(device, copy=True).requires_grad_()
        y = layer(native.SparseTensor(leaf, coordinates=voxels.to(device), tensor_stride=2))
        weights = torch.randn(y.F.shape, generator=torch.Generator().manual_seed(1)).to(device)
        inputs = {"features": leaf, **dict(layer.named_parameters())}
        gradients = torch.autograd.grad((y.F * weights).sum(), list(inputs.values()))
        results.append((y.C, y.F.detach(), dict(zip(inputs, gradients, strict=True))))
    (cells, out, by), (cells_found, out_found, by_found) = results
    assert torch.equal(cells_found.cpu(), cells)
    _assert_close(out_found, out, "features")
    for name, gradient in by.items():
        _assert_close(by_found[name], gradient, f"gradient of {name}")


@pytest.mark.parametrize("offsets", [KernelOffsets(3, 2), KernelOffsets(2, 2, -1), KernelOffsets(4, 1)])
def test_neighbour_tables_and_dilation_are_equal(offsets: KernelOffsets, voxels: torch.Tensor) -> None:
    keys = torch.sort(pack_keys(voxels))[0]
    on_device = keys.to(_DEVICE)
    grown = dilate(keys, offsets)
    assert torch.equal(dilate(on_device, offsets).cpu(), grown)
    assert torch.equal(
        neighbour_table(grown.to(_DEVICE), on_device, offsets).cpu(), neighbour_table(grown, keys, offsets)
    )


def test_quantization_is_equal(rng: np.random.Generator) -> None:
    points = rng.uniform(-3, 3, (2000, 3))
    results = [
        native.sparse_quantize(points, return_index=True, return_inverse=True, quantization_size=0.5, device=device)
        for device in ("cpu", _DEVICE)
    ]
    for expected, found in zip(*results, strict=True):
        assert found.device.type == _DEVICE and torch.equal(found.cpu(), expected)


def test_trilinear_lookup_and_its_gradients(voxels: torch.Tensor, rng: np.random.Generator) -> None:
    keys = torch.sort(pack_keys(voxels))[0]
    features = torch.from_numpy(rng.normal(size=(len(keys), 16)).astype(np.float32))
    queries = torch.from_numpy(rng.uniform(-13, 13, (4000, 3)))
    batch = torch.from_numpy(rng.integers(0, 2, 4000))
    results = []
    for device in ("cpu", _DEVICE):
        leaves = [each.to(device, copy=True).requires_grad_() for each in (features, queries)]
        sampled, weight = trilinear_lookup(keys.to(device), leaves[0], 2, leaves[1], batch.to(device))
        loss = (sampled * torch.linspace(-1, 1, 16, device=device)).sum() + weight.sum()
        results.append([sampled.detach(), weight.detach(), *torch.autograd.grad(loss, leaves)])
    for name, expected, found in zip(("sample", "weight", "by features", "by positions"), *results, strict=True):
        _assert_close(found, expected, name)


@pytest.fixture
def networks() -> list[tuple[str, SparseOccupancyNetwork]]:
    """The default network on the CPU and on the device, with the same random weights."""
    torch.manual_seed(0)
    state = build_sparse(SparseModelConfig(), native).state_dict()
    both = [(device, build_sparse(SparseModelConfig(), native).to(device)) for device in ("cpu", _DEVICE)]
    for _, network in both:
        network.load_state_dict(state)
    return both


def test_the_whole_network_and_its_gradients(networks: list[tuple[str, SparseOccupancyNetwork]]) -> None:
    rng = np.random.default_rng(0)
    points = torch.from_numpy(room_points(4000) / 0.12)
    queries = torch.from_numpy(rng.uniform(0, 20, (2000, 3)))
    scene = torch.zeros(len(points), dtype=torch.int64)
    results = []
    for device, network in networks:
        field = network.encode(points.to(device), scene.to(device))
        logits, known = network.occupancy(field, queries.to(device), scene[: len(queries)].to(device))
        gradients = torch.autograd.grad((logits * known).sum(), list(network.parameters()))
        results.append((field, logits.detach(), known, gradients))
    (field, logits, known, gradients), (field_found, logits_found, known_found, gradients_found) = results
    for level, level_found in zip(field.levels, field_found.levels, strict=True):
        assert torch.equal(level_found.keys.cpu(), level.keys)
        _assert_close(
            level_found.features.detach(), level.features.detach(), f"stride {level.stride}", _NETWORK_TOLERANCE
        )
    assert torch.equal(known_found.cpu(), known)
    _assert_close(logits_found, logits, "logits", _NETWORK_TOLERANCE)
    largest = max(float(each.abs().max()) for each in gradients)
    for expected, found in zip(gradients, gradients_found, strict=True):
        assert float((found.cpu() - expected).abs().max()) <= _NETWORK_TOLERANCE * largest
