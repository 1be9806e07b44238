"""A small mesh of a validation scene, for TensorBoard."""

from __future__ import annotations

import numpy as np
import torch

from sparse_convonet.coordinates import UNIT_PADDING, unpack_keys
from sparse_convonet.data.batching import pack_batch
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.mesh.mise import ExtractionSettings, extract_mesh
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.structures import Mesh, TrainingSample

_UNIT_CELL = 1 / 64
_UNIT_STRIDE = 8  # cells along the side of a seed


@torch.no_grad()
def preview_mesh(model: OccupancyNetwork, sample: TrainingSample, device: torch.device) -> Mesh:
    """The mesh of one scene at probability 1/2 in the network's coordinates, cells of one voxel or 1/64 of the cube."""
    batch = pack_batch([sample], coordinates=model.coordinates).to(device)
    field = model.encode(batch.points, batch.point_batch)

    def evaluate(queries: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(queries).to(device)
        zero = torch.zeros(len(points), dtype=torch.int64, device=device)
        return model.occupancy(field, points, zero)[0].cpu().numpy()

    if isinstance(field, SparseField):
        coarse = field.levels[-1]
        seeds, stride, cell = unpack_keys(coarse.keys)[:, 1:].cpu().numpy() // coarse.stride, coarse.stride, 1.0
    else:
        reach = int(np.ceil((1 + UNIT_PADDING) / 2 / (_UNIT_CELL * _UNIT_STRIDE)))
        span = np.arange(-reach, reach)
        seeds = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
        stride, cell = _UNIT_STRIDE, _UNIT_CELL
    return extract_mesh(evaluate, seeds, stride, batch.points.cpu().numpy(), ExtractionSettings(cell=cell))
