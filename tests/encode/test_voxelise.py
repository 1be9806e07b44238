"""Voxelisation: grouping, the cap, order independence."""

from __future__ import annotations

import contextlib

import pytest
import torch

from sparse_convonet.coordinates import AXIS_LIMIT, pack_keys, unpack_keys
from sparse_convonet.encode.scatter import segment_max, segment_mean
from sparse_convonet.encode.voxelise import THINNED_BY, voxelise
from sparse_convonet.engine.compiled_loops import without_compiled_loops
from tests.small_network import network


def random_points(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator) * 3
    return points, torch.randint(0, 3, (count,), generator=generator)


def test_every_point_lies_in_its_voxel_and_every_voxel_is_counted_once() -> None:
    points, batch = random_points(2000)
    voxels = voxelise(points, batch, points_per_voxel=2000)
    centres = voxels.coordinates[voxels.owner, 1:] + 0.5
    rebuilt = torch.cat([voxels.coordinates[voxels.owner, :1].float(), centres + voxels.offsets], dim=1)
    original = torch.cat([batch[:, None].float(), points], dim=1)
    assert torch.equal(voxels.offsets.abs() <= 0.5, torch.ones_like(voxels.offsets, dtype=torch.bool))
    torch.testing.assert_close(rebuilt[rebuilt[:, 1].argsort()], original[original[:, 1].argsort()], atol=1e-5, rtol=0)
    expected = {tuple(row) for row in torch.cat([batch[:, None], points.floor().long()], 1).tolist()}
    assert {tuple(row) for row in voxels.coordinates.tolist()} == expected
    assert len(voxels.coordinates) == len(expected)


def test_cap_keeps_the_same_points_whatever_their_order() -> None:
    points, batch = random_points(3000)
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(1))
    first = voxelise(points, batch, points_per_voxel=3)
    second = voxelise(points[order], batch[order], points_per_voxel=3)
    assert int(first.counts.max()) == 3
    assert torch.equal(first.coordinates, second.coordinates)
    assert torch.equal(first.offsets, second.offsets)


def test_segment_reductions_equal_a_loop_over_voxels() -> None:
    points, batch = random_points(500)
    voxels = voxelise(points, batch, points_per_voxel=8)
    feature = torch.randn(len(voxels.owner), 4)
    for voxel in range(len(voxels.counts)):
        mine = feature[voxels.owner == voxel]
        torch.testing.assert_close(segment_max(feature, voxels)[voxel], mine.max(0).values)
        torch.testing.assert_close(segment_mean(feature, voxels)[voxel], mine.mean(0))


def test_keys_round_trip_and_sort_by_batch_then_x_y_z() -> None:
    points, batch = random_points(1000)
    coordinates = torch.cat([batch[:, None], (points * 1000).long()], 1)
    assert torch.equal(unpack_keys(pack_keys(coordinates)), coordinates)
    rows = sorted(map(tuple, coordinates.tolist()))
    assert [tuple(row) for row in unpack_keys(pack_keys(coordinates).sort().values).tolist()] == rows


@pytest.mark.parametrize("row", [[0, AXIS_LIMIT, 0, 0], [0, 0, -AXIS_LIMIT - 1, 0], [64, 0, 0, 0], [-1, 0, 0, 0]])
def test_coordinates_beyond_the_keys_are_an_error_not_a_wrap_around(row: list[int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        pack_keys(torch.tensor([row]))


def test_no_points_give_no_voxels() -> None:
    voxels = voxelise(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 8)
    assert len(voxels.coordinates) == 0 and len(voxels.offsets) == 0


@pytest.mark.parametrize(("cap", "count"), [(1, 500), (3, 3000), (8, 40_000), (8, 0), (10_000, 3000)])
def test_one_compiled_pass_keeps_what_sorting_keeps(cap: int, count: int) -> None:
    points, batch = random_points(count)
    compiled = voxelise(points, batch, points_per_voxel=cap)
    with without_compiled_loops():
        by_sorting = voxelise(points, batch, points_per_voxel=cap)
    for name in ("coordinates", "offsets", "counts", "owner"):
        assert torch.equal(getattr(compiled, name), getattr(by_sorting, name)), name


def noisy_wall(per_voxel: float, generator: torch.Generator) -> torch.Tensor:
    """Points of a wall of 64 x 64 voxels, some 12 voxels from the origin, with noise of half a voxel."""
    points = torch.rand(int(64 * 64 * per_voxel), 3, generator=generator, dtype=torch.float64) * 64
    points[:, 0] = 12.5 + 0.5 * torch.randn(len(points), generator=generator, dtype=torch.float64)
    return points


def test_compiled_loops_thin_as_searches_do() -> None:
    generator = torch.Generator().manual_seed(1)
    walls = noisy_wall(30, generator), noisy_wall(10, generator)[:, [2, 0, 1]]
    points = torch.cat([*walls, walls[0] - 70])
    batch = torch.cat([torch.zeros(len(points) // 2), torch.ones(len(points) - len(points) // 2)]).long()
    compiled = voxelise(points, batch, 8, 3.0)
    with without_compiled_loops():
        by_searching = voxelise(points, batch, 8, 3.0)
    for name in ("coordinates", "offsets", "counts", "owner"):
        assert torch.equal(getattr(compiled, name), getattr(by_searching, name)), name


@pytest.mark.parametrize("compiled", [True, False])
def test_where_there_are_many_the_mean_is_kept_and_the_tails_of_the_noise_go(compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    dense, thin = noisy_wall(40, generator), noisy_wall(2, generator) + torch.tensor([64.0, 0, 0])
    points = torch.cat([dense, thin])
    points = points[torch.randperm(len(points), generator=generator)]
    batch = torch.zeros(len(points), dtype=torch.int64)
    with contextlib.nullcontext() if compiled else without_compiled_loops():
        every, some = (voxelise(points, batch, 1000, mean) for mean in (None, 3.0))
    of_dense, of_thin = (some.coordinates[:, 1] < 40), (some.coordinates[:, 1] >= 40)
    occupied = int((every.coordinates[:, 1] < 40).sum())
    # Voxels of the surface have thinner ones around, of which a mean is taken too: a tenth less than three each.
    assert int(some.counts[of_dense].sum()) == pytest.approx(2.7 * occupied, rel=0.05) and 6 * occupied < len(dense)
    assert some.counts[of_thin].sum() == len(thin)  # of blocks of their own, which hold few
    tails = (every.coordinates[:, 1] == 10) | (every.coordinates[:, 1] == 14)  # beyond 1.5 voxels
    tails_left = (some.coordinates[:, 1] == 10) | (some.coordinates[:, 1] == 14)
    assert tails_left.sum() < 0.6 * tails.sum()
    wall = (some.coordinates[:, 1] == 12).sum()
    assert wall > 0.99 * 64 * 64
    given = points[some.rows]
    torch.testing.assert_close(some.offsets.double(), given - given.floor() - 0.5, atol=1e-6, rtol=0)
    assert torch.equal(some.coordinates[some.owner, 1:].long(), given.floor().long())


def test_what_a_voxel_keeps_depends_on_its_neighbours_alone_and_not_on_the_order_of_points() -> None:
    generator = torch.Generator().manual_seed(0)
    points = noisy_wall(30, generator)
    batch = torch.zeros(len(points), dtype=torch.int64)
    whole = voxelise(points, batch, 8, 3.0)
    order = torch.randperm(len(points), generator=generator)
    assert torch.equal(voxelise(points[order], batch, 8, 3.0).offsets, whole.offsets)
    low, high = torch.tensor([0, 17, 0]), torch.tensor([64, 39, 64])
    around = (points[:, 1] >= 17 - THINNED_BY) & (points[:, 1] < 39 + THINNED_BY)
    part, own = voxelise(points[around], batch[around], 8, 3.0).within(low, high), whole.within(low, high)
    assert torch.equal(part.coordinates, own.coordinates) and torch.equal(part.counts, own.counts)
    assert torch.equal(part.offsets, own.offsets) and torch.equal(part.owner, own.owner)


def test_a_thin_wall_beside_a_dense_one_keeps_its_points() -> None:
    """Three voxels apart; one share for both would leave a tenth of the thin one's voxels."""
    generator = torch.Generator().manual_seed(0)
    dense, thin = (torch.rand(64 * 64 * each, 3, generator=generator, dtype=torch.float64) * 64 for each in (40, 1))
    dense[:, 0], thin[:, 0] = 12.5, 15.5
    points = torch.cat([dense, thin])
    shown = voxelise(points, torch.zeros(len(points), dtype=torch.int64), 1000, 3.0)
    assert int(shown.counts[shown.coordinates[:, 1] == 15].sum()) == len(thin)
    assert int(shown.counts[shown.coordinates[:, 1] == 12].sum()) == pytest.approx(3.0 * 64 * 64, rel=0.02)


def test_points_at_one_place_stay() -> None:
    points = torch.full((100, 3), 0.25, dtype=torch.float64)
    assert len(voxelise(points, torch.zeros(100, dtype=torch.int64), 8, 3.0).coordinates) == 1


def test_a_network_is_shown_the_same_in_training_and_in_use() -> None:
    generator = torch.Generator().manual_seed(0)
    points = noisy_wall(30, generator)
    shown = network().eval()
    batch = torch.zeros(len(points), dtype=torch.int64)
    in_use, all_of_them = shown.voxelise(points, batch), voxelise(points, batch, shown.points_per_voxel)
    assert torch.equal(shown.train().voxelise(points, batch).rows, in_use.rows)
    assert len(in_use.coordinates) < len(all_of_them.coordinates)
