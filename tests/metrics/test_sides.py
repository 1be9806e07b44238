"""On which side of a surface the room lies: rooms whose floor was moved, opened or hidden, where the shares are known."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.metrics.seen_surface import seen_surface_scores, station_rays
from sparse_convonet.metrics.sides import ScanRays, scan_side_shares, side_shares, visible_ranges
from sparse_convonet.structures import Mesh
from tests.metrics.boxes import box, joined, without

VOXEL_M = 0.1
TRUTH = box([-2, -2, 0], [2, 2, 2.5])
ORIGINS, DIRECTIONS = station_rays(np.array([[0.0, 0, 1.25]]), 6000, np.random.default_rng(0))
RANGES = visible_ranges(TRUTH, ORIGINS, DIRECTIONS)[1]
HITS = ORIGINS + RANGES[:, None] * DIRECTIONS
ON_FLOOR, ON_CEILING = HITS[:, 2] < 1e-4, HITS[:, 2] > 2.5 - 1e-4


def shares(predicted: Mesh, voxel_size_m: float = VOXEL_M):
    return side_shares(predicted, ORIGINS, DIRECTIONS, RANGES, voxel_size_m)


def test_the_truth_has_no_ray_on_the_wrong_side_none_in_a_hole_and_no_phantom() -> None:
    found = shares(TRUTH)
    assert (found.wrong_side, found.holes, found.phantoms, found.rays, found.worst) == (0, 0, 0, 6000, 0)


def test_a_slab_on_the_floor_is_on_the_wrong_side_where_rays_meet_it_too_early_though_the_points_are_covered() -> None:
    raised = 0.06  # the vertical height of the slab: more along a ray
    smaller = box([-2, -2, raised], [2, 2, 2.5])
    # How much earlier each ray meets the raised floor, the true walls and ceiling being where they were.
    to_floor = np.where(DIRECTIONS[:, 2] < 0, (1.25 - raised) / np.maximum(-DIRECTIONS[:, 2], 1e-12), np.inf)
    early = RANGES - np.minimum(RANGES, to_floor)
    expected = (early > 0.04).mean()
    assert ON_FLOOR.mean() <= expected < 0.5
    assert shares(smaller).wrong_side == pytest.approx(expected, abs=1e-3)
    assert shares(smaller).holes == shares(smaller).phantoms == 0
    assert shares(smaller, 0.2).wrong_side < expected  # the rule is in voxels: 8 cm now
    # The slab as the network makes it has a face at the points as well: distances do not see it.
    slab = joined(TRUTH, smaller)
    assert shares(slab).wrong_side == pytest.approx(expected, abs=1e-3)
    assert seen_surface_scores(slab, TRUTH, ORIGINS, DIRECTIONS).recall == 1.0


def test_a_floor_that_lies_too_deep_is_a_hole_only_beyond_ten_centimetres() -> None:
    down = np.tile([0.0, 0, -1.0], (10, 1))
    for depth, holes in ((0.09, 0.0), (0.11, 1.0)):
        deeper = box([-2, -2, -depth], [2, 2, 2.5])
        found = side_shares(deeper, ORIGINS[:10], down, np.full(10, 1.25), VOXEL_M)
        assert (found.wrong_side, found.holes) == (0.0, holes)


def test_rays_through_a_missing_ceiling_are_holes() -> None:
    found = shares(without(TRUTH, lambda centres: centres[:, 2] > 2.4))
    assert 0.1 < ON_CEILING.mean() < 0.5
    assert found.holes == pytest.approx(ON_CEILING.mean(), abs=1e-3) and found.wrong_side == 0


def test_a_plane_in_mid_air_is_a_phantom_for_the_rays_that_it_stops() -> None:
    plane = Mesh(
        np.array([[-0.5, -0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, 0.5], [-0.5, 0.5, 0.5]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
    )
    at_plane = ORIGINS + 0.75 / np.maximum(-DIRECTIONS[:, 2], 1e-12)[:, None] * DIRECTIONS
    stopped = (DIRECTIONS[:, 2] < 0) & (np.abs(at_plane[:, :2]) < 0.5).all(axis=1)
    found = shares(joined(TRUTH, plane))
    assert found.phantoms == found.wrong_side == pytest.approx(stopped.mean(), abs=1e-3) and found.phantoms > 0.05


def test_an_empty_mesh_is_all_hole() -> None:
    found = shares(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)))
    assert (found.wrong_side, found.holes, found.phantoms) == (0, 1, 0)


def test_rays_beyond_the_reach_of_the_scanner_are_not_seen() -> None:
    seen, ranges = visible_ranges(TRUTH, ORIGINS, DIRECTIONS, max_range_m=1.5)
    np.testing.assert_array_equal(seen, RANGES <= 1.5)
    np.testing.assert_array_equal(ranges, RANGES[RANGES <= 1.5])


@pytest.mark.parametrize(
    ("rays", "true_range", "voxel", "message"),
    [
        (0, 1.0, 0.1, "at least one ray, .* found 0 rays"),
        (2, np.inf, 0.1, "found 2 rays, 2 of them without; leave those out"),
        (2, 1.0, 0.0, "a positive voxel size in metres, found 0"),
        (2, 1.0, np.nan, "a positive voxel size in metres, found nan"),
    ],
)
def test_rays_without_a_truth_and_voxels_without_a_size_are_refused(
    rays: int, true_range: float, voxel: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        side_shares(TRUTH, ORIGINS[:rays], DIRECTIONS[:rays], np.full(rays, true_range), voxel)


def test_points_of_a_scan_lie_on_its_own_room_and_behind_a_slab() -> None:
    sensor = ORIGINS[0]
    found = scan_side_shares(TRUTH, HITS, sensor, VOXEL_M)
    assert (found.early, found.early_far, found.through, found.rays) == (0, 0, 0, 6000)
    assert scan_side_shares(TRUTH, HITS, ORIGINS, VOXEL_M) == found  # a position for each point
    raised = box([-2, -2, 0.06], [2, 2, 2.5])
    found = scan_side_shares(raised, HITS, sensor, VOXEL_M)
    assert found.early == pytest.approx(shares(raised).wrong_side, abs=1e-3) and found.through == 0
    assert found.early_far < found.early
    opened = scan_side_shares(without(TRUTH, lambda centres: centres[:, 2] > 2.4), HITS, sensor, VOXEL_M)
    assert opened.through == pytest.approx(ON_CEILING.mean(), abs=1e-3) and opened.early == 0


def test_what_carries_the_scanner_stops_no_ray_and_near_points_do_not_count() -> None:
    tripod = box([-0.2, -0.2, 0.9], [0.2, 0.2, 1.6])
    assert scan_side_shares(joined(TRUTH, tripod), HITS, ORIGINS[0], VOXEL_M).early == 0
    table = box([0.55, -0.2, 1.2], [0.6, 0.2, 1.3])  # beyond half a metre it counts
    assert scan_side_shares(joined(TRUTH, table), HITS, ORIGINS[0], VOXEL_M).early_far > 0
    near = ORIGINS[0] + np.array([[0.6, 0, 0], [0.69, 0, 0], [0.71, 0, 0]])
    assert scan_side_shares(TRUTH, near, ORIGINS[0], VOXEL_M).rays == 1
    with pytest.raises(ValueError, match=r"more than 0\.7 m from the scanner, found none of 2"):
        scan_side_shares(TRUTH, near[:2], ORIGINS[0], VOXEL_M)


def half(mesh: Mesh, axis: int, upper: bool) -> Mesh:
    """The faces on one side of the origin."""
    return without(mesh, lambda centres: (centres[:, axis] > 0) != upper)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_mesh_in_parts_is_met_as_the_whole_in_whatever_order(backwards: bool) -> None:
    """Rays cross several parts: the slab, the floor below it, the wall behind."""
    slab = box([-1, -1, 0.3], [1, 1, 0.4])
    whole = joined(TRUTH, slab)
    expected = scan_side_shares(whole, HITS, ORIGINS, VOXEL_M)
    assert expected.early_far > scan_side_shares(TRUTH, HITS, ORIGINS, VOXEL_M).early_far
    parts = [half(whole, axis, upper) for axis in range(3) for upper in (True, False)]  # some overlap
    rays = ScanRays(HITS, ORIGINS, VOXEL_M)
    for part in parts[::-1] if backwards else parts:
        rays.meet(part)
    assert rays.shares() == expected
    assert ScanRays(HITS[:0], ORIGINS[:0], VOXEL_M).shares() is None
