"""Pictures of a training in TensorBoard: a slice through a validation room, and its mesh now and then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from sparse_convonet.data.batching import pack_batch
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.curves import Curves
from sparse_convonet.training.preview_mesh import preview_mesh

_PIXELS = 160
_BORDER_VOXELS = 4  # around the points
_SLICE_HEIGHT = 0.4  # share of the height of the scan


@torch.no_grad()
def occupancy_slice(model: OccupancyNetwork, sample: TrainingSample, device: torch.device) -> np.ndarray:
    """Probabilities (P, P) on a horizontal slice through a scene; rows go up in the world's y."""
    batch = pack_batch([sample], coordinates=model.coordinates).to(device)
    low, high = sample.points_world.min(axis=0), sample.points_world.max(axis=0)
    border = _BORDER_VOXELS * sample.voxel_size_m
    x, y = (np.linspace(low[axis] - border, high[axis] + border, _PIXELS) for axis in (0, 1))
    y_all, x_all = np.meshgrid(y[::-1], x, indexing="ij")
    z_all = np.full_like(x_all, low[2] + _SLICE_HEIGHT * (high[2] - low[2]))
    queries_world = np.stack([x_all, y_all, z_all], axis=-1).reshape(-1, 3).astype(np.float32)
    asked = replace(sample, queries_world=queries_world, occupied=np.zeros(len(queries_world), dtype=bool))
    queries = pack_batch([asked], coordinates=model.coordinates).to(device)
    logits, _ = model.occupancy(model.encode_observed(batch.near, batch.around), queries.queries, queries.query_batch)
    return torch.sigmoid(logits).reshape(_PIXELS, _PIXELS).cpu().numpy()


def write_pictures(
    writer: Curves,
    model: OccupancyNetwork,
    sample: TrainingSample,
    step: int,
    device: torch.device,
    with_mesh: bool,
) -> None:
    """Add the slice, and with `with_mesh` the mesh, of one scene to the curves."""
    training = model.training
    model.eval()
    writer.add_image("slice", 1 - occupancy_slice(model, sample, device), step, dataformats="HW")
    if with_mesh:
        mesh = preview_mesh(model, sample, device)
        if len(mesh.faces):
            vertices, faces = torch.from_numpy(mesh.vertices[None]).float(), torch.from_numpy(mesh.faces[None])
            writer.add_mesh("mesh", vertices=vertices, faces=faces, global_step=step)
    model.train(training)
