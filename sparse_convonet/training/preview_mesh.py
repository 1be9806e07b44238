"""A small mesh of a validation scene, for TensorBoard."""

from __future__ import annotations

import torch

from sparse_convonet.coordinates import unpack_keys
from sparse_convonet.data.batching import pack_batch
from sparse_convonet.mesh.mise import ExtractionSettings, extract_mesh
from sparse_convonet.model import SparseOccupancyNetwork
from sparse_convonet.structures import Mesh, TrainingSample


@torch.no_grad()
def preview_mesh(model: SparseOccupancyNetwork, sample: TrainingSample, device: torch.device) -> Mesh:
    """The mesh of one scene at probability 1/2, cells of one voxel, in voxel coordinates."""
    batch = pack_batch([sample]).to(device)
    field = model.encode(batch.points_voxel, batch.point_batch)

    def evaluate(queries):  # type: ignore[no-untyped-def]
        points = torch.from_numpy(queries).to(device)
        zero = torch.zeros(len(points), dtype=torch.int64, device=device)
        return model.occupancy(field, points, zero)[0].cpu().numpy()

    coarse = field.levels[-1]
    seeds = unpack_keys(coarse.keys)[:, 1:].cpu().numpy() // coarse.stride
    points = batch.points_voxel.cpu().numpy()
    return extract_mesh(evaluate, seeds, coarse.stride, points, ExtractionSettings(cell=1.0))
