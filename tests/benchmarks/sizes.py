"""The U-Net from small to large scenes, and what empty volume costs; each in a process of its own."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch

from sparse_convonet.runtime.isolated import call_isolated
from sparse_convonet.runtime.memory import resident_memory_bytes
from tests.benchmarks.tables import column

TEXT = (
    "U-Net of the model `building`, native, forward with maps, median of the repeats; peak memory of a process that does "
    "nothing else, and how much of it the passes added, per finest voxel. The last two rows are the same two shells, near "
    "each other and far apart: what empty volume costs."
)

_SIZES = (50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000)
_PAIR = 200_000  # voxels of two shells together
_NEAR, _FAR = 64, 1 << 17  # voxels between the two, multiples of the coarsest stride


@dataclass(frozen=True)
class SizeRow:
    what: str = column("")
    voxels: int = column("voxels", "{:,}")
    seconds: float = column("forward, s", "{:.3f}")
    microseconds_per_voxel: float = column("µs per voxel", "{:.2f}")
    peak_mb: float = column("peak memory, MB", "{:,.0f}")
    bytes_per_voxel: float = column("bytes per voxel", "{:,.0f}")


def run(quick: bool) -> list[SizeRow]:
    sizes, pair, repeats = ((500, 1000), 1000, 1) if quick else (_SIZES, _PAIR, 5)
    rows = [_measure("one shell", {"voxels": size, "gap": 0, "repeats": repeats}) for size in sizes]
    rows += [
        _measure(f"two shells, {gap:,} voxels apart", {"voxels": pair, "gap": gap, "repeats": repeats})
        for gap in (_NEAR, _FAR)
    ]
    return rows


def _measure(what: str, arguments: dict[str, Any]) -> SizeRow:
    call = call_isolated(forward_seconds, arguments)
    voxels, seconds = call.result["voxels"], call.result["seconds"]
    grown = call.peak_bytes - call.result["before_bytes"]
    return SizeRow(what, voxels, seconds, seconds / voxels * 1e6, call.peak_bytes / 1e6, grown / voxels)


@torch.no_grad()
def forward_seconds(voxels: int, gap: int, repeats: int) -> dict[str, Any]:
    """gap: voxels between two shells of half the size each; 0: one shell."""
    from sparse_convonet.model.weights import load_model
    from tests.benchmarks.shells import room_shell

    model = load_model("building", engine="native")
    unet, width = model.sparse.unet, model.sparse.unet.widths[0]
    small = room_shell(500)
    unet(torch.zeros(len(small), width), small)  # compiles
    shell = room_shell(voxels // 2 if gap else voxels)
    if gap:
        side = int(shell[:, 1].max()) + 1
        step = -(-(side + gap) // unet.total_stride) * unet.total_stride
        shell = torch.cat([shell, shell + torch.tensor([0, step, 0, 0], dtype=torch.int32)])
    features = torch.randn(len(shell), width, generator=torch.Generator().manual_seed(0))
    before = resident_memory_bytes()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        unet(features, shell)
        seconds.append(time.perf_counter() - start)
    return {"voxels": len(shell), "seconds": statistics.median(seconds), "before_bytes": before}
