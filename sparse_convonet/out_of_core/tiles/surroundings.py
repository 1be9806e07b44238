"""What the network's context says of a whole scan on disk, made once before the tiles: a few cells for many points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sparse_convonet.encode.context import ContextNetwork, SeenCells
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
        made = network.understand(_seen(work, network))
        save_cells(place, 1, CellFeatures(made.keys.cpu().numpy(), made.features.cpu().numpy()))
    return len(load_all_cells(place).keys)


def _seen(work: Work, network: ContextNetwork) -> SeenCells:
    """What there is to see of the whole scan, of which some points at a time are in memory."""
    seen: SeenCells | None = None
    for found in work.points.batches(np.arange(len(work.points.cells.counts))):
        observed = work.observed(found, work.plan.frame.snap_to_voxels(found.points_world))
        index = torch.floor(observed.points).to(torch.int64)
        more = network.look(torch.cat([observed.batch[:, None], index], dim=1), observed.hints)
        seen = more if seen is None else seen.merged(more)
    assert seen is not None  # no store is empty
    return seen
