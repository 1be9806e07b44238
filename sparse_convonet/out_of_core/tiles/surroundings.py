"""What the network's context says of a whole scan on disk, made once before the tiles: a few cells for many points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.out_of_core.tiles.cell_files import CellFeatures, has_cells, load_all_cells, save_cells
from sparse_convonet.out_of_core.tiles.work import Work, shared_work


@dataclass(frozen=True)
class ContextJob:
    """To make the context of the scan in a work folder."""

    folder: str


@torch.no_grad()
def make_context(job: ContextJob) -> int:
    """Write it, if the network has one and it is not done; the number of its cells."""
    work = shared_work(job.folder)
    network = work.network.context
    if network is None:
        return 0
    place = work.context_place
    if not has_cells(place):
        made = network(_subcells(work, network.subcell))
        save_cells(place, 1, CellFeatures(made.keys.cpu().numpy(), made.features.cpu().numpy()))
    return len(load_all_cells(place).keys)


def _subcells(work: Work, edge: int) -> torch.Tensor:
    """(N, 4) int64: one voxel in each cube of `edge` voxels that holds points: all that the context asks of a scan."""
    frame, found = work.plan.frame, torch.zeros(0, dtype=torch.int64)
    for points_world in work.points.points_of_cells(np.arange(len(work.points.cells.counts))):
        index = np.floor(frame.snap_to_voxels(points_world)).astype(np.int64) // edge
        batched = np.concatenate([np.zeros((len(index), 1), dtype=np.int64), index], axis=1)
        found = torch.unique(torch.cat([found, pack_keys(torch.from_numpy(batched))]))
    cubes = unpack_keys(found)
    return torch.cat([cubes[:, :1], cubes[:, 1:] * edge], dim=1).to(work.plan.device)
