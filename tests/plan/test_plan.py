"""The plan: voxel sizes from density, refusals, predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparse_convonet.plan import plan
from sparse_convonet.plan.plan import (
    CloudDensity,
    choose_voxel_size,
    make_plan,
    memory_amount,
    memory_budget,
    require_memory,
)
from tests.synthetic_scan import room_points


def test_voxels_are_counted_and_the_median_is_that_of_the_occupied_ones() -> None:
    density = CloudDensity(np.repeat([[0.0, 0, 0], [1, 0, 0], [2, 0, 5]], [1, 2, 6], axis=0))
    assert (density.points, density.voxels(0.1), density.median_per_voxel(0.1)) == (9, 3, 2)
    assert (density.voxels(3.0), density.median_per_voxel(3.0)) == (2, 4.5)


def test_denser_scans_get_smaller_voxels_and_the_reason_names_the_median() -> None:
    sizes = []
    for count in (2000, 10_000, 50_000, 200_000):
        size, reason = choose_voxel_size(CloudDensity(room_points(count)))
        assert "median voxel holds" in reason
        sizes.append(size)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] == 0.12 and sizes[-1] == 0.04


@pytest.mark.parametrize(("side_m", "expected"), [(0.5, 0.01), (1.0, 0.015), (2.0, 0.03), (4.0, 0.04)])
def test_small_things_get_voxels_of_a_hundredth_of_their_size_where_the_points_allow(
    rng: np.random.Generator, side_m: float, expected: float
) -> None:
    sphere = rng.normal(size=(200_000, 3))
    sphere *= side_m / 2 / np.linalg.norm(sphere, axis=1, keepdims=True)
    assert choose_voxel_size(CloudDensity(sphere))[0] == expected
    assert choose_voxel_size(CloudDensity(sphere[:1000]))[0] > expected


def test_sizes_that_were_asked_for_are_kept_and_checked() -> None:
    points = room_points(2000)
    made = make_plan(CloudDensity(points), 0.1, 0.025, 0.5)
    assert (made.voxel_size_m, made.cell_size_m, made.reason) == (0.1, 0.025, "as asked")
    assert make_plan(CloudDensity(points), 0.1, None, 0.5).cell_size_m == pytest.approx(0.05)
    for voxel in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="voxel size: expected a positive number"):
            make_plan(CloudDensity(points), voxel, None, 0.5)
    with pytest.raises(ValueError, match="at most the voxel size"):
        make_plan(CloudDensity(points), 0.1, 0.2, 0.5)


def test_prediction_grows_with_the_number_of_cells() -> None:
    points = room_points(50_000)
    coarse, fine = make_plan(CloudDensity(points), 0.1, None, 0.5), make_plan(CloudDensity(points), 0.05, None, 0.5)
    finer_cells = make_plan(CloudDensity(points), 0.05, 0.0125, 0.5)
    assert coarse.memory_bytes < fine.memory_bytes < finer_cells.memory_bytes
    assert coarse.seconds < fine.seconds < finer_cells.seconds


def test_a_plan_beyond_the_memory_is_refused_with_a_size_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(make_plan(CloudDensity(room_points(2000)), 0.05, None, 0.5), memory_bytes=40_000_000_000)
    monkeypatch.setattr(plan, "available_memory_bytes", lambda: 10_000_000_000)
    with pytest.raises(ValueError, match=r"of 0.05 m, found 9.0 GB available; use --voxel-size 0.11"):
        require_memory(made, memory_budget(None), was_asked=False)
    with pytest.raises(ValueError, match=r"found 9.0 GB allowed; use --voxel-size 0.11 or more, or allow 40.0 GB with"):
        require_memory(made, 9_000_000_000, was_asked=True)
    with pytest.raises(ValueError, match=r"at least 40.0 GB .* found 0.1 GB allowed; allow 40.0 GB with --memory$"):
        require_memory(made, 100_000_000, was_asked=True)
    require_memory(replace(made, memory_bytes=8_900_000_000), memory_budget(None), was_asked=False)
    assert np.isfinite(made.seconds)
    in_tiles = replace(made, tile_voxels=128, tiles=9)
    with pytest.raises(ValueError, match=r"in tiles of 128 voxels, which take the least, found 0.0 GB allowed; allow"):
        require_memory(in_tiles, memory_budget(1_000_000), was_asked=True)


def test_amounts_of_memory_are_read_with_their_unit() -> None:
    assert [memory_amount(text) for text in ("4GB", " 2.5 GiB", "800mb")] == [4_000_000_000, 2_684_354_560, 800_000_000]
    for text in ("4", "GB", "-1GB", "0GB", "4 apples", "1e3GB"):
        with pytest.raises(ValueError, match="--memory: expected an amount such as 4GB"):
            memory_amount(text)
