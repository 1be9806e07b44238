"""The plan: what is asked for and what is chosen, refusals, predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from sparse_convonet.plan import plan
from sparse_convonet.plan.plan import (
    CloudDensity,
    Plan,
    choose_voxel_size,
    make_plan,
    memory_amount,
    memory_budget,
    require_memory,
)
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.surface_cells import cells_around
from tests.synthetic_scan import room_points


def plan_of(points: np.ndarray, voxel_size_m: float, cell_size_m: float | None = None, *, twice: bool = False) -> Plan:
    settings = ReconstructionSettings(voxel_size_m=voxel_size_m, cell_size_m=cell_size_m, twice=twice)
    return make_plan(CloudDensity(points), settings, 0.5)


def test_occupied_voxels_are_counted() -> None:
    density = CloudDensity(np.repeat([[0.0, 0, 0], [1, 0, 0], [2, 0, 5]], [1, 2, 6], axis=0))
    assert (density.points, density.voxels(0.1), density.voxels(3.0)) == (9, 3, 2)


def test_a_plan_has_the_size_reason_and_error_of_the_choice_and_none_where_a_size_was_asked_for() -> None:
    density = CloudDensity(room_points(20_000))
    choice, made = choose_voxel_size(density), make_plan(density, ReconstructionSettings(), 0.5)
    assert (made.voxel_size_m, made.reason, made.expected) == (choice.voxel_size_m, choice.reason, choice.expected)
    assert made.expected is not None and 0.002 < made.expected.mean_m < 0.02
    assert make_plan(density, ReconstructionSettings(voxel_size_m=0.1), 0.5).expected is None


def test_sizes_that_were_asked_for_are_kept_and_checked() -> None:
    points = room_points(2000)
    made = plan_of(points, 0.1, 0.025)
    assert (made.voxel_size_m, made.cell_size_m, made.reason) == (0.1, 0.025, "as asked")
    assert plan_of(points, 0.1).cell_size_m == pytest.approx(0.05)
    for voxel in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="voxel size: expected a positive number"):
            plan_of(points, voxel)
    with pytest.raises(ValueError, match="at most the voxel size"):
        plan_of(points, 0.1, 0.2)


def test_prediction_grows_with_the_number_of_cells() -> None:
    points = room_points(50_000)
    coarse, fine = (
        plan_of(points, 0.1),
        plan_of(points, 0.05),
    )
    finer_cells = plan_of(points, 0.05, 0.0125)
    assert coarse.memory_bytes < fine.memory_bytes < finer_cells.memory_bytes
    assert coarse.seconds < fine.seconds < finer_cells.seconds
    twice = plan_of(points, 0.1, twice=True)
    assert coarse.memory_bytes < twice.memory_bytes and coarse.seconds < twice.seconds < 2 * coarse.seconds


def test_cells_around_are_those_that_touch() -> None:
    assert len(cells_around(np.array([[0, 0, 0], [0, 0, 0]]))) == 27
    assert len(cells_around(np.array([[0, 0, 0], [0, 0, 1]]))) == 36
    cells = np.random.default_rng(0).integers(-40, 40, (300, 3))
    grid = np.zeros((90, 90, 90), dtype=bool)
    grid[tuple((cells + 45).T)] = True
    assert len(cells_around(cells)) == binary_dilation(grid, np.ones((3, 3, 3))).sum()


def test_a_sparse_scan_costs_what_its_surface_costs_not_its_few_voxels() -> None:
    rng = np.random.default_rng(1)
    ground = np.concatenate(
        [rng.uniform(0, 60, (20_000, 2)), np.zeros((20_000, 1))], axis=1
    )  # points half a metre apart
    made = plan_of(ground, 0.1)
    room = make_plan(
        CloudDensity(rng.uniform(0, 1, (20_000, 3)) * [14, 14, 0]), ReconstructionSettings(voxel_size_m=0.1), 0.5
    )
    assert 0.9 < made.voxels / room.voxels < 1.1 or made.voxels > room.voxels
    assert made.seconds > 4 * room.seconds and made.memory_bytes > 1.5 * room.memory_bytes
    low, high = made.seconds_range
    assert low < made.seconds < high and made.encode_seconds + made.read_seconds < made.seconds


def test_a_plan_beyond_the_memory_is_refused_with_a_size_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(
        plan_of(room_points(2000), 0.05),
        memory_bytes=40_000_000_000,
    )
    monkeypatch.setattr(plan, "available_memory_bytes", lambda: 10_000_000_000)
    with pytest.raises(ValueError, match=r"of 0.05 m, found 9 GB available; use --voxel-size 0.11"):
        require_memory(made, memory_budget(None), was_asked=False)
    with pytest.raises(ValueError, match=r"found 9 GB allowed; use --voxel-size 0.11 or more, or allow 40.0 GB with"):
        require_memory(made, 9_000_000_000, was_asked=True)
    with pytest.raises(ValueError, match=r"at least 40.0 GB .* found 0.1 GB allowed; allow 40.0 GB with --memory$"):
        require_memory(made, 100_000_000, was_asked=True)
    require_memory(replace(made, memory_bytes=8_900_000_000), memory_budget(None), was_asked=False)
    assert np.isfinite(made.seconds)
    in_tiles = replace(made, tile_voxels=128, tiles=9)
    with pytest.raises(
        ValueError, match=r"in tiles of 128 voxels, which take the least, found 0.001 GB allowed; allow"
    ):
        require_memory(in_tiles, memory_budget(1_000_000), was_asked=True)


def test_amounts_of_memory_are_read_with_their_unit() -> None:
    assert [memory_amount(text) for text in ("4GB", " 2.5 GiB", "800mb")] == [4_000_000_000, 2_684_354_560, 800_000_000]
    for text in ("4", "GB", "-1GB", "0GB", "4 apples", "1e3GB"):
        with pytest.raises(ValueError, match="--memory: expected an amount such as 4GB"):
            memory_amount(text)
