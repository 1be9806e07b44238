"""Pictures of a training in TensorBoard: a slice through a validation room, and its mesh now and then."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from sparse_convonet.data.batching import pack_batch
from sparse_convonet.model import SparseOccupancyNetwork
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.preview_mesh import preview_mesh

_PIXELS = 160
_SLICE_HEIGHT = 0.4  # share of the height of the scan


@torch.no_grad()
def occupancy_slice(model: SparseOccupancyNetwork, sample: TrainingSample, device: torch.device) -> np.ndarray:
    """Probabilities (P, P) on a horizontal slice through a scene; rows go up in y."""
    batch = pack_batch([sample]).to(device)
    low, high = batch.points_voxel.amin(0), batch.points_voxel.amax(0)
    axes = [torch.linspace(float(low[axis]) - 4, float(high[axis]) + 4, _PIXELS, device=device) for axis in (0, 1)]
    y, x = torch.meshgrid(axes[1].flip(0), axes[0], indexing="ij")
    z = torch.full_like(x, float(low[2] + _SLICE_HEIGHT * (high[2] - low[2])))
    queries = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    field = model.encode(batch.points_voxel, batch.point_batch)
    logits, _ = model.occupancy(field, queries, torch.zeros(len(queries), dtype=torch.int64, device=device))
    return torch.sigmoid(logits).reshape(_PIXELS, _PIXELS).cpu().numpy()


def write_pictures(
    writer: SummaryWriter,
    model: SparseOccupancyNetwork,
    sample: TrainingSample,
    step: int,
    device: torch.device,
    with_mesh: bool,
) -> None:
    """Add the slice, and with `with_mesh` the mesh, of one scene to the event file."""
    training = model.training
    model.eval()
    writer.add_image("slice", 1 - occupancy_slice(model, sample, device), step, dataformats="HW")
    if with_mesh:
        mesh = preview_mesh(model, sample, device)
        if len(mesh.faces):
            vertices, faces = torch.from_numpy(mesh.vertices[None]).float(), torch.from_numpy(mesh.faces[None])
            writer.add_mesh("mesh", vertices=vertices, faces=faces, global_step=step)
    model.train(training)
