"""One convolution by every sparse convolution that installs from a registry and runs on a CPU, values compared."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import torch

from sparse_convonet.config.models import EngineName
from sparse_convonet.engine import load_engine
from sparse_convonet.engine.neighbours import KernelOffsets
from tests.benchmarks.shells import room_shell
from tests.benchmarks.tables import column
from tests.benchmarks.timing import interleaved_seconds

TEXT = (
    "One 3 x 3 x 3 convolution by libraries that install from a registry and run on a CPU (what is not installed is left "
    "out; nothing here needs them): the same voxels, features and kernel, maps cached, medians of turns within one run. "
    "Gathers: the usual way in plain torch, for each offset of the kernel `index_select`, a product, `index_add_`, on the "
    "maps of the native engine. Difference: the largest of a value or of a gradient of the features, against the native "
    "engine's, whose values are some units large; rows off: voxels at which it is above 0.001. OCNN by its blocks "
    "(`block_gemm`), its way on a CPU that bounds memory; spconv by `ConvAlgo.Native`, its only one there, whose backward "
    "pass asks for CUDA, and in which two threads add to one row at once: other rows are off in every run."
)

_SIZE = 3
_OFF = 1e-3  # more is no rounding


@dataclass(frozen=True)
class OtherEngineRow:
    engine: str = column("engine")
    version: str = column("version")
    channels: int = column("channels")
    voxels: int = column("voxels", "{:,}")
    forward_s: float = column("forward, s", "{:.4f}")
    forward_ratio: float = column("forward / native", "{:.1f}")
    backward_s: float | None = column("backward, s", "{:.4f}")
    backward_ratio: float | None = column("backward / native", "{:.1f}")
    difference: float = column("difference", "{:.0e}")
    rows_off: int = column("rows off", "{:,}")


@dataclass
class _Convolution:
    """features: (V, C), a leaf, in the order of the engine, as what `forward` gives.  order: (V,) rows of the voxels given;
    None: their own order.  kept: what must live as long."""

    version: str
    features: torch.Tensor
    forward: Callable[[], torch.Tensor]
    order: torch.Tensor | None = None
    has_backward: bool = True
    kept: list[Any] = field(default_factory=list)


def run(quick: bool) -> list[OtherEngineRow]:
    """Each engine that is installed, the native first."""
    repeats, count = (1, 2000) if quick else (5, 310_000)
    voxels = room_shell(count)
    return [row for channels in (32, 64) for row in _rows(voxels, channels, repeats)]


def _rows(voxels: torch.Tensor, channels: int, repeats: int) -> list[OtherEngineRow]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(voxels), channels, generator=generator)
    kernel = torch.randn(_SIZE**3, channels, channels, generator=generator) / (_SIZE**3 * channels) ** 0.5
    makers: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], _Convolution]] = {
        "native": partial(_by_engine, "native", "sparse_convonet"),
        "gathers": _gathers,
        "MinkowskiEngine": partial(_by_engine, "minkowski", "MinkowskiEngine"),
        "spconv": _spconv,
        "ocnn": _ocnn,
    }
    engines = {name: make(voxels, features, kernel) for name, make in makers.items() if _is_there(name)}
    outputs = {name: engine.forward() for name, engine in engines.items()}
    learning = [name for name, engine in engines.items() if engine.has_backward]
    backward = {
        name: partial(outputs[name].backward, _in_order(features, engines[name].order), retain_graph=True)
        for name in learning
    }
    forward_s = interleaved_seconds({name: engine.forward for name, engine in engines.items()}, repeats)
    found = {name: [_given_order(outputs[name].detach(), engine.order)] for name, engine in engines.items()}
    for name, task in backward.items():
        task()
        found[name].append(_given_order(_gradient(engines[name]), engines[name].order))
    backward_s = interleaved_seconds(backward, repeats)
    rows = []
    for name, engine in engines.items():
        pairs = zip(found[name], found["native"], strict=False)  # some have no gradient
        off = torch.stack([(ours - theirs).abs().amax(dim=1) for ours, theirs in pairs]).amax(dim=0)
        back = backward_s.get(name)
        rows.append(
            OtherEngineRow(
                name, engine.version, channels, len(voxels), forward_s[name], forward_s[name] / forward_s["native"],
                back, None if back is None else back / backward_s["native"],
                float(off.max()), int((off > _OFF).sum()),
            )
        )  # fmt: skip
    return rows


def _is_there(name: str) -> bool:
    return name in ("native", "gathers") or importlib.util.find_spec(name) is not None


def _in_order(values: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    return values if order is None else values[order]


def _given_order(values: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    if order is None:
        return values
    found = torch.empty_like(values)
    found[order] = values
    return found


def _gradient(engine: _Convolution) -> torch.Tensor:
    assert engine.features.grad is not None
    return engine.features.grad.clone()  # later passes add to it


def _leaf(features: torch.Tensor) -> torch.Tensor:
    return features.clone().requires_grad_()


def _by_engine(
    name: EngineName, package: str, voxels: torch.Tensor, features: torch.Tensor, kernel: torch.Tensor
) -> _Convolution:
    engine = load_engine(name)
    layer = engine.MinkowskiConvolution(*kernel.shape[1:], kernel_size=_SIZE, dimension=3)
    with torch.no_grad():
        layer.kernel.copy_(kernel)
    leaf = _leaf(features)
    x = engine.SparseTensor(leaf, coordinates=voxels)
    order = None if torch.equal(x.C, voxels) else _places_of(x.C, voxels)
    return _Convolution(importlib.metadata.version(package), leaf, lambda: layer(x).F, order, kept=[x, layer])


def _places_of(found: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """For each of the voxels found (V, 4), the row of `voxels` that it is."""
    side = int(voxels.max()) + 1

    def keys(each: torch.Tensor) -> torch.Tensor:
        rows = each[:, 1:].to(torch.int64)
        return (rows[:, 0] * side + rows[:, 1]) * side + rows[:, 2]

    ordered, rows = torch.sort(keys(voxels))
    return rows[torch.searchsorted(ordered, keys(found))]


def _gathers(voxels: torch.Tensor, features: torch.Tensor, kernel: torch.Tensor) -> _Convolution:
    x = load_engine("native").SparseTensor(features, coordinates=voxels)
    table = x.coordinate_manager.table(x.coordinate_map_key, x.coordinate_map_key, KernelOffsets(_SIZE, 1))
    pairs = [(torch.nonzero(column >= 0)[:, 0], column[column >= 0].to(torch.int64)) for column in table.T]
    leaf, weights = _leaf(features), kernel.clone().requires_grad_()

    def forward() -> torch.Tensor:
        out = torch.zeros(len(features), kernel.shape[2])
        for (to, source), weight in zip(pairs, weights, strict=True):
            out.index_add_(0, to, leaf.index_select(0, source) @ weight)
        return out

    return _Convolution(f"torch {torch.__version__}", leaf, forward)


def _spconv(voxels: torch.Tensor, features: torch.Tensor, kernel: torch.Tensor) -> _Convolution:
    spconv: Any = importlib.import_module("spconv.pytorch")
    core: Any = importlib.import_module("spconv.core")
    shape = (voxels[:, 1:].max(dim=0).values + 1).tolist()
    layer = spconv.SubMConv3d(*kernel.shape[1:], _SIZE, bias=False, indice_key="map", algo=core.ConvAlgo.Native)
    with torch.no_grad():  # x fastest, in and out -> (out, x, y, z, in)
        layer.weight.copy_(kernel.reshape(_SIZE, _SIZE, _SIZE, *kernel.shape[1:]).permute(4, 2, 1, 0, 3))
    leaf = _leaf(features)
    x = spconv.SparseConvTensor(leaf, voxels.to(torch.int32), shape, 1)
    layer(x)  # its map is kept in x
    return _Convolution(importlib.metadata.version("spconv"), leaf, lambda: layer(x).features, None, False, [x, layer])


def _imported_ocnn() -> Any:
    """The package, whose __init__ imports a network for images, which wants torchvision; the convolutions do not."""
    if importlib.util.find_spec("torchvision") is None:
        models = ModuleType("torchvision.models")
        models.resnet18 = None  # type: ignore[attr-defined]
        sys.modules.update({"torchvision": ModuleType("torchvision"), "torchvision.models": models})
    try:
        return importlib.import_module("ocnn")
    finally:
        for name in ("torchvision", "torchvision.models"):
            if getattr(sys.modules.get(name), "__spec__", None) is None:
                sys.modules.pop(name, None)


def _ocnn(voxels: torch.Tensor, features: torch.Tensor, kernel: torch.Tensor) -> _Convolution:
    ocnn = _imported_ocnn()
    depth = int(voxels.max()).bit_length()
    middles = (voxels[:, 1:].float() + 0.5) / 2 ** (depth - 1) - 1.0
    octree = ocnn.octree.Octree(depth, 2)
    octree.build_octree(ocnn.octree.Points(middles))
    octree.construct_all_neigh()
    x, y, z, _ = octree.xyzb(depth, nempty=True)
    order = _places_of(torch.stack([torch.zeros_like(x), x, y, z], dim=1), voxels)
    layer = ocnn.nn.OctreeConv(*kernel.shape[1:], [_SIZE], nempty=True, method="block_gemm")
    with torch.no_grad():  # x fastest -> z fastest
        layer.weights.copy_(
            kernel.reshape(_SIZE, _SIZE, _SIZE, *kernel.shape[1:]).transpose(0, 2).reshape(kernel.shape)
        )
    leaf = _leaf(features[order])
    return _Convolution(
        importlib.metadata.version("ocnn"), leaf, lambda: layer(leaf, octree, depth), order, kept=[octree, layer]
    )
