from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sparse_convonet.mesh.topology import (
    face_areas,
    face_normals_scaled,
    is_watertight,
    keep_faces,
    mesh_statistics,
    vertex_components,
)
from sparse_convonet.structures import Mesh
from tests.oracles import topology as oracle

VERTICES = 9
FACES = arrays.arrays(np.int64, st.tuples(st.integers(0, 14), st.just(3)), elements=st.integers(0, VERTICES - 1))


def _mesh(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.array(shape.vertices), np.array(shape.faces, dtype=np.int64))


SHAPES = {
    "sphere": trimesh.creation.icosphere(subdivisions=3),
    "torus": trimesh.creation.torus(2.0, 0.5),
    "two boxes": trimesh.util.concatenate(
        [trimesh.creation.box(), trimesh.creation.box().apply_translation((3.0, 0.0, 0.0))]
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_statistics_equal_those_of_trimesh(name: str) -> None:
    shape = SHAPES[name]
    statistics = mesh_statistics(_mesh(shape))
    assert statistics.watertight
    assert statistics.euler_number == shape.euler_number
    assert statistics.area == pytest.approx(shape.area)
    assert statistics.components == shape.body_count
    assert (statistics.vertices, statistics.faces) == (len(shape.vertices), len(shape.faces))


def test_a_mesh_is_not_watertight_with_a_face_missing_turned_or_doubled() -> None:
    mesh = _mesh(SHAPES["sphere"])
    faces, count = mesh.faces, len(mesh.vertices)
    assert is_watertight(faces, count)
    assert not is_watertight(faces[1:], count)
    assert not is_watertight(np.concatenate([faces[:1, ::-1], faces[1:]]), count)
    assert not is_watertight(np.concatenate([faces, faces[:1]]), count)


def test_unused_vertices_are_not_counted_and_are_dropped() -> None:
    mesh = _mesh(SHAPES["sphere"])
    spare = Mesh(np.concatenate([np.zeros((5, 3)), mesh.vertices]), mesh.faces + 5)
    assert mesh_statistics(spare) == mesh_statistics(mesh)
    kept = keep_faces(spare, np.ones(len(mesh.faces), dtype=bool))
    np.testing.assert_array_equal(kept.vertices, mesh.vertices)
    np.testing.assert_array_equal(kept.faces, mesh.faces)


@settings(max_examples=300, deadline=None)
@given(FACES)
def test_edges_and_pieces_equal_those_counted_face_by_face(faces: np.ndarray) -> None:
    mesh = Mesh(np.random.default_rng(0).normal(size=(VERTICES, 3)), faces)
    found = mesh_statistics(mesh)
    labels = oracle.components(faces, VERTICES)
    used = set(faces.ravel().tolist())
    assert is_watertight(faces, VERTICES) == found.watertight == oracle.is_watertight(faces)
    assert vertex_components(faces, VERTICES).tolist() == labels
    assert found.components == len({labels[vertex] for vertex in used})
    assert (found.vertices, found.faces) == (len(used), len(faces))
    assert found.euler_number == len(used) - oracle.edge_count(faces) + len(faces)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["", "turn", "drop", "double", "move"]), st.integers(0, 79))
def test_one_wrong_face_anywhere_is_noticed(seed: int, change: str, face: int) -> None:
    sphere = trimesh.creation.icosphere(subdivisions=1)
    rng = np.random.default_rng(seed)
    faces = rng.permutation(len(sphere.vertices))[np.asarray(sphere.faces, dtype=np.int64)]
    if change == "turn":
        faces[face] = faces[face, ::-1]
    elif change == "drop":
        faces = np.delete(faces, face, axis=0)
    elif change == "double":
        faces = np.insert(faces, face, faces[face], axis=0)
    elif change == "move":
        faces[face, 0] = rng.choice(np.setdiff1d(np.arange(len(sphere.vertices)), faces[face]))
    assert is_watertight(faces, len(sphere.vertices)) == oracle.is_watertight(faces) == (change == "")


def test_a_vertex_of_very_many_faces_is_checked_as_any_other() -> None:
    count = 20_000  # two fans, above and below one ring
    ring = np.random.default_rng(0).permutation(count)
    following = np.roll(ring, -1)
    above = np.stack([ring, following, np.full(count, count)], axis=1)
    below = np.stack([following, ring, np.full(count, count + 1)], axis=1)
    for shift in (0, 2):  # the two centres have the highest, then the lowest numbers
        faces = (np.concatenate([above, below]) + shift) % (count + 2)
        assert is_watertight(faces, count + 2)
        assert not is_watertight(faces[:-1], count + 2)
        assert mesh_statistics(Mesh(np.zeros((count + 2, 3)), faces)).euler_number == 2


@pytest.mark.parametrize("count", [0, 1, 15, 5000])
def test_normals_and_areas_equal_the_cross_product_to_the_last_bit(count: int) -> None:
    rng = np.random.default_rng(count)
    mesh = Mesh(rng.normal(size=(40, 3)), rng.integers(0, 40, (count, 3)))
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    np.testing.assert_array_equal(face_normals_scaled(mesh), normals)
    np.testing.assert_array_equal(face_areas(mesh), np.linalg.norm(normals, axis=1) / 2)


@settings(max_examples=100, deadline=None)
@given(FACES, st.integers(0, 2**32 - 1))
def test_kept_faces_are_the_same_triangles_in_the_same_order(faces: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh = Mesh(
        rng.normal(size=(VERTICES, 3)), faces, rng.normal(size=(VERTICES, 3)).astype(np.float32),
        rng.integers(0, 256, (VERTICES, 3)).astype(np.uint8),
    )  # fmt: skip
    keep = rng.random(len(faces)) < 0.6
    kept = keep_faces(mesh, keep)
    assert kept.normals is not None and kept.colours is not None
    assert mesh.normals is not None and mesh.colours is not None
    old = np.unique(faces[keep])  # the vertices left, in their order
    np.testing.assert_array_equal(old[kept.faces], faces[keep])
    np.testing.assert_array_equal(kept.vertices, mesh.vertices[old])
    np.testing.assert_array_equal(kept.normals, mesh.normals[old])
    np.testing.assert_array_equal(kept.colours, mesh.colours[old])
    assert (kept.vertices.dtype, kept.faces.dtype, kept.normals.dtype, kept.colours.dtype) == (
        np.float64, np.int64, np.float32, np.uint8,
    )  # fmt: skip


def test_faces_are_kept_with_all_that_their_vertices_have() -> None:
    mesh = Mesh(
        np.arange(12.0).reshape(4, 3),
        np.array([[0, 1, 2], [1, 2, 3]]),
        attributes={"observed": np.array([1, 0, 1, 0], np.uint8)},
    )
    kept = keep_faces(mesh, np.array([False, True]))
    assert kept.attributes["observed"].tolist() == [0, 1, 0]
    assert kept.faces.tolist() == [[0, 1, 2]] and (kept.vertices == mesh.vertices[1:]).all()
