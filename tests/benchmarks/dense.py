"""The sparse network on a building against the papers' dense one in a sliding window, at equal voxel size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.isolated import call_isolated
from tests.benchmarks.tables import column

TEXT = (
    "Points to mesh of a generated building of one storey, seen by a virtual scanner, voxels of 8 cm, mesh cells of 4 cm, "
    "each in a process of its own. Dense: the architecture of configs/buildings/dense_crop.yaml (4 levels, 32 channels; "
    "random weights, which cost as much as trained ones), crops of 48 voxels with the halo of 48 that their features "
    "depend on; crops without points are skipped. Sparse: the shipped model. Peak memory is that of the process; imports "
    "are not timed. Seam: difference of the logits of neighbouring crops where they meet, mean and largest."
)


@dataclass(frozen=True)
class DenseRow:
    network: str = column("network")
    floor_m2: float = column("ground plan, m2", "{:.0f}")
    points: int = column("points", "{:,}")
    crops: int = column("crops encoded")
    seconds: float = column("points to mesh, s", "{:.1f}")
    gigabytes: float = column("peak memory, GB", "{:.2f}")
    time_ratio: float = column("time / sparse", "{:.1f}")
    memory_ratio: float = column("memory / sparse", "{:.1f}")
    seam: str = column("seam")


def run(quick: bool) -> list[DenseRow]:
    """Sparse, then dense."""
    found = {name: call_isolated(reconstruct, {"network": name, "quick": quick}) for name in ("sparse", "dense")}
    sparse = found["sparse"]
    rows = []
    for name, call in found.items():
        values = call.result
        rows.append(
            DenseRow(
                name,
                values["floor_m2"],
                values["points"],
                values["crops"],
                values["seconds"],
                call.peak_bytes / 1e9,
                values["seconds"] / sparse.result["seconds"],
                call.peak_bytes / sparse.peak_bytes,
                values["seam"],
            )
        )
    return rows


def reconstruct(network: str, quick: bool) -> dict[str, Any]:
    """Seconds from points to mesh."""
    import torch

    from sparse_convonet.config import load_config
    from sparse_convonet.coordinates import VoxelFrame
    from sparse_convonet.mesh.sliding_window import sliding_window_mesh
    from sparse_convonet.model import build
    from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
    from sparse_convonet.reconstruct import ReconstructionSettings, Reconstructor
    from sparse_convonet.structures import PointCloud
    from tests.synthetic_scan import room_points

    side = 1.0 if quick else 2.5  # times the room of the tests, about 4 x 5 m
    points = room_points(2000 if quick else 300_000) * np.array([side, side, 1.0])
    floor_m2 = float(np.prod(np.ptp(points[:, :2], axis=0)))
    seam, crops = "", 1
    if network == "sparse":
        settings = ReconstructionSettings(voxel_size_m=0.08, cell_size_m=0.04)
        reconstructor = Reconstructor.from_pretrained("building", engine="native", settings=settings)
        reconstructor.run(PointCloud(points[:2000]))  # compiles
        started = time.perf_counter()
        reconstructor.run(PointCloud(points))
        seconds = time.perf_counter() - started
    else:
        torch.manual_seed(0)
        overrides = ["model.grid_levels=2", "model.grid_width=8"] if quick else []
        model = build(load_config("configs/buildings/dense_crop.yaml", overrides).model).eval()
        assert isinstance(model, DenseVoxelNetwork)
        started = time.perf_counter()
        voxels = VoxelFrame.around(points, 0.08).to_voxels(points)
        found = sliding_window_mesh(model, voxels, 16 if quick else 48, 2, 0.5)
        seconds = time.perf_counter() - started
        crops, seam = found.encoded, f"{found.seams.mean():.3g}, {found.seams.max():.3g}"
    return {"floor_m2": floor_m2, "points": len(points), "crops": crops, "seconds": seconds, "seam": seam}
