"""The coarse network that sees far: what it is told of a scan, and the symmetries of what it says."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from sparse_convonet.coordinates import pack_keys, unpack_keys
from sparse_convonet.encode.context import Context, ContextNetwork
from sparse_convonet.engine import native
from tests.oracles.coarse_cells import describe

STRIDE = 8
WIDTHS = (6, 5, 4)
COARSEST = STRIDE * 2 ** (len(WIDTHS) - 1)  # voxels


@pytest.fixture(scope="module")
def network() -> ContextNetwork:
    return make_network(hints=6)


def make_network(hints: int = 0) -> ContextNetwork:
    torch.manual_seed(0)
    made = ContextNetwork(engine=native, widths=WIDTHS, stride=STRIDE, hints=hints)
    with torch.no_grad():
        made(some_voxels(3))  # batch norm takes in some statistics
    return made.eval()


def some_voxels(seed: int, count: int = 300, scenes: int = 1, reach: int = 60) -> torch.Tensor:
    """(count, 4) int64 voxels around the origin, some of them twice."""
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randint(0, scenes, (count - 20, 1), generator=generator)
    voxels = torch.cat([scene, torch.randint(-reach, reach, (count - 20, 3), generator=generator)], dim=1)
    return torch.cat([voxels, voxels[:20]])


def some_hints(count: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Told:
    """What the network was told: cells (V, 4) and what each is described by (V, 64 + hints)."""

    cells: torch.Tensor
    described: torch.Tensor


def listen(network: ContextNetwork, voxels: torch.Tensor, hints: torch.Tensor | None = None) -> Told:
    heard: list[torch.Tensor] = []
    hooks = [
        network.lift.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0])),
        network.unet.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[1])),
    ]
    with torch.no_grad():
        network(voxels, hints)
    for hook in hooks:
        hook.remove()
    return Told(heard[1], heard[0])


def test_what_is_seen_of_parts_together_is_what_is_seen_of_all(network: ContextNetwork) -> None:
    voxels, hints = some_voxels(7, count=500, scenes=2), some_hints(500)
    order = torch.randperm(500, generator=torch.Generator().manual_seed(3))
    whole, parts = network.look(voxels, hints), order.split([1, 199, 300])
    first, *others = (network.look(voxels[part], hints[part]) for part in parts)
    merged = first
    for other in others:
        merged = merged.merged(other)
    for name in ("keys", "occupied", "points", "hint_steps"):
        assert torch.equal(getattr(merged, name), getattr(whole, name))
    assert torch.equal(network.understand(merged).features, network(voxels, hints).features)


@pytest.mark.parametrize("with_hints", [True, False])
@pytest.mark.parametrize("stride", [4, 8, 16])
def test_cells_are_described_as_the_oracle_describes_them(stride: int, with_hints: bool) -> None:
    network = ContextNetwork(engine=native, widths=(4,), stride=stride, hints=6)
    voxels = some_voxels(5, scenes=3, reach=25)
    hints = some_hints(len(voxels)) if with_hints else None
    told = listen(network, voxels, hints)
    expected = describe(voxels.tolist(), stride, 4, None if hints is None else hints.tolist())
    assert sorted(map(tuple, told.cells.tolist())) == sorted(expected)
    for cell, row in zip(told.cells.tolist(), told.described, strict=True):
        occupied, hint = expected[tuple(cell)]
        assert row[:64].tolist() == occupied.ravel().tolist()
        mean = torch.from_numpy(hint).float() if with_hints else torch.zeros(6)
        torch.testing.assert_close(row[64:], mean, atol=1e-6, rtol=1e-6)


def test_a_context_that_takes_no_hints_leaves_them_out() -> None:
    voxels = some_voxels(5)
    assert listen(make_network(), voxels, some_hints(len(voxels))).described.shape[1] == 64


@torch.no_grad()
@pytest.mark.parametrize("shift", [(1, 0, 0), (-3, 5, 2), (1000, -700, 40)])
def test_shift_by_whole_coarsest_cells_commutes(network: ContextNetwork, shift: tuple[int, int, int]) -> None:
    voxels = some_voxels(2)
    hints = some_hints(len(voxels))
    moved = torch.tensor([0, *shift]) * COARSEST
    before, after = network(voxels, hints), network(voxels + moved, hints)
    assert torch.equal(
        unpack_keys(after.keys), unpack_keys(before.keys) + torch.div(moved, STRIDE, rounding_mode="floor")
    )
    torch.testing.assert_close(after.features, before.features, atol=1e-5, rtol=1e-5)
    assert before.features.std() > 1e-3


@torch.no_grad()
def test_a_shift_by_less_than_the_coarsest_cell_changes_what_is_said(network: ContextNetwork) -> None:
    voxels = some_voxels(2)
    before, after = network(voxels), network(voxels + torch.tensor([0, STRIDE, 0, 0]))
    assert len(before.keys) != len(after.keys) or not torch.allclose(before.features, after.features, atol=1e-5)


@torch.no_grad()
def test_two_scenes_are_each_what_they_are_alone(network: ContextNetwork) -> None:
    first, second = some_voxels(2), some_voxels(3, count=120)
    both = network(torch.cat([second + torch.tensor([1, 0, 0, 0]), first]))
    scenes = unpack_keys(both.keys)[:, 0]
    for number, alone in enumerate([network(first), network(second)]):
        keys = unpack_keys(both.keys[scenes == number])
        keys[:, 0] = 0
        assert torch.equal(pack_keys(keys), alone.keys)
        torch.testing.assert_close(both.features[scenes == number], alone.features, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_more_points_in_the_same_sub_cells_change_nothing(network: ContextNetwork) -> None:
    """So the density of a scan makes no difference, as long as no sub-cell stays empty."""
    corners = some_voxels(2) // network.subcell * network.subcell
    generator = torch.Generator().manual_seed(0)
    crowd = corners.repeat_interleave(torch.randint(1, 9, (len(corners),), generator=generator), dim=0)
    crowd[:, 1:] += torch.randint(0, network.subcell, (len(crowd), 3), generator=generator)
    few, many = network(corners), network(crowd[torch.randperm(len(crowd), generator=generator)])
    assert torch.equal(few.keys, many.keys) and torch.equal(few.features, many.features)


@torch.no_grad()
def test_the_hints_of_a_cell_change_what_is_said_there(network: ContextNetwork) -> None:
    voxels = some_voxels(2)
    without, zeros = network(voxels), network(voxels, torch.zeros(len(voxels), 6))
    told = network(voxels, some_hints(len(voxels)))
    assert torch.equal(without.features, zeros.features)
    assert not torch.allclose(told.features, without.features, atol=1e-4)


def test_cells_that_are_not_known_have_zeros_and_known_ones_their_own() -> None:
    known = torch.tensor([[0, -1, 0, 0], [0, 3, 2, 1], [1, 3, 2, 1], [1, 7, 7, 7]])
    context = Context(pack_keys(known), torch.arange(1.0, 9.0).reshape(4, 2))
    asked = torch.tensor([[1, 7, 7, 7], [0, 3, 2, 2], [0, -1, 0, 0], [2, 9, 9, 9], [0, -9, 0, 0], [1, 3, 2, 1]])
    assert context.at(asked).tolist() == [[7, 8], [0, 0], [1, 2], [0, 0], [0, 0], [5, 6]]
    assert context.at(asked[:0]).shape == (0, 2)


def test_a_context_of_nothing_is_zero_everywhere() -> None:
    nothing = Context(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 5))
    assert torch.equal(nothing.at(torch.tensor([[0, 1, 2, 3]])), torch.zeros(1, 5))


@torch.no_grad()
def test_no_voxels_give_a_context_of_nothing(network: ContextNetwork) -> None:
    made = network(torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 6))
    assert made.keys.shape == (0,) and made.features.shape == (0, WIDTHS[0])


@torch.no_grad()
def test_there_are_cells_around_those_with_points_too(network: ContextNetwork) -> None:
    made = network(torch.tensor([[0, -3, 9, 20]]))
    cells = {tuple(cell) for cell in unpack_keys(made.keys)[:, 1:].tolist()}
    assert {(x, y, z) for x in (-2, -1, 0) for y in (0, 1, 2) for z in (1, 2, 3)} <= cells


def test_cells_that_do_not_divide_into_sub_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="context: expected cells of a multiple of 4 voxels, found 6"):
        ContextNetwork(engine=native, widths=(4,), stride=6)
