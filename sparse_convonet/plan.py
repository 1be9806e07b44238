"""What to do with a scan before doing it: voxel size from the density of the points, memory and time ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.coordinates import VoxelFrame, pack_keys
from sparse_convonet.memory import available_memory_bytes

CANDIDATE_VOXELS_M = (0.04, 0.05, 0.06, 0.08, 0.10, 0.12)  # the range the building model is trained for
_POINTS_PER_VOXEL = 2.5  # wanted median; with fewer, surfaces break up into single voxels

# Fitted to whole runs of tools/reconstruct_building.py on two cores, 10k to 3.6M voxels (docs/MEASURED.md).
_BASE_BYTES, _BYTES_PER_POINT, _BYTES_PER_VOXEL = 0.9e9, 170, 1100
_BASE_SECONDS, _SECONDS_PER_POINT, _SECONDS_PER_VOXEL = 2.0, 6e-7, 1.7e-5
_REFERENCE_CELL_SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """The sizes chosen, why, and what they will cost (on two CPU cores; memory at the peak)."""

    voxel_size_m: float
    cell_size_m: float
    reason: str
    voxels: int
    memory_bytes: int
    seconds: float


def require_memory(plan: Plan) -> None:
    """Raise ValueError, naming a voxel size that would fit, where a plan needs more memory than there is."""
    available = available_memory_bytes()
    if plan.memory_bytes > available:
        # Cells and voxels lie on surfaces, so their number falls with the square of the size.
        fits = plan.voxel_size_m * math.sqrt(plan.memory_bytes / max(available - _BASE_BYTES, _BASE_BYTES))
        raise ValueError(
            f"memory: expected at least {plan.memory_bytes / 1e9:.1f} GB for voxels of {plan.voxel_size_m:g} m, found "
            f"{available / 1e9:.1f} GB available; use --voxel-size {fits:.2g} or more, or split the scan"
        )


def count_points_per_voxel(points_world: np.ndarray, voxel_size_m: float) -> np.ndarray:
    """(V,) number of points in each occupied voxel of (N, 3) points."""
    index = np.floor(VoxelFrame.around(points_world, voxel_size_m).to_voxels(points_world)).astype(np.int64)
    batched = np.concatenate([np.zeros((len(index), 1), dtype=np.int64), index], axis=1)
    return torch.unique(pack_keys(torch.from_numpy(batched)), return_counts=True)[1].numpy()


def choose_voxel_size(points_world: np.ndarray) -> tuple[float, str]:
    """The smallest candidate at which the median occupied voxel holds enough points, and the reason in words."""
    median = 0.0
    for size in CANDIDATE_VOXELS_M:
        median = float(np.median(count_points_per_voxel(points_world, size)))
        if median >= _POINTS_PER_VOXEL:
            return size, f"the smallest size at which the median voxel holds at least 3 points ({median:g} here)"
    return CANDIDATE_VOXELS_M[-1], (
        f"the largest size the model is trained for; the scan is sparse (the median voxel holds {median:g} points)"
    )


def make_plan(
    points_world: np.ndarray, voxel_size_m: float | None, cell_size_m: float | None, cell_share: float
) -> Plan:
    """Fill in what the user left open, and predict the cost.

    Raises ValueError where a size is not positive or the cell is larger than the voxel.
    """
    reason = "as asked"
    if voxel_size_m is None:
        voxel_size_m, reason = choose_voxel_size(points_world)
    if not voxel_size_m > 0:
        raise ValueError(f"voxel size: expected a positive number of metres, found {voxel_size_m}")
    if cell_size_m is None:
        cell_size_m = voxel_size_m * cell_share
    if not 0 < cell_size_m <= voxel_size_m:
        raise ValueError(
            f"cell size: expected more than 0 and at most the voxel size ({voxel_size_m} m), found {cell_size_m} m"
        )
    voxels = len(count_points_per_voxel(points_world, voxel_size_m))
    finer = (_REFERENCE_CELL_SHARE * voxel_size_m / cell_size_m) ** 2
    return Plan(
        voxel_size_m=voxel_size_m,
        cell_size_m=cell_size_m,
        reason=reason,
        voxels=voxels,
        memory_bytes=int(
            _BASE_BYTES + _BYTES_PER_POINT * len(points_world) + _BYTES_PER_VOXEL * voxels * max(1.0, finer)
        ),
        seconds=_BASE_SECONDS + _SECONDS_PER_POINT * len(points_world) + _SECONDS_PER_VOXEL * voxels * finer,
    )
