"""Boxes of equal size, and the rows of arrays that lie in them."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.tile_grid import TiledRows, TileGrid


def test_rows_around_a_tile_are_those_in_its_box(rng: np.random.Generator) -> None:
    positions, grid = rng.uniform(-50, 70, (700, 3)), TileGrid((-8, 4, 0), (10, 20, 30))
    rows = TiledRows(positions, grid)
    assert sum(len(rows.of(tile)) for tile in rows.occupied()) == len(positions)
    for tile in rows.near(25)[::20]:
        for reach in (0, 3, 25):
            low, high = grid.box(tile)
            inside = ((positions >= low - reach) & (positions < high + reach)).all(axis=1)
            np.testing.assert_array_equal(rows.around(tile, reach), np.flatnonzero(inside))


def test_an_empty_middle_costs_no_tiles(rng: np.random.Generator) -> None:
    half = rng.uniform(-12, 12, (500, 3))
    rows = TiledRows(np.concatenate([half, half + [100_000.0, 0, 0]]), TileGrid((-16, -16, -16), (32, 32, 32)))
    assert len(rows.near(8)) < 100


def test_edges_that_are_no_multiples_of_the_step_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 8, found 12"):
        TileGrid.over(np.zeros(3), np.ones(3), 12, 8)
