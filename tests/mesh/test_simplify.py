from __future__ import annotations

import logging

import numpy as np
import pytest
import trimesh

from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.simplify import simplify_to_error, simplify_to_faces, surface_distance
from sparse_convonet.mesh.topology import keep_faces, mesh_statistics
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import Field, block_of_cells, box, lattice_noise, torus


def _extracted(field: Field) -> Mesh:
    return extract_mesh(field, block_of_cells(-4, 4), 8, np.zeros((0, 3)), ExtractionSettings(0.5, lattice_offset=0.1))


TORUS = _extracted(torus(8.2, 3.1))
BOX = _extracted(box((-6.3, -4.2, -7.7), (5.8, 6.1, 3.3)))


def test_face_count_is_met_and_the_mesh_stays_closed_with_its_topology() -> None:
    simplified = simplify_to_faces(TORUS, 1000)
    statistics = mesh_statistics(simplified)
    assert statistics.faces == 1000
    assert statistics.watertight
    assert (statistics.components, statistics.euler_number) == (1, 0)
    assert simplified.to_trimesh().volume == pytest.approx(TORUS.to_trimesh().volume, rel=0.02)


@pytest.mark.parametrize("error", [0.05, 0.2])
def test_error_is_kept_as_an_independent_measure_sees_it_and_more_error_means_fewer_faces(error: float) -> None:
    simplified = simplify_to_error(TORUS, error)
    samples = trimesh.sample.sample_surface(simplified.mesh.to_trimesh(), 3000, seed=0)[0]
    _, forth, _ = trimesh.proximity.closest_point_naive(TORUS.to_trimesh(), samples[:200])
    _, back, _ = trimesh.proximity.closest_point_naive(simplified.mesh.to_trimesh(), TORUS.vertices[::100])
    assert max(forth.max(), back.max()) <= error * 1.1
    assert simplified.error <= error
    assert len(simplified.mesh.faces) < len(TORUS.faces) / 5
    assert len(simplified.mesh.faces) <= len(simplify_to_error(TORUS, error / 3).mesh.faces)


def test_flat_walls_need_few_faces() -> None:
    simplified = simplify_to_error(BOX, 0.2).mesh
    assert len(simplified.faces) < len(BOX.faces) / 50
    assert mesh_statistics(simplified).watertight


@pytest.mark.parametrize("error", [0.05, 0.2])
def test_an_open_mesh_keeps_its_borders_and_has_far_fewer_faces(error: float) -> None:
    """Cut in steps, as a surface is where no points show it."""
    low = TORUS.vertices[TORUS.faces].min(axis=1)
    opened = keep_faces(TORUS, low[:, 0] + low[:, 1] > -3)
    simplified = simplify_to_error(opened, error)
    assert len(simplified.mesh.faces) < len(opened.faces) / 2
    assert surface_distance(opened, simplified.mesh) == simplified.error <= error
    border = {tuple(place) for place in opened.vertices[border_vertices(opened)]}
    assert border == {tuple(place) for place in simplified.mesh.vertices[border_vertices(simplified.mesh)]}


def border_vertices(mesh: Mesh) -> np.ndarray:
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    found, counts = np.unique(edges, axis=0, return_counts=True)
    return np.unique(found[counts == 1])


def test_surface_distance_of_parallel_shells_is_their_distance() -> None:
    first, second = (trimesh.creation.icosphere(subdivisions=4, radius=r) for r in (5.0, 5.25))
    meshes = [Mesh(np.array(shape.vertices), np.array(shape.faces, dtype=np.int64)) for shape in (first, second)]
    assert surface_distance(*meshes) == pytest.approx(0.25, abs=0.01)
    assert surface_distance(*meshes) == surface_distance(*meshes[::-1])


def test_far_from_the_origin_it_simplifies_as_well_as_near() -> None:
    shift = np.array([500_000.0, -3_000_000.0, 100.0])
    far = Mesh(TORUS.vertices + shift, TORUS.faces)
    near_error = surface_distance(TORUS, simplify_to_faces(TORUS, 2000))
    assert surface_distance(far, simplify_to_faces(far, 2000)) == pytest.approx(near_error, rel=0.2)


def test_a_watertight_mesh_is_never_opened() -> None:
    field = lattice_noise(12, np.random.default_rng(0))
    noise = extract_mesh(field, block_of_cells(0, 14), 1, np.zeros((0, 3)), ExtractionSettings(1.0))
    assert mesh_statistics(simplify_to_faces(noise, len(noise.faces) // 4)).watertight


def test_small_meshes_and_useless_limits() -> None:
    assert simplify_to_faces(BOX, len(BOX.faces)) is BOX
    with pytest.raises(ValueError, match="at least 4 faces"):
        simplify_to_faces(BOX, 0)
    with pytest.raises(ValueError, match="positive error, found 0"):
        simplify_to_error(BOX, 0.0)


def test_colours_follow_their_places(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    colours = np.where(BOX.vertices[:, :1] > 0, [[255, 0, 0]], [[0, 0, 255]]).astype(np.uint8)
    simplified = simplify_to_faces(Mesh(BOX.vertices, BOX.faces, colours=colours), 400)
    assert simplified.colours is not None
    clear = np.abs(simplified.vertices[:, 0]) > 1
    np.testing.assert_array_equal(simplified.colours[clear, 0] == 255, simplified.vertices[clear, 0] > 0)
