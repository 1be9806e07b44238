"""The engines side by side: maps, single convolutions, the U-Net, a training step."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch

from sparse_convonet.config.models import EngineName
from sparse_convonet.data.batching import PackedBatch, TrainingStream
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.engine import load_engine
from sparse_convonet.engine.neighbours import KernelOffsets
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.training.loop import training_step
from tests.benchmarks.shells import room_shell
from tests.benchmarks.tables import column
from tests.benchmarks.timing import interleaved_seconds, matrix_product, matrix_product_rate

TEXT = (
    "Medians, the engines taking turns within one run; maps are cached where not said otherwise. Voxels of floor, "
    "ceiling and walls of a box, two voxels thick; the U-Net is that of the model `building`, in training mode where "
    "a backward pass follows. Shares: of the operations per second of `torch.mm` on float32 matrices of 2048 x 2048, "
    "in the same run, counting the pairs of neighbours that exist."
)

_CHANNELS = (32, 64)
_LOADED: tuple[EngineName, ...] = ("native", "minkowski")

Tasks = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class EngineRow:
    what: str = column("")
    voxels: int | None = column("voxels", "{:,}", default=None)
    native_s: float | None = column("native, s", "{:.4f}", default=None)
    minkowski_s: float | None = column("minkowski, s", "{:.4f}", default=None)
    ratio: float | None = column("minkowski / native", "{:.1f}", default=None)
    native_share: float | None = column("native, share of torch.mm", "{:.0%}", default=None)
    minkowski_share: float | None = column("minkowski, share of torch.mm", "{:.0%}", default=None)


def run(quick: bool) -> list[EngineRow]:
    """Every step with both engines; without MinkowskiEngine its columns stay empty."""
    repeats, voxels, network_voxels = (1, 2000, 1000) if quick else (5, 310_000, 310_000)
    names = [name for name in _LOADED if name == "native" or importlib.util.find_spec("MinkowskiEngine")]
    engines = {name: load_engine(name) for name in names}
    shell = room_shell(voxels)
    rows = [EngineRow(f"torch.mm: {matrix_product_rate(repeats) / 1e9:.0f} GFLOP/s")]
    rows.append(
        _row("map of a 3 x 3 x 3 kernel", len(shell), {n: _map_task(e, shell) for n, e in engines.items()}, repeats)
    )
    for channels in _CHANNELS:
        rows += _convolution_rows(engines, shell, channels, repeats)
    models = {name: load_model("building", engine=name) for name in names}
    rows += _network_rows(models, room_shell(network_voxels), repeats)
    rows.append(_training_row(models, quick, repeats))
    return rows


def _row(what: str, voxels: int, tasks: Tasks, repeats: int, *, work: float = 0.0) -> EngineRow:
    """work: floating-point operations of the task, compared with torch.mm; 0: not counted."""
    product = matrix_product()
    seconds = interleaved_seconds({**tasks, "torch.mm": product.run} if work else tasks, repeats)
    native, minkowski = seconds["native"], seconds.get("minkowski")
    rate = product.operations / seconds["torch.mm"] if work else 0.0
    shares = [work / each / rate if work and each else None for each in (native, minkowski)]
    return EngineRow(what, voxels, native, minkowski, minkowski / native if minkowski else None, *shares)


def _map_task(engine: ModuleType, voxels: torch.Tensor) -> Callable[[], object]:
    features = torch.zeros(len(voxels), 1)

    def task() -> object:
        x = engine.SparseTensor(features, coordinates=voxels)
        manager, key = x.coordinate_manager, x.coordinate_map_key
        if engine.name == "native":
            return manager.table(key, key, KernelOffsets(3, 1))
        return manager.kernel_map(key, key, kernel_size=3)

    return task


def _convolution_rows(
    engines: dict[EngineName, ModuleType], voxels: torch.Tensor, channels: int, repeats: int
) -> list[EngineRow]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(voxels), channels, generator=generator)
    table = _map_task(load_engine("native"), voxels)()
    assert isinstance(table, torch.Tensor)
    work = 2.0 * int((table >= 0).sum()) * channels * channels
    forward: Tasks = {}
    backward: Tasks = {}
    for name, engine in engines.items():
        layer = engine.MinkowskiConvolution(channels, channels, kernel_size=3, dimension=3)
        x = engine.SparseTensor(features.clone().requires_grad_(), coordinates=voxels)
        y = layer(x)
        seed = torch.ones_like(y.F)
        forward[name] = partial(layer, x)
        backward[name] = partial(y.F.backward, seed, retain_graph=True)
    what = f"convolution 3 x 3 x 3, {channels} to {channels}"
    return [
        _row(f"{what}, forward", len(voxels), forward, repeats, work=work),
        _row(f"{what}, backward", len(voxels), backward, repeats, work=2 * work),
    ]


def _network_rows(models: dict[EngineName, TrainedModel], voxels: torch.Tensor, repeats: int) -> list[EngineRow]:
    features = torch.randn(len(voxels), models["native"].sparse.unet.widths[0])

    def forward(unet: Any) -> object:
        with torch.no_grad():
            return unet(features, voxels)

    def both(unet: Any) -> object:
        levels = unet(features, voxels)
        return torch.stack([level.F.sum() for level in levels]).sum().backward()

    unets = {name: model.sparse.unet for name, model in models.items()}
    rows = [
        _row("U-Net forward, maps included", len(voxels), {n: partial(forward, u) for n, u in unets.items()}, repeats)
    ]
    for unet in unets.values():
        unet.train()
    rows.append(
        _row(
            "U-Net forward and backward, maps included",
            len(voxels),
            {n: partial(both, u) for n, u in unets.items()},
            repeats,
        )
    )
    return rows


def _training_row(models: dict[EngineName, TrainedModel], quick: bool, repeats: int) -> EngineRow:
    batch, scenes, clip_norm = _batch(models["native"], quick)
    tasks: Tasks = {}
    for name, model in models.items():
        network = model.sparse
        network.train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)  # the same work at every step
        tasks[name] = partial(training_step, network, optimizer, batch, clip_norm, scenes, torch.device("cpu"))
    with torch.no_grad():
        finest = len(models["native"].sparse.encode(batch.points, batch.point_batch).levels[0].keys)
    return _row(f"training step, {scenes} scenes", finest, tasks, repeats)


def _batch(model: TrainedModel, quick: bool) -> tuple[PackedBatch, int, float | None]:
    """A batch as the training draws it, its number of scenes, and the norm that gradients are clipped to."""
    data, training = model.config.data, model.config.training
    scenes = 1 if quick else training.batch
    if quick:
        data = dataclasses.replace(data, scenes="rooms", points=500, queries=64)
    library = FurnitureLibrary.load().split("train")
    return TrainingStream(data, library, training.seed, scenes).make(0), scenes, training.clip_norm
