from __future__ import annotations

import logging
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sparse_convonet.extract import lattice
from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import (
    Counting,
    Field,
    block_of_cells,
    box,
    boxes_with_ripples,
    lattice_noise,
    sphere,
    torus,
    union,
)
from tests.oracles.dense_mesh import dense_crossing_edges, dense_logits, dense_mesh
from tests.oracles.naive_mise import NaiveSearch

NO_POINTS = np.zeros((0, 3))
SPHERE = sphere((0.3, -0.2, 0.1), 9.3)
TORUS = torus(8.2, 3.1)
BOX = box((-6.3, -4.2, -7.7), (5.8, 6.1, 3.3))


def _extract(
    field: Field, cell: float = 0.5, offset: float = 0.03, points: np.ndarray = NO_POINTS, stride: int = 8
) -> Mesh:
    """The mesh of a field around the origin: seeds reach 16 field units to each side."""
    reach = round(16 / (cell * stride))
    settings = ExtractionSettings(cell, lattice_offset=offset)
    return extract_mesh(field, block_of_cells(-reach, reach), stride, points, settings)


@pytest.mark.parametrize(
    ("field", "cell", "euler", "area", "tolerance"),
    [
        # Linear interpolation of a distance errs by the curvature within a cell, cell^2 / (8 * radius) ...
        (SPHERE, 0.5, 2, 4 * np.pi * 9.3**2, 0.5**2 / (8 * 9.3)),
        (TORUS, 0.5, 0, 4 * np.pi**2 * 8.2 * 3.1, 0.5**2 / (8 * 3.1)),
        # ... and cuts edges off, where a finer lattice helps.
        (BOX, 0.125, 2, 2 * (12.1 * 10.3 + 12.1 * 11.0 + 10.3 * 11.0), 0.125 / 4),
    ],
    ids=["sphere", "torus", "box"],
)
def test_analytic_solids_are_closed_with_right_topology_area_and_position(
    field: Field, cell: float, euler: int, area: float, tolerance: float
) -> None:
    mesh = _extract(field, cell)
    statistics = mesh_statistics(mesh)
    assert statistics.watertight
    assert (statistics.components, statistics.euler_number) == (1, euler)
    assert statistics.vertices == len(mesh.vertices)  # none unused
    assert statistics.area == pytest.approx(area, rel=0.01)
    assert np.abs(field(mesh.vertices)).max() < tolerance


def test_faces_are_counter_clockwise_seen_from_outside() -> None:
    assert _extract(SPHERE).to_trimesh().volume == pytest.approx(4 / 3 * np.pi * 9.3**3, rel=0.01)


@pytest.mark.parametrize("field", [SPHERE, TORUS, BOX], ids=["sphere", "torus", "box"])
@pytest.mark.parametrize("threshold", [0.0, 0.7])
def test_sparse_extraction_finds_the_same_surface_as_a_dense_grid(field: Field, threshold: float) -> None:
    settings = ExtractionSettings(0.5, threshold=threshold, lattice_offset=0.03)
    sparse = extract_mesh(field, block_of_cells(-4, 4), 8, NO_POINTS, settings)
    dense = dense_mesh(field, -32, 32, 0.5, offset=0.03, threshold=threshold)
    assert len(sparse.vertices) == dense_crossing_edges(dense_logits(field, -32, 32, 0.5, 0.03), threshold)
    assert len(sparse.vertices) == len(dense.vertices)
    distance, nearest = cKDTree(dense.vertices).query(sparse.vertices)
    assert distance.max() < 1e-3
    assert len(np.unique(nearest)) == len(dense.vertices)
    assert sparse.to_trimesh().area == pytest.approx(dense.to_trimesh().area, rel=1e-3)
    assert sparse.to_trimesh().volume == pytest.approx(dense.to_trimesh().volume, rel=1e-3)


def test_every_lattice_point_is_evaluated_once_and_few_of_them() -> None:
    field = Counting(SPHERE)
    points = np.random.default_rng(0).normal(size=(2000, 3))
    points *= 9.3 / np.linalg.norm(points, axis=1, keepdims=True)
    _extract(field, cell=0.25, points=points, stride=16)
    lattice = np.rint((field.positions - 0.03) / 0.25).astype(np.int64)
    assert np.abs(lattice * 0.25 + 0.03 - field.positions).max() < 1e-5
    assert len(np.unique(lattice, axis=0)) == len(lattice)
    assert len(lattice) < 0.15 * 129**3


def test_a_thin_wall_is_found_where_points_lie_and_only_there() -> None:
    wall = box((-7.3, 0.7, -7.3), (7.3, 1.7, 7.3))  # one voxel thick, between the corners of cells of 4 voxels
    surface = np.random.default_rng(0).uniform(-7, 7, size=(3000, 3))
    surface[:, 1] = 0.7
    assert len(_extract(wall).faces) == 0
    found = _extract(wall, points=surface)
    assert mesh_statistics(found).watertight
    dense = dense_mesh(wall, -32, 32, 0.5, offset=0.03)
    assert len(found.vertices) == len(dense.vertices)
    assert found.to_trimesh().volume == pytest.approx(dense.to_trimesh().volume, rel=1e-3)


def test_one_point_suffices_to_find_a_whole_thin_wall() -> None:
    wall = box((-7.3, 0.7, -7.3), (7.3, 1.7, 7.3))
    everywhere = np.random.default_rng(0).uniform(-7, 7, size=(3000, 3)) * (1, 0, 1) + (0, 0.7, 0)
    np.testing.assert_array_equal(
        _extract(wall, points=np.array([[2.0, 0.7, 1.0]])).vertices, _extract(wall, points=everywhere).vertices
    )


@hypothesis_settings(max_examples=15)  # each search is slow
@given(
    seed=st.integers(0, 10_000),
    levels=st.integers(0, 4),
    threshold=st.sampled_from([0.0, -0.2006, 0.35]),
    chunk_points=st.sampled_from([1, 17, 1 << 17]),
    few=st.sampled_from([1, 1 << 10]),
)
def test_search_and_mesh_equal_the_search_cell_by_cell(
    seed: int, levels: int, threshold: float, chunk_points: int, few: int
) -> None:
    rng = np.random.default_rng(seed)
    stride, cell, offset = 1 << levels, 0.5, 0.03
    most = {0: 10, 1: 5, 2: 3, 3: 1, 4: 1}[levels]
    low, high = np.sort(rng.integers(-most, most + 1, (2, 3)), axis=0)
    count = int(rng.integers(1, 20)) if levels else 200
    seeds = np.unique(rng.integers(low, high + 1, (count, 3)), axis=0)
    reach = (most + 1) * stride * cell
    shape = boxes_with_ripples(rng, reach)
    field = Counting(shape)
    points = rng.uniform(-reach, reach, (int(rng.integers(0, 20)), 3))
    choices = ExtractionSettings(cell, threshold=threshold, lattice_offset=offset, chunk_points=chunk_points)
    with mock.patch.object(lattice, "_FEW", few):
        mesh = extract_mesh(field, seeds, stride, points, choices)
    naive = NaiveSearch(shape, seeds, stride, points, cell, threshold, offset)
    vertices, faces = naive.mesh(choices.interpolation_margin)
    np.testing.assert_array_equal(mesh.vertices, vertices)
    np.testing.assert_array_equal(mesh.faces, faces)
    asked = np.rint((field.positions - offset) / cell).astype(np.int64)
    assert sorted(map(tuple, asked.tolist())) == sorted(naive.asked)


def test_number_of_threads_changes_nothing() -> None:
    before, meshes = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            with mock.patch.object(lattice, "_FEW", 1):
                meshes.append(_extract(TORUS, cell=0.125, stride=32))
    finally:
        torch.set_num_threads(before)
    for mesh in meshes[1:]:
        assert mesh.vertices.tobytes() == meshes[0].vertices.tobytes()
        assert mesh.faces.tobytes() == meshes[0].faces.tobytes()


def test_points_beyond_the_seeds_are_counted_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    inside, beyond = np.array([[1.0, 2.0, 3.0]]), np.array([[90.1, 2.0, 3.0], [90.2, 2.0, 3.0], [2.0, -90.0, 3.0]])
    with caplog.at_level(logging.WARNING):
        first = _extract(SPHERE, points=inside)
        assert not caplog.messages
        second = _extract(SPHERE, points=np.concatenate([beyond, inside]))
    # Cells of 0.5 from 0.03 on: 90.1 and 90.2 share one.
    assert caplog.messages == ["2 cells with input points lie outside the seed cells and are not refined"]
    np.testing.assert_array_equal(first.vertices, second.vertices)


def test_points_follow_each_other_within_blocks() -> None:
    field = Counting(SPHERE)
    _extract(field, cell=0.25, stride=16)
    largest = max(field.asked, key=len)
    blocks = np.floor(np.rint((largest - 0.03) / 0.25) / 8)
    changes = np.count_nonzero((blocks[1:] != blocks[:-1]).any(axis=1))
    assert changes == len(np.unique(blocks, axis=0)) - 1


def _two_spheres(distance: float) -> tuple[Counting, Mesh]:
    field = Counting(union(sphere((0.0, 0.0, 0.0), 3.3), sphere((distance, 0.0, 0.0), 3.3)))
    seeds = block_of_cells(-2, 2)
    seeds = np.unique(np.concatenate([seeds, seeds + [round(distance / 4), 0, 0]]), axis=0)
    return field, extract_mesh(field, seeds, 8, NO_POINTS, ExtractionSettings(0.5))


def test_cost_does_not_depend_on_how_far_apart_things_are() -> None:
    near_field, near = _two_spheres(64.0)
    far_field, far = _two_spheres(20_000.0)  # 1 km at voxels of 5 cm
    assert len(far_field.positions) == len(near_field.positions)
    assert len(far.faces) == len(near.faces)
    assert mesh_statistics(far).components == 2


def test_field_without_surface_gives_an_empty_mesh() -> None:
    def empty(queries: np.ndarray) -> np.ndarray:
        return np.full(len(queries), -3.0, dtype=np.float32)

    mesh = _extract(empty, points=np.array([[1.0, 2.0, 3.0]]))
    assert mesh.vertices.shape == (0, 3)
    assert mesh.faces.shape == (0, 3)
    settings = ExtractionSettings(0.5)
    assert len(extract_mesh(SPHERE, np.zeros((0, 3), dtype=np.int64), 8, NO_POINTS, settings).faces) == 0


def test_order_and_repetition_of_seeds_and_points_change_nothing() -> None:
    rng = np.random.default_rng(3)
    seeds, points = block_of_cells(-4, 4), rng.uniform(-9, 9, size=(500, 3))
    settings = ExtractionSettings(0.5)
    first = extract_mesh(TORUS, seeds, 8, points, settings)
    shuffled = np.concatenate([rng.permutation(seeds), seeds[:5]])
    second = extract_mesh(TORUS, shuffled, 8, rng.permutation(points), settings)
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.faces, second.faces)


def test_size_of_chunks_changes_nothing_but_the_number_of_calls() -> None:
    seeds, field = block_of_cells(-4, 4), Counting(TORUS)
    first = extract_mesh(TORUS, seeds, 8, NO_POINTS, ExtractionSettings(0.5))
    second = extract_mesh(field, seeds, 8, NO_POINTS, ExtractionSettings(0.5, chunk_points=100))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.faces, second.faces)
    assert max(len(asked) for asked in field.asked) == 100


@pytest.mark.parametrize("seed", range(4))
def test_noise_full_of_ambiguous_cases_gives_a_closed_manifold(seed: int) -> None:
    field = lattice_noise(20, np.random.default_rng(seed))
    mesh = extract_mesh(field, block_of_cells(0, 22), 1, NO_POINTS, ExtractionSettings(1.0))
    statistics = mesh_statistics(mesh)
    assert statistics.watertight
    assert statistics.vertices == dense_crossing_edges(dense_logits(field, 0, 21, 1.0, 0.0), 0.0)
    # One closed fan around every vertex: as many faces as vertices across.
    trimesh = mesh.to_trimesh()
    assert [len(set(fan)) for fan in trimesh.vertex_neighbors] == np.bincount(mesh.faces.ravel()).tolist()
    assert trimesh.area_faces.min() > 0


def test_growing_across_faces_finds_what_coarse_cells_missed() -> None:
    # A thin disc on a thick foot: only the foot shows at the coarse corners, and no points are given.
    field = union(box((-7.3, -7.3, 0.7), (7.3, 7.3, 1.6)), box((-2.2, -2.2, -3.1), (2.2, 2.2, 1.5)))
    mesh, dense = _extract(field), dense_mesh(field, -32, 32, 0.5, offset=0.03)
    assert mesh_statistics(mesh).watertight
    assert len(mesh.vertices) == len(dense.vertices)


def test_a_field_that_leaves_the_seeds_is_followed_one_seed_cell_and_closed_there() -> None:
    def half_space(queries: np.ndarray) -> np.ndarray:
        return (0.2 - queries[:, 2]).astype(np.float32)

    field = Counting(half_space)
    mesh = extract_mesh(field, block_of_cells(-2, 2), 8, NO_POINTS, ExtractionSettings(0.5))
    assert mesh_statistics(mesh).watertight
    assert np.abs(field.positions).max() < 12.0  # seeds reach 8, their neighbours 12
    assert mesh.vertices[:, 2].max() == pytest.approx(0.2, abs=1e-5)
    assert np.abs(mesh.vertices).max() < 12.0


def test_shift_by_whole_seed_cells_shifts_the_mesh() -> None:
    shift = np.array([-12.0, 8.0, 400.0])
    there = sphere((0.25 - 12, 0.5 + 8, 0.125 + 400), 5.0)
    first = extract_mesh(sphere((0.25, 0.5, 0.125), 5.0), block_of_cells(-2, 2), 8, NO_POINTS, ExtractionSettings(0.5))
    seeds = block_of_cells(-2, 2) + [-3, 2, 100]
    second = extract_mesh(there, seeds, 8, NO_POINTS, ExtractionSettings(0.5))
    np.testing.assert_array_equal(first.faces, second.faces)
    np.testing.assert_allclose(first.vertices + shift, second.vertices, atol=1e-4)


def test_progress_reports_every_point_once() -> None:
    reports: list[tuple[int, int, int]] = []
    field = Counting(SPHERE)
    settings = ExtractionSettings(0.5, chunk_points=500)
    extract_mesh(field, block_of_cells(-4, 4), 8, NO_POINTS, settings, lambda *report: reports.append(report))
    assert sum(total for _, done, total in reports if done == total) == len(field.positions)
    assert [edge for edge, _, _ in reports] == sorted((edge for edge, _, _ in reports), reverse=True)


def test_bad_arguments_are_named() -> None:
    settings = ExtractionSettings(0.5)
    with pytest.raises(ValueError, match="power of two .* found 6"):
        extract_mesh(SPHERE, block_of_cells(0, 1), 6, NO_POINTS, settings)
    with pytest.raises(ValueError, match=r"integers of shape \(M, 3\), found float64"):
        extract_mesh(SPHERE, np.zeros((1, 3)), 8, NO_POINTS, settings)
    with pytest.raises(ValueError, match="remove far outliers"):
        extract_mesh(SPHERE, np.array([[0, 0, 0], [1 << 18, 0, 0]]), 8, NO_POINTS, settings)
    with pytest.raises(ValueError, match="finite logits.* 27 values NaN"):
        extract_mesh(lambda q: np.full(len(q), np.nan), block_of_cells(0, 2), 8, NO_POINTS, settings)
    with pytest.raises(ValueError, match="positive number of voxels, found 0"):
        ExtractionSettings(0.0)
