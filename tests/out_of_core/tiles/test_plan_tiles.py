"""What a plan of tiles says of the memory: of voxels where points are dense, of the surface where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.out_of_core.tiles.plan_tiles import CoarseCells, SearchCosts, StoreDensity
from sparse_convonet.structures import PointCloud
from sparse_convonet.tile_grid import TileGrid
from tests.out_of_core.points.test_store_points import store_of

GRID = TileGrid(origin=(0, 0, 0), edges=(64, 64, 64))


def _cells(places: list[tuple[int, int, int]], counts: list[int]) -> CoarseCells:
    """Cells of 16 voxels."""
    return CoarseCells(16, np.array(places), np.array(counts), np.zeros(len(places), dtype=np.int64))


def test_a_tile_costs_its_voxels_and_what_is_loaded_around_or_its_surface() -> None:
    dense, thin = (1, 1, 1), (6, 1, 1)  # in the first tile, and in the second
    costs = SearchCosts(_cells([dense, thin], [100, 3]), _cells([dense, thin], [10, 40]), 2.0, 8.0)
    assert costs.largest(GRID, 0) == 8.0 * 40  # of the second: its surface; 2 * 100 and 8 * 10 of the first
    costs = SearchCosts(_cells([dense, thin], [900, 3]), _cells([dense, thin], [10, 40]), 2.0, 8.0)
    assert costs.largest(GRID, 0) == 2.0 * 900
    assert costs.largest(GRID, 64) == 2.0 * 903  # with the voxels of the other tile, but never its surface
    costs = SearchCosts(_cells([dense, thin], [9, 3]), _cells([dense, thin], [10, 40]), 2.0, 8.0)
    assert costs.largest(GRID, 64) == 8.0 * 40


@pytest.mark.parametrize("stride", [2, 16, 64])
def test_the_surface_in_coarse_cells_is_all_of_it(tmp_path: Path, rng: np.random.Generator, stride: int) -> None:
    store = store_of(PointCloud(rng.uniform([0, 0, 0], [30, 20, 3], (2000, 3))), tmp_path)
    density = StoreDensity(store, stride)
    found = density.coarse_surface(0.1)
    assert found.voxels.sum() == density.surface_cells(0.1) > 3 * density.voxels(0.1)
    assert found.stride == max(stride, 4) and len(np.unique(found.cells, axis=0)) == len(found.cells)
