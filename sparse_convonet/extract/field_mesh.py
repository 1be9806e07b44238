"""The mesh of one encoded scene, whatever its network: sparse fields from their cells, dense ones from all they cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sparse_convonet.coordinates import UNIT_PADDING, one_scene
from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh, threshold_logit
from sparse_convonet.extract.seeds import box_seed_cells, cube_seed_cells, finest_cells_per_seed, seed_cells
from sparse_convonet.fields.dense_voxels import DenseVoxelField
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.model import OccupancyNetwork
from sparse_convonet.model.sparse import OUTSIDE_LOGIT
from sparse_convonet.structures import Mesh

_CUBE_BORDER = (1 + UNIT_PADDING) / 2 + 1e-6  # of the padded cube, with room for rounding
_DENSE_STRIDE = 4  # finest cells along a seed: the papers begin at a quarter of the finest resolution


@torch.no_grad()
def field_mesh(network: OccupancyNetwork, field: Any, points: np.ndarray, cell: float, threshold: float) -> Mesh:
    """The surface where the occupancy crosses `threshold` (a probability), in the network's coordinates.

    field: of one scene.  points: (N, 3) those that were encoded; cells with points are always refined.  cell: edge of
    the finest cells.
    """
    device = next(network.parameters()).device

    def evaluate(queries: np.ndarray) -> np.ndarray:
        parts = []
        for chunk in query_chunks(len(queries)):
            part = torch.from_numpy(queries[chunk]).to(device)
            logits = network.occupancy(field, part, one_scene(part))[0].float()
            if network.coordinates == "unit":
                # Nothing is known beyond the padded cube; the published code closes surfaces there as well.
                beyond = (part.abs() > _CUBE_BORDER).any(dim=1)
                logits = torch.where(beyond, torch.full_like(logits, OUTSIDE_LOGIT), logits)
            parts.append(logits.cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    if isinstance(field, SparseField):
        stride = finest_cells_per_seed(cell)
        seeds = seed_cells(field, cell, stride)
    elif isinstance(field, DenseVoxelField):
        stride, box = _DENSE_STRIDE, field.boxes[0]
        low = box.low.cpu().numpy()
        seeds = box_seed_cells(low, low + np.array(box.features.shape[1:]), cell, stride)
    else:
        stride = _DENSE_STRIDE
        seeds = cube_seed_cells(cell, stride)
    settings = ExtractionSettings(cell=cell, threshold=threshold_logit(threshold))
    return extract_mesh(evaluate, seeds, stride, points, settings)
