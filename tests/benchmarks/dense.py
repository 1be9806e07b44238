"""The sparse network on a building against the papers' dense one in a sliding window, at equal voxel size."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks.buildings import write_scan
from tests.benchmarks.tables import column

TEXT = (
    "Points to mesh of a generated building of one storey, seen by a virtual scanner, voxels of 8 cm, mesh cells of 4 cm, "
    "each in a process of its own. Dense: the architecture of configs/buildings/dense_crop.yaml (4 levels, 32 channels; "
    "random weights, which cost as much as trained ones), crops of 48 voxels with the halo of 48 that their features "
    "depend on, as the papers do it on scenes that do not fit; crops without points are skipped. Dense, whole: the same "
    "network on the box of the whole storey, which still fits here. Sparse: the shipped model. Peak memory is that of the "
    "process; imports are not timed. Seam: difference of the logits of neighbouring crops where they meet: mean, largest."
)

_VOXEL_M = 0.08
_CROP = 48
_SPARSE, _WINDOW, _WHOLE = _NETWORKS = ("sparse", "dense, sliding window", "dense, whole")


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
    """Sparse, then dense in a window and whole."""
    with tempfile.TemporaryDirectory() as folder:
        scan = {"area_m2": 40 if quick else 100, "rays_per_m2": 500 if quick else 3000, "folder": folder}
        floor_m2 = call_isolated(write_scan, scan).result["area_m2"]
        tasks = {name: {"network": name, "quick": quick, "folder": folder} for name in _NETWORKS}
        found = {name: call_isolated(reconstruct, task) for name, task in tasks.items()}
    sparse = found[_SPARSE]
    rows = []
    for name, call in found.items():
        values = call.result
        rows.append(
            DenseRow(
                name,
                floor_m2,
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


def reconstruct(network: str, quick: bool, folder: str) -> dict[str, Any]:
    """Seconds from the folder's scan.ply, read, to a mesh."""
    import torch

    from sparse_convonet.config.experiment import load_config
    from sparse_convonet.coordinates import VoxelFrame
    from sparse_convonet.extract.field_mesh import field_mesh
    from sparse_convonet.extract.sliding_window import sliding_window_mesh
    from sparse_convonet.io.points import read_points
    from sparse_convonet.model import build
    from sparse_convonet.model.dense_voxels import DenseVoxelNetwork
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.reconstruct.reconstructor import Reconstructor
    from sparse_convonet.structures import PointCloud

    points = read_points(Path(folder) / "scan.ply").points
    seam, crops = "", 1
    if network == _SPARSE:
        settings = ReconstructionSettings(voxel_size_m=_VOXEL_M, cell_size_m=_VOXEL_M / 2)
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
        voxels = VoxelFrame.around(points, _VOXEL_M).to_voxels(points)
        if network == _WHOLE:
            with torch.no_grad():
                field = model.encode(torch.from_numpy(voxels), torch.zeros(len(voxels), dtype=torch.int64))
            field_mesh(model, field, voxels, 0.5, 0.5)
            return {"points": len(points), "crops": 1, "seconds": time.perf_counter() - started, "seam": ""}
        found = sliding_window_mesh(model, voxels, 16 if quick else _CROP, 2, 0.5)
        seconds = time.perf_counter() - started
        crops, seam = found.encoded, f"{found.seams.mean():.3g}, {found.seams.max():.3g}"
    return {"points": len(points), "crops": crops, "seconds": seconds, "seam": seam}
