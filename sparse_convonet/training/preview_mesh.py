"""A small mesh of a validation scene, for TensorBoard."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.data.batching import pack_batch
from sparse_convonet.extract.field_mesh import field_mesh
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.structures import Mesh, TrainingSample

_CELL = {"voxel": 1.0, "unit": 1 / 64}


@torch.no_grad()
def preview_mesh(model: OccupancyNetwork, sample: TrainingSample, device: torch.device) -> Mesh:
    """The mesh of one scene at probability 1/2 in the network's coordinates, cells of one voxel or 1/64 of the cube."""
    batch = pack_batch([sample], coordinates=model.coordinates).to(device)
    field = model.encode_observed(batch.near, batch.around)
    points = batch.points.cpu().numpy() if model.sees in ("points", "voxels") else np.zeros((0, 3), dtype=np.float32)
    return field_mesh(model, field, points, _CELL[model.coordinates], 0.5)
