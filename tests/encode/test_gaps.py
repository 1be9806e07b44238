"""How far the next run of cells is along each axis: against one cell at a time."""

from __future__ import annotations

import pytest
import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.encode.context import ContextNetwork
from sparse_convonet.encode.gaps import gap_features, gaps
from sparse_convonet.engine import native


def slow_gaps(cells: list[tuple[int, ...]]) -> list[list[int]]:
    known, rows = set(cells), []
    for cell in cells:
        row = []
        for axis in (1, 2, 3):
            for sign in (-1, 1):
                step, free, found = 1, False, 0
                while step < 60 and not found:
                    there = (*cell[:axis], cell[axis] + sign * step, *cell[axis + 1 :]) in known
                    found = step if there and free else 0
                    free |= not there
                    step += 1
                row.append(found)
        rows.append(row)
    return rows


@pytest.mark.parametrize(("count", "edge"), [(1, 2), (40, 3), (300, 9), (500, 25)])
def test_gaps_are_those_of_walking_from_cell_to_cell(count: int, edge: int) -> None:
    generator = torch.Generator().manual_seed(count)
    scene = torch.randint(0, 2, (count, 1), generator=generator)
    keys = torch.unique(pack_keys(torch.cat([scene, torch.randint(-edge, edge, (count, 3), generator=generator)], 1)))
    expected = slow_gaps([tuple(cell) for cell in unpack_keys(keys).tolist()])
    assert gaps(keys).tolist() == expected


def test_floor_and_ceiling_of_a_hall_look_at_each_other() -> None:
    across = torch.cartesian_prod(torch.zeros(1, dtype=torch.int64), torch.arange(9), torch.arange(9))
    floor, ceiling = (torch.cat([across, torch.full((81, 1), z)], dim=1) for z in (-3, 20))
    keys = torch.sort(pack_keys(torch.cat([floor, ceiling]))).values
    found, low = gaps(keys), unpack_keys(keys)[:, 3] == -3
    assert found[low].tolist() == [[0, 0, 0, 0, 0, 23]] * 81
    assert found[~low].tolist() == [[0, 0, 0, 0, 23, 0]] * 81
    assert gap_features(keys)[low][0].tolist() == pytest.approx([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1 / 23])


def test_no_cells_have_no_gaps() -> None:
    assert gap_features(torch.zeros(0, dtype=torch.int64)).shape == (0, 12)


@torch.no_grad()
def test_a_network_begins_as_without_them_and_can_learn_from_them() -> None:
    voxels = torch.randint(-60, 60, (300, 4), generator=torch.Generator().manual_seed(0))
    voxels[:, 0] = 0
    torch.manual_seed(0)
    without = ContextNetwork(engine=native, widths=(6, 4), stride=8).eval()
    told = ContextNetwork(engine=native, widths=(6, 4), stride=8, gaps=True).eval()
    told.load_state_dict({**told.state_dict(), **without.state_dict()})
    assert torch.equal(told(voxels).features, without(voxels).features)
    assert told.gap_lift is not None
    torch.nn.init.normal_(told.gap_lift.weight)
    assert not torch.allclose(told(voxels).features, without(voxels).features, atol=1e-3)
