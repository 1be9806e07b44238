from __future__ import annotations

import numpy as np

from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
from sparse_convonet.extract.refine import refine
from sparse_convonet.mesh.topology import face_normals_scaled, mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import block_of_cells

RADIUS, CELL = 6.3, 1.0


def _steep_sphere(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A logit that is far from linear across the surface: 4 * (exp((R - r)) - 1), and its gradient."""
    q = queries.astype(np.float64)
    r = np.linalg.norm(q, axis=1)
    growth = 4 * np.exp(RADIUS - r)
    return (growth - 4).astype(np.float32), -(growth / r)[:, None] * q


def _coarse_mesh() -> Mesh:
    settings = ExtractionSettings(CELL, lattice_offset=0.07)
    return extract_mesh(lambda q: _steep_sphere(q)[0], block_of_cells(-2, 2), 4, np.zeros((0, 3)), settings)


def _error(mesh: Mesh) -> float:
    return float(np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS).max())


def test_vertices_come_to_lie_on_the_threshold_surface() -> None:
    mesh = _coarse_mesh()
    refined = refine(mesh, _steep_sphere, 6, cell=CELL)
    assert _error(mesh) > 0.05
    assert _error(refined) < 1e-4
    assert mesh_statistics(refined).watertight
    np.testing.assert_array_equal(refined.faces, mesh.faces)


def test_each_step_improves_or_keeps() -> None:
    mesh = _coarse_mesh()
    errors = [_error(refine(mesh, _steep_sphere, steps, cell=CELL)) for steps in range(5)]
    assert errors[0] == _error(mesh)
    assert all(later <= earlier for earlier, later in zip(errors, errors[1:], strict=False))


def test_another_threshold_moves_the_surface_but_at_most_half_a_cell() -> None:
    mesh = _coarse_mesh()
    near = refine(mesh, _steep_sphere, 8, cell=CELL, threshold=1.0)  # at R - ln(1.25)
    np.testing.assert_allclose(np.linalg.norm(near.vertices, axis=1), RADIUS - np.log(1.25), atol=1e-3)
    far = refine(mesh, _steep_sphere, 8, cell=CELL, threshold=200.0)
    moved = np.linalg.norm(far.vertices - mesh.vertices, axis=1)
    assert moved.max() <= CELL / 2 + 1e-9
    assert moved.mean() > 0.4 * CELL


def test_a_useless_gradient_never_makes_it_worse_nor_turns_faces_over() -> None:
    mesh, rng = _coarse_mesh(), np.random.default_rng(0)

    def misleading(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient = rng.normal(size=(len(queries), 3))
        gradient[::7] = 0
        gradient[1::7] = np.nan
        return _steep_sphere(queries)[0], gradient

    refined = refine(mesh, misleading, 10, cell=CELL)
    before = np.abs(_steep_sphere(mesh.vertices)[0])
    after = np.abs(_steep_sphere(refined.vertices)[0])
    assert (after <= before + 1e-6).all()
    normals = face_normals_scaled(mesh), face_normals_scaled(refined)
    assert (np.einsum("ij,ij->i", *normals) > 0).all()


def test_no_steps_and_no_vertices_change_nothing() -> None:
    mesh = _coarse_mesh()
    assert refine(mesh, _steep_sphere, 0, cell=CELL) is mesh
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert len(refine(empty, _steep_sphere, 3, cell=CELL).vertices) == 0
