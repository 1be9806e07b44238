"""How far away the model that sees far looks to decide on a floor's side: the gradient of its answer by what lies there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model.weights import load_model
from sparse_convonet.structures import PointSet
from tests.benchmarks.tables import column

TEXT = (
    "The model `building_wide`. The middle of the floor of an empty hall of 30 x 30 x 10 m, voxels of 4 cm: the "
    "gradient of the logits half a voxel above and below the floor by what the coarse network sees (which sub-cells hold "
    "points), as shares of its absolute sum in shells around. Whatever the fine network sees within 36 voxels is left out."
)
_HALL, _VOXEL_M, _PER_M2 = "30x10", 0.04, 400.0
_CORE_VOXELS, _QUERIES = 36.0, 64
_SHELLS_VOXELS = (0, 64, 128, 250, 400, 600)


@dataclass(frozen=True)
class ReachRow:
    distance: str = column("distance, voxels")
    share: float = column("share of the gradient", "{:.1%}")
    farther: float = column("this far or farther", "{:.1%}")


def run(quick: bool) -> list[ReachRow]:
    network = load_model("building_wide").sparse
    hall = EmptyHall.from_text("6x3" if quick else _HALL)
    distances, gradients = gradients_by_cell(network, hall, _VOXEL_M, _PER_M2)
    total = gradients.sum()
    rows = []
    for low, high in zip(_SHELLS_VOXELS, (*_SHELLS_VOXELS[1:], np.inf), strict=True):
        here = gradients[(distances >= low) & (distances < high)].sum() / total
        name = f"{low} to {high}" if np.isfinite(high) else f"over {low}"
        rows.append(ReachRow(name, float(here), float(gradients[distances >= low].sum() / total)))
    return rows


def gradients_by_cell(
    network: SparseOccupancyNetwork, hall: EmptyHall, voxel_size_m: float, points_per_m2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (C,) in voxels of the context's cells from the middle of the floor, and absolute gradients (C,)."""
    rng = np.random.default_rng(0)
    points_world = hall.points(rng, points_per_m2=points_per_m2)
    frame = VoxelFrame.around(points_world, voxel_size_m)
    voxels = frame.to_voxels(points_world)
    turned = np.array([[np.cos(hall.turn_rad), -np.sin(hall.turn_rad)], [np.sin(hall.turn_rad), np.cos(hall.turn_rad)]])
    middle_world = np.array([*(turned @ [hall.length_m / 2, hall.width_m / 2]), 0.0])
    middle = frame.to_voxels(middle_world[None])[0]
    near = np.abs(voxels - middle).max(axis=1) <= _CORE_VOXELS
    seen: dict[str, torch.Tensor] = {}
    assert network.context is not None

    def keep(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[torch.Tensor]:
        seen["cells"] = inputs[0].detach().requires_grad_()
        return (seen["cells"],)

    handle = network.context.lift.register_forward_pre_hook(keep)
    try:
        field = network.encode_observed(_points(voxels[near]), _points(voxels[~near]))
    finally:
        handle.remove()
    across = rng.uniform(-8, 8, (_QUERIES, 2))
    queries = np.column_stack([across, np.tile([-0.5, 0.5], _QUERIES // 2)]) + middle
    queries_voxel = torch.from_numpy(queries.astype(np.float32))
    logits, _ = network.occupancy(field, queries_voxel, torch.zeros(len(queries), dtype=torch.int64))
    (gradient,) = torch.autograd.grad((logits[::2] - logits[1::2]).sum(), seen["cells"])
    cells = np.unique(np.floor(voxels / network.context.stride).astype(np.int64), axis=0)  # in the order of their keys
    distances = np.abs((cells + 0.5) * network.context.stride - middle).max(axis=1)
    return distances, gradient.abs().sum(dim=1).numpy()


def _points(voxels: np.ndarray) -> PointSet:
    return PointSet(torch.from_numpy(voxels.astype(np.float32)), torch.zeros(len(voxels), dtype=torch.int64))
