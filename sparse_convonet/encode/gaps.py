"""How far it is from coarse cells to the next ones, over free space: tells floors from ceilings however high a hall is.

Convolutions would need as many levels as a hall is high, and what they pass on over so many cells is learned slowly. Along
an axis the cells with points stand in runs, of neighbours without a gap; what counts is where the next run begins.
"""

from __future__ import annotations

import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys

GAP_FEATURES = 12


def gaps(keys: torch.Tensor) -> torch.Tensor:
    """Keys of cells (V,) int64 -> (V, 6) int64: cells to the next run towards -x, +x, -y, +y, -z, +z; 0: there is none."""
    cells = unpack_keys(keys)
    return torch.cat([_along(cells, axis) for axis in (1, 2, 3)], dim=1)


def gap_features(keys: torch.Tensor) -> torch.Tensor:
    """The same as (V, 12) float32: whether there is a next run, and one over how far it is."""
    found = gaps(keys)
    there = found > 0
    return torch.cat([there, there / found.clamp(min=1)], dim=1).float()


def _along(cells: torch.Tensor, axis: int) -> torch.Tensor:
    """(V, 4) cells [batch, x, y, z] -> (V, 2): to the next run before and behind along a column of `cells`."""
    others = [column for column in (1, 2, 3) if column != axis]
    order = torch.argsort(pack_keys(cells[:, [0, *others, axis]]))
    place, line = cells[order, axis], cells[order][:, [0, *others]]
    same_line = (line[1:] == line[:-1]).all(dim=1)
    begins = torch.ones(len(cells), dtype=torch.bool, device=cells.device)
    begins[1:] = ~same_line | (place[1:] > place[:-1] + 1)
    firsts = torch.nonzero(begins)[:, 0]  # of the runs
    run = torch.cumsum(begins, dim=0) - 1
    free = torch.zeros(len(firsts) + 1, dtype=torch.bool, device=cells.device)  # before each run, another of its line
    free[1:-1] = same_line[firsts[1:] - 1]
    before = torch.where(free[run], place - place[(firsts[run] - 1).clamp(min=0)], 0)
    nexts = torch.cat([firsts, firsts[-1:]])[run + 1]
    behind = torch.where(free[run + 1], place[nexts] - place, 0)
    found = torch.empty(len(cells), 2, dtype=torch.int64, device=cells.device)
    found[order] = torch.stack([before, behind], dim=1)
    return found
