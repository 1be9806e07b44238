"""Extraction in tiles: the surface of the whole, vertex by vertex and face by face."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sparse_convonet.mesh.cleanup import remove_small_components
from sparse_convonet.mesh.joining import joined
from sparse_convonet.mesh.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.tiles import extract_tiles
from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import Counting, Field, block_of_cells, box, boxes_with_ripples, sphere, union

NO_POINTS = np.zeros((0, 3))


def assert_same_surface(found: Mesh, expected: Mesh) -> None:
    """The same vertices and faces, bit by bit, in any order."""
    orders = [np.lexsort(mesh.vertices.T) for mesh in (found, expected)]
    np.testing.assert_array_equal(found.vertices[orders[0]], expected.vertices[orders[1]])
    assert len(np.unique(expected.vertices, axis=0)) == len(expected.vertices)  # so the order names each vertex
    faces = [_sorted_faces(mesh.faces, order) for mesh, order in zip((found, expected), orders, strict=True)]
    np.testing.assert_array_equal(faces[0], faces[1])


def _sorted_faces(faces: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(F, 3) faces with vertices numbered in the given order, each from its lowest on, sorted."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    named = place[faces]
    turned = named[np.arange(len(named))[:, None], (named.argmin(axis=1)[:, None] + np.arange(3)) % 3]
    return turned[np.lexsort(turned.T)]


@hypothesis_settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    levels=st.integers(0, 3),
    threshold=st.sampled_from([0.0, -0.2006, 0.35]),
    tile=st.sampled_from([8, 16]),
)
def test_tiles_joined_are_the_whole_surface(seed: int, levels: int, threshold: float, tile: int) -> None:
    rng = np.random.default_rng(seed)
    stride, cell = 1 << levels, 0.5
    most = {0: 12, 1: 9, 2: 9, 3: 5}[levels]
    seeds = np.unique(rng.integers(-most, most + 1, (int(rng.integers(1, 60)), 3)), axis=0)
    reach = (most + 1) * stride * cell
    field = Counting(boxes_with_ripples(rng, reach))
    points = rng.uniform(-reach, reach, (int(rng.integers(0, 40)), 3))
    settings = ExtractionSettings(cell, threshold=threshold, lattice_offset=0.03)
    whole = extract_mesh(field, seeds, stride, points, settings)
    asked_whole = np.unique(field.positions, axis=0) if field.asked else NO_POINTS
    field.asked.clear()
    tiled = extract_tiles(field, seeds, stride, points, settings, tile)
    found = joined(tiled).mesh
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
    found = joined(extract_tiles(field, block_of_cells(-20, 20), 1, NO_POINTS, ExtractionSettings(0.5), 8)).mesh
    assert len(found.faces) > 1000 and is_watertight(found.faces, len(found.vertices))


def test_a_surface_that_leaves_and_comes_back_is_followed_across_tiles() -> None:
    # A thin bar through several tiles, seen at one end only, and not by the corners of large cells.
    bar = box((-14.3, 0.3, 0.3), (14.2, 1.2, 1.2))
    settings, end = ExtractionSettings(0.5), np.array([[-14.3, 0.7, 0.7]])
    seeds = block_of_cells(-9, 9)
    whole = extract_mesh(bar, seeds, 4, end, settings)
    tiled = extract_tiles(bar, seeds, 4, end, settings, 8)
    assert len(tiled.tiles) >= 2
    assert_same_surface(joined(tiled).mesh, whole)
    assert whole.vertices[:, 0].max() > 14


def test_small_pieces_go_also_where_they_lie_across_a_border() -> None:
    field = union(sphere((0.1, 0.2, 0.3), 6.0), sphere((8.1, 8.2, 0.0), 1.2), sphere((-9.0, -9.0, -9.0), 1.5))
    seeds, settings = block_of_cells(-16, 16), ExtractionSettings(0.5)
    whole = remove_small_components(extract_mesh(field, seeds, 2, NO_POINTS, settings), min_area=40.0)
    found = joined(extract_tiles(field, seeds, 2, NO_POINTS, settings, 8), 40.0)
    assert_same_surface(found.mesh, whole.mesh)
    assert (found.removed_components, found.removed_faces) == (2, whole.removed_faces)
    assert found.removed_area == pytest.approx(whole.removed_area)
    # At most a share of the whole: here nothing is that small.
    shared = joined(extract_tiles(field, seeds, 2, NO_POINTS, settings, 8), 40.0, least_share=0.01)
    assert shared.removed_components == 0


def test_progress_counts_tiles_to_the_end_and_an_empty_middle_is_not_visited() -> None:
    field = union(sphere((-40.0, 0.0, 0.0), 3.0), sphere((40.0, 0.0, 0.0), 3.0))
    seeds = np.concatenate([block_of_cells(-5, 5) + [[-40, 0, 0]], block_of_cells(-5, 5) + [[40, 0, 0]]])
    seen: list[tuple[int, int]] = []
    tiled = extract_tiles(field, seeds, 1, NO_POINTS, ExtractionSettings(1.0), 8, lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1] <= 16
    assert_same_surface(joined(tiled).mesh, extract_mesh(field, seeds, 1, NO_POINTS, ExtractionSettings(1.0)))


def test_no_seeds_give_no_surface_and_tiles_of_other_sizes_are_refused() -> None:
    nothing = np.zeros((0, 3), dtype=np.int64)
    assert (
        len(joined(extract_tiles(sphere((0, 0, 0), 1), nothing, 1, NO_POINTS, ExtractionSettings(1.0), 8)).mesh.faces)
        == 0
    )
    with pytest.raises(ValueError, match="multiple of 8, found 12"):
        extract_tiles(sphere((0, 0, 0), 1), block_of_cells(0, 1), 1, NO_POINTS, ExtractionSettings(1.0), 12)
