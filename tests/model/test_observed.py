"""What a sparse network knows besides the points it encodes: hints of each of them, and what lies around them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparse_convonet.config.models import SparseModelConfig
from sparse_convonet.data.batching import PackedBatch
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model import build_sparse
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.structures import PointSet
from sparse_convonet.training.loop import training_step

PLAIN = SparseModelConfig(
    engine="native", pointnet_width=8, pointnet_blocks=2, widths=(8, 8, 16), feature_width=8, decoder_width=8
)
SEEING = replace(PLAIN, context_widths=(8, 12), point_hints=True)
COARSEST = 4 * 2  # voxels: of the context


def trained(config: SparseModelConfig = SEEING) -> SparseOccupancyNetwork:
    """In eval mode, with weights of which all count."""
    torch.manual_seed(0)
    model = build_sparse(config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "outer" in name or "hint_lift" in name or "take_context" in name:
                value.normal_(0, 0.3)
        model.encode_observed(sphere(0, hints=True))  # batch norm takes in some statistics
    return model.eval()


def sphere(seed: int, count: int = 600, hints: bool = False) -> PointSet:
    """Points of one scene on a sphere of radius 6 voxels, and hints as scanners within it would give them."""
    generator = torch.Generator().manual_seed(seed)
    outwards = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    known = torch.cat([-outwards, -outwards], dim=1) if hints else None
    return PointSet(outwards * 6 + 0.25, torch.zeros(count, dtype=torch.int64), known)


def far_away(distance: float = 16.0) -> PointSet:
    """A few points in the x direction, which have no cell in common with the sphere."""
    some = sphere(9, 50)
    return PointSet(some.points * 0.3 + torch.tensor([distance, 0.0, 0.0]), some.batch)


def differ(first: SparseField, second: SparseField) -> bool:
    return any(
        not torch.equal(ours.keys, theirs.keys) or not torch.allclose(ours.features, theirs.features, atol=1e-4)
        for ours, theirs in zip(first.levels, second.levels, strict=True)
    )


def assert_same(first: SparseField, second: SparseField, tolerance: float = 1e-5) -> None:
    for ours, theirs in zip(first.levels, second.levels, strict=True):
        assert torch.equal(ours.keys, theirs.keys)
        torch.testing.assert_close(ours.features, theirs.features, atol=tolerance, rtol=tolerance)


@torch.no_grad()
def test_a_grown_network_begins_exactly_as_the_one_without() -> None:
    plain = trained(PLAIN)
    grown = build_sparse(SEEING).eval()
    left = grown.load_state_dict(plain.state_dict(), strict=False)
    assert not left.unexpected_keys
    assert {name.split(".")[0] for name in left.missing_keys} == {"pointnet", "context", "take_context"}
    near = sphere(1, hints=True)
    for found in (grown.encode_observed(near), grown.encode_observed(near, far_away())):
        assert_same(found, plain.encode_observed(near), tolerance=0)


@torch.no_grad()
def test_hints_and_what_lies_around_change_the_field() -> None:
    model, near = trained(), sphere(1, hints=True)
    everything, without_hints = model.encode_observed(near, far_away()), replace(near, hints=None)
    assert differ(everything, model.encode_observed(near))
    assert differ(everything, model.encode_observed(without_hints, far_away()))


@torch.no_grad()
def test_points_around_have_no_cells_of_their_own_in_the_field() -> None:
    model, near = trained(), sphere(1)
    for ours, theirs in zip(
        model.encode_observed(near, far_away()).levels, model.encode_observed(near).levels, strict=True
    ):
        assert torch.equal(ours.keys, theirs.keys)


@torch.no_grad()
def test_what_lies_around_is_hints_or_not_whichever_part_has_them() -> None:
    """Zeros stand for the part that has none."""
    model, near, far = trained(), sphere(1, hints=True), far_away()
    zeros = replace(far, hints=torch.zeros(len(far.points), 6))
    assert_same(model.encode_observed(near, far), model.encode_observed(near, zeros), tolerance=0)
    blind = replace(near, hints=None)
    told = replace(far, hints=torch.nn.functional.normalize(torch.ones(len(far.points), 6), dim=1))
    assert_same(
        model.encode_observed(blind, told),
        model.encode_observed(replace(near, hints=torch.zeros(len(near.points), 6)), told),
        tolerance=0,
    )
    assert differ(model.encode_observed(blind, told), model.encode_observed(blind, far))


@torch.no_grad()
def test_a_network_without_them_leaves_hints_and_surroundings_out() -> None:
    plain, near = trained(PLAIN), sphere(1, hints=True)
    assert_same(plain.encode_observed(near, far_away()), plain.encode_observed(replace(near, hints=None)), tolerance=0)


@torch.no_grad()
@pytest.mark.parametrize("shift", [(1, 0, 0), (-3, 7, 2)])
def test_shift_by_whole_coarsest_cells_of_the_context_commutes(shift: tuple[int, int, int]) -> None:
    model, near, far = trained(), sphere(1, hints=True), far_away()
    moved = torch.tensor(shift) * COARSEST
    before = model.encode_observed(near, far)
    after = model.encode_observed(
        replace(near, points=near.points.double() + moved), replace(far, points=far.points.double() + moved)
    )
    again = model.encode_observed(replace(near, points=near.points.double()), replace(far, points=far.points.double()))
    for ours, theirs, same in zip(after.levels, again.levels, before.levels, strict=True):
        torch.testing.assert_close(ours.features, theirs.features, atol=2e-5, rtol=1e-4)
        assert len(ours.keys) == len(theirs.keys) == len(same.keys)


@torch.no_grad()
def test_two_scenes_with_surroundings_are_each_what_they_are_alone() -> None:
    model = trained()
    nears = sphere(1, hints=True), sphere(2, 300, hints=True)
    fars = far_away(), far_away(-18.0)
    alone = [model.encode_observed(near, far) for near, far in zip(nears, fars, strict=True)]
    joined = [
        PointSet(
            torch.cat([first.points, second.points]),
            torch.cat([first.batch, second.batch + 1]),
            None if first.hints is None or second.hints is None else torch.cat([first.hints, second.hints]),
        )
        for first, second in (nears, fars)
    ]
    both = model.encode_observed(*joined)
    for level, first, second in zip(both.levels, alone[0].levels, alone[1].levels, strict=True):
        expected = torch.cat([first.features, second.features])
        torch.testing.assert_close(level.features, expected, atol=2e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("config", [PLAIN, SEEING])
def test_no_points_give_a_field_without_cells(config: SparseModelConfig) -> None:
    nothing = PointSet(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert [len(level.keys) for level in trained(config).encode_observed(nothing).levels] == [0, 0, 0]


def test_a_training_step_teaches_hints_and_context() -> None:
    torch.manual_seed(0)
    model = build_sparse(SEEING)
    near = sphere(1, hints=True)
    queries = torch.rand(300, 3, generator=torch.Generator().manual_seed(2)) * 12 - 6
    batch = PackedBatch(
        points=near.points, point_batch=near.batch, queries=queries, query_batch=torch.zeros(300, dtype=torch.int64),
        occupied=(queries[:, 0] > 0).float(), hints=near.hints, around=far_away(),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> dict[str, torch.Tensor]:
        training_step(model, optimizer, batch, None, 1, torch.device("cpu"))
        return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}

    first = step()
    at_once = ("pointnet.hint_lift.weight", "take_context.weight", "take_context.bias")
    assert all(first[name].abs().max() > 0 for name in at_once)
    assert all(value.abs().max() == 0 for name, value in first.items() if name.startswith("context."))
    second = step()  # what was zero is not any more, so what stands behind it learns
    names = {name for name, _ in model.named_parameters() if name.startswith("context.")}
    assert names and all(second[name].abs().max() > 0 for name in names), names - second.keys()


def test_a_context_of_other_cells_than_the_coarsest_is_refused() -> None:
    coarse, fine = (build_sparse(replace(SEEING, widths=widths)) for widths in ((8, 8, 16), (8, 8, 8, 16)))
    with pytest.raises(ValueError, match="context: expected cells of 4 voxels, found 8"):
        SparseOccupancyNetwork(
            pointnet=coarse.pointnet, unet=coarse.unet, decoder=coarse.decoder, feature_width=8, points_per_voxel=8,
            context=fine.context,
        )  # fmt: skip
