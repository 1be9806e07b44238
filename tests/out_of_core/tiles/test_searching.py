"""The search in tiles with files between them: the surface of the whole, vertex by vertex and face by face."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.topology import is_watertight
from tests.mesh.analytic_fields import Counting, Field, block_of_cells, box, boxes_with_ripples, sphere, union
from tests.oracles.same_surface import assert_same_surface, joined_by_keys
from tests.out_of_core.analytic_tiles import (
    NO_POINTS,
    analytic_plan,
    cut_into_tiles,
    loaded,
    search_analytic,
    tiles_in_memory,
)


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    levels=st.integers(0, 3),
    logit=st.sampled_from([0.0, -0.2006, 0.35]),
    tile=st.sampled_from([8, 16]),
)
def test_tiles_joined_are_the_whole_surface(seed: int, levels: int, logit: float, tile: int) -> None:
    rng = np.random.default_rng(seed)
    stride, cell = 1 << levels, 0.5
    most = {0: 12, 1: 9, 2: 9, 3: 5}[levels]
    seeds = np.unique(rng.integers(-most, most + 1, (int(rng.integers(1, 60)), 3)), axis=0)
    reach = (most + 1) * stride * cell
    field = Counting(boxes_with_ripples(rng, reach))
    points = rng.uniform(-reach, reach, (int(rng.integers(0, 40)), 3))
    plan = analytic_plan(seeds, stride, tile, cell=cell, logit=logit)
    whole = extract_mesh(field, seeds, stride, points, plan.extraction)
    asked_whole = np.unique(field.positions, axis=0) if field.asked else NO_POINTS
    field.asked.clear()
    with tempfile.TemporaryDirectory() as folder:
        files, _ = search_analytic(field, seeds, plan, Path(folder), points)
        found = joined_by_keys(loaded(files).tiles)
    assert_same_surface(found, whole)
    if len(whole.faces):
        assert is_watertight(found.faces, len(found.vertices))
    asked = field.positions if field.asked else NO_POINTS
    np.testing.assert_array_equal(np.unique(asked, axis=0), asked_whole)
    assert len(asked) <= 1.02 * len(asked_whole) + 8  # a tile that is taken up again may ask for a few again


class Unsteady:
    """A field that rounds differently from call to call."""

    def __init__(self, field: Field, rng: np.random.Generator) -> None:
        self._field, self._rng = field, rng

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        return self._field(queries) + self._rng.normal(0, 1e-3, len(queries)).astype(np.float32)


def test_tiles_close_even_where_the_field_rounds_differently_from_call_to_call(rng: np.random.Generator) -> None:
    field = Unsteady(box((-7.0, -6.5, -7.5), (7.5, 6.0, 7.0)), rng)  # faces on lattice planes: signs are up to chance
    found = joined_by_keys(tiles_in_memory(field, block_of_cells(-10, 10), 2, 8, cell=0.5).tiles)
    assert len(found.faces) > 1000 and is_watertight(found.faces, len(found.vertices))


def test_a_surface_that_leaves_and_comes_back_is_followed_across_tiles() -> None:
    # A thin bar through several tiles, seen at one end only, and not by the corners of large cells.
    bar = box((-14.3, 0.3, 0.3), (14.2, 1.2, 1.2))
    settings, end = ExtractionSettings(0.5), np.array([[-14.3, 0.7, 0.7]])
    seeds = block_of_cells(-9, 9)
    whole = extract_mesh(bar, seeds, 4, end, settings)
    tiled = tiles_in_memory(bar, seeds, 4, 8, cell=0.5, points=end)
    assert len(tiled.tiles) >= 2
    assert_same_surface(joined_by_keys(tiled.tiles), whole)
    assert whole.vertices[:, 0].max() > 14


def test_progress_ends_at_the_last_tile_and_an_empty_middle_is_not_visited(tmp_path: Path) -> None:
    field = union(sphere((-40.0, 0.0, 0.0), 3.0), sphere((40.0, 0.0, 0.0), 3.0))
    seeds = np.concatenate([block_of_cells(-5, 5) + [[-40, 0, 0]], block_of_cells(-5, 5) + [[40, 0, 0]]])
    seen: list[float] = []
    plan = analytic_plan(seeds, 1, 8, cell=1.0)
    files, runner = search_analytic(field, seeds, plan, tmp_path, progress=lambda stage, share: seen.append(share))
    assert seen[-1] == 1.0 and len(runner.visits) <= 16
    whole = extract_mesh(field, seeds, 1, NO_POINTS, ExtractionSettings(1.0))
    assert_same_surface(joined_by_keys(loaded(files).tiles), whole)


def test_no_seeds_give_no_surface() -> None:
    nothing = np.zeros((0, 3), dtype=np.int64)
    assert tiles_in_memory(sphere((0, 0, 0), 1), nothing, 1, 8, cell=1.0).tiles == {}


def test_meshes_of_tiles_are_those_cut_from_the_whole() -> None:
    field, seeds = union(sphere((0.1, 0.2, 0.3), 6.0), sphere((8.1, 8.2, 0.0), 1.2)), block_of_cells(-8, 10)
    searched, cut = (make(field, seeds, 2, 8, cell=0.5) for make in (tiles_in_memory, cut_into_tiles))
    assert searched.grid == cut.grid and searched.tiles.keys() == cut.tiles.keys() and len(cut.tiles) > 7
    for name, mesh in searched.tiles.items():
        for part in ("vertices", "faces", "keys", "own"):
            np.testing.assert_array_equal(getattr(mesh, part), getattr(cut.tiles[name], part))
