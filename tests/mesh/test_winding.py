"""Winding numbers of meshes: against the solid angles of their triangles, and against shapes known exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh import winding
from sparse_convonet.mesh.winding import WindingNumbers, occupied, winding_numbers
from tests.oracles.nearest import distance_to_mesh
from tests.oracles.solid_angle import winding_number

pytest.importorskip("igl", reason="libigl is not installed (extra data)")
TOLERANCE = 1e-3


def arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    return np.array(mesh.vertices), np.array(mesh.faces)


def box() -> tuple[np.ndarray, np.ndarray]:
    """The cube [-1, 1]^3, each side two triangles."""
    return arrays(trimesh.creation.box((2.0, 2.0, 2.0)))


def queries_around(count: int, reach: float = 1.5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-reach, reach, (count, 3))


@pytest.mark.parametrize("kind", ["sphere", "open sphere", "soup"])
def test_winding_numbers_are_the_solid_angles_of_the_triangles(kind):
    rng = np.random.default_rng(1)
    vertices, faces = arrays(trimesh.creation.icosphere(2))
    if kind == "open sphere":
        faces = faces[rng.random(len(faces)) < 0.8]
    if kind == "soup":
        vertices, faces = rng.uniform(-1, 1, (150, 3)), np.arange(150).reshape(50, 3)
    far = [point for point in queries_around(40) if distance_to_mesh(point, vertices, faces) > 0.02]
    slow = [winding_number(point, vertices, faces) for point in far]
    assert len(far) > 20
    np.testing.assert_allclose(winding_numbers(vertices, faces, np.stack(far)), slow, atol=TOLERANCE)


def test_a_sphere_is_occupied_exactly_where_the_radius_says_so():
    queries = queries_around(50_000)
    radius = np.linalg.norm(queries, axis=1)
    clear = np.abs(radius - 1.0) > 0.002  # the polyhedron lies up to 0.0009 within the sphere
    vertices, faces = arrays(trimesh.creation.icosphere(5))
    numbers = winding_numbers(vertices, faces, queries[clear])
    np.testing.assert_allclose(numbers, radius[clear] < 1.0, atol=TOLERANCE)
    assert np.array_equal(occupied(vertices, faces, queries[clear]), radius[clear] < 1.0)


def test_a_box_is_occupied_exactly_up_to_its_sides():
    queries = queries_around(50_000)
    clear = np.abs(np.abs(queries).max(axis=1) - 1.0) > 1e-5
    inside = (np.abs(queries) < 1.0).all(axis=1)
    assert np.array_equal(occupied(*box(), queries[clear]), inside[clear])


def test_a_box_without_a_side_is_right_away_from_the_hole():
    vertices, faces = box()
    centres = vertices[faces].mean(axis=1)
    open_faces = faces[centres[:, 1] < 0.99]
    assert len(open_faces) == len(faces) - 2
    queries = queries_around(20_000)
    away = (queries[:, 1] < 0.0) | (queries[:, 1] > 1.5)
    inside = (np.abs(queries) < 1.0).all(axis=1)
    assert np.array_equal(occupied(vertices, open_faces, queries[away]), inside[away])
    # In the middle the missing side takes exactly its sixth of the sphere.
    assert winding_numbers(vertices, open_faces, np.zeros((1, 3)))[0] == pytest.approx(5 / 6, abs=TOLERANCE)


def test_an_inside_out_mesh_has_opposite_numbers_and_the_same_inside():
    vertices, faces = box()
    queries = queries_around(5000)
    numbers = winding_numbers(vertices, faces, queries)
    np.testing.assert_allclose(winding_numbers(vertices, faces[:, ::-1], queries), -numbers, atol=1e-5)
    assert np.array_equal(occupied(vertices, faces[:, ::-1], queries), occupied(vertices, faces, queries))


def test_where_bodies_overlap_numbers_add_up_and_both_are_inside():
    vertices, faces = box()
    two = np.concatenate([vertices, vertices + [1.0, 0.0, 0.0]]), np.concatenate([faces, faces + len(vertices)])
    queries = np.array([[0.5, 0.1, 0.2], [-0.5, 0.1, 0.2], [1.5, 0.1, 0.2], [2.5, 0.1, 0.2]])
    np.testing.assert_allclose(winding_numbers(*two, queries), [2, 1, 1, 0], atol=TOLERANCE)
    assert occupied(*two, queries).tolist() == [True, True, True, False]


def test_place_and_size_of_the_mesh_do_not_matter():
    vertices, faces = arrays(trimesh.creation.icosphere(3))
    queries = queries_around(2000)
    here = winding_numbers(vertices, faces, queries)
    place = np.array([4e6, -7e5, 300.0])
    far = winding_numbers(vertices * 0.01 + place, faces, queries * 0.01 + place)
    near_surface = np.abs(np.linalg.norm(queries, axis=1) - 1.0) < 0.02
    np.testing.assert_allclose(far[~near_surface], here[~near_surface], atol=TOLERANCE)


def test_chunks_change_nothing(monkeypatch):
    vertices, faces = arrays(trimesh.creation.icosphere(3))
    queries = queries_around(1000)
    whole = winding_numbers(vertices, faces, queries)
    monkeypatch.setattr(winding, "_QUERIES_PER_CHUNK", 7)
    assert np.array_equal(winding_numbers(vertices, faces, queries), whole)
    numbers = WindingNumbers(vertices, faces)
    assert np.array_equal(np.concatenate([numbers(part) for part in np.array_split(queries, 3)]), whole)


def test_nothing_is_inside_of_nothing():
    vertices, faces = box()
    assert winding_numbers(vertices, faces, np.zeros((0, 3))).shape == (0,)
    assert occupied(vertices, faces, np.zeros((0, 3))).dtype == bool
    queries = queries_around(3)
    assert not occupied(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64), queries).any()
    point = np.zeros((3, 3)), np.array([[0, 1, 2]])  # a face without area
    assert np.array_equal(winding_numbers(*point, queries), np.zeros(3))


def test_the_arguments_are_left_as_they_were():
    vertices, faces = box()
    queries = queries_around(10)
    for array in (vertices, faces, queries):
        array.flags.writeable = False
    occupied(np.asfortranarray(vertices), faces.astype(np.int32), queries)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"queries": np.array([[0.0, 0, 0], [np.nan, 0, 0]])}, "queries: expected finite numbers, found 1 of 2"),
        ({"queries": np.zeros((4, 2))}, r"queries: expected an array of shape \(Q, 3\), found \(4, 2\)"),
        ({"vertices": np.full((8, 3), np.inf)}, "vertices: expected finite numbers, found 8 of 8"),
        ({"faces": np.array([[0, 1, 8]])}, "faces: expected vertices 0 to 7, found 0 to 8"),
        ({"faces": np.array([[0, 1, -1]])}, "faces: expected vertices 0 to 7, found -1 to 1"),
        ({"faces": np.zeros((2, 4), dtype=int)}, r"faces: expected an array of shape \(N, 3\), found \(2, 4\)"),
        ({"faces": np.array([[0.0, 1, 2]])}, "faces: expected whole numbers, found float64"),
    ],
)
def test_what_cannot_be_answered_is_refused(change, sentence):
    vertices, faces = box()
    with pytest.raises(ValueError, match=sentence):
        winding_numbers(**{"vertices": vertices, "faces": faces, "queries": np.zeros((1, 3)), **change})


def test_without_libigl_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(ValueError, match=r"needs the package igl.*pip install 'libigl>="):
        winding_numbers(*box(), np.zeros((1, 3)))


def test_importing_the_module_does_not_import_libigl():
    code = "import sys, sparse_convonet.mesh.winding; sys.exit('igl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=120).returncode == 0
