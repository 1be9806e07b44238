"""The native engine's convolution on a GPU: torch's gather and matrix products, and the fused Triton kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sparse_convonet.engine import native
from sparse_convonet.engine.convolution import TRITON_SWITCH, convolve
from sparse_convonet.engine.neighbours import KernelOffsets
from tests.benchmarks.shells import room_shell
from tests.benchmarks.tables import column
from tests.benchmarks.timing import interleaved_seconds

TEXT = (
    "A 3 x 3 x 3 convolution on a CUDA device, its map cached: medians, taking turns. float32 with TF32 where that is "
    f"said; bfloat16 as in training. Triton: with {TRITON_SWITCH}=1."
)

_CHANNELS = (32, 64, 96)
_PRECISIONS = {"float32": (torch.float32, "highest"), "TF32": (torch.float32, "high"), "bfloat16": (torch.bfloat16, "")}


@dataclass(frozen=True)
class GpuRow:
    device: str = column("device")
    voxels: int = column("voxels", "{:,}")
    channels: int = column("channels")
    precision: str = column("precision")
    direction: str = column("direction")
    torch_ms: float = column("torch, ms", "{:.3f}")
    triton_ms: float = column("Triton, ms", "{:.3f}")
    ratio: float = column("torch / Triton", "{:.1f}")


def run(quick: bool) -> list[GpuRow]:
    """Ends the program where no CUDA device is visible."""
    if not torch.cuda.is_available():
        raise SystemExit("gpu: expected a CUDA device, found none; run this section on a machine that has one")
    rows = []
    for voxels in (2000,) if quick else (310_000, 2_000_000):
        x = native.SparseTensor(torch.zeros(1, 1).expand(len(shell := room_shell(voxels)), 1), coordinates=shell)
        table = x.coordinate_manager.table(x.coordinate_map_key, x.coordinate_map_key, KernelOffsets(3, 1)).cuda()
        for channels in _CHANNELS:
            for precision in _PRECISIONS:
                rows += _rows(table, channels, precision, repeats=1 if quick else 20)
    return rows


def _rows(table: torch.Tensor, channels: int, precision: str, repeats: int) -> list[GpuRow]:
    dtype, products = _PRECISIONS[precision]
    generator = torch.Generator("cuda").manual_seed(0)
    features, weight = (
        torch.randn(shape, generator=generator, device="cuda").requires_grad_()
        for shape in ((len(table), channels), (table.shape[1], channels, channels))
    )

    def forward(switch: str) -> torch.Tensor:
        with _switched(switch), torch.autocast("cuda", torch.bfloat16, enabled=dtype == torch.bfloat16):
            return convolve(features, weight, table)

    def timed(task: Callable[[], object]) -> Callable[[], None]:
        def wait() -> None:
            task()
            torch.cuda.synchronize()

        return wait

    def backward(switch: str, out: torch.Tensor) -> Callable[[], object]:
        def task() -> object:
            with _switched(switch):
                return torch.autograd.grad(out, [features, weight], torch.ones_like(out), retain_graph=True)

        return task

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(products or before)
    try:
        outs = {switch: forward(switch) for switch in "01"}
        tasks = {
            "forward": {switch: timed(lambda switch=switch: forward(switch)) for switch in "01"},  # type: ignore[misc]
            "backward": {switch: timed(backward(switch, out)) for switch, out in outs.items()},
        }
        rows = []
        for direction, both in tasks.items():
            seconds = interleaved_seconds(both, repeats)
            rows.append(
                GpuRow(
                    torch.cuda.get_device_name(),
                    len(table),
                    channels,
                    precision,
                    direction,
                    1e3 * seconds["0"],
                    1e3 * seconds["1"],
                    seconds["0"] / seconds["1"],
                )
            )
        return rows
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def _switched(switch: str) -> Iterator[None]:
    before = os.environ.get(TRITON_SWITCH)
    os.environ[TRITON_SWITCH] = switch
    try:
        yield
    finally:
        if before is None:
            del os.environ[TRITON_SWITCH]
        else:
            os.environ[TRITON_SWITCH] = before
