from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.topology import is_watertight, keep_faces, mesh_statistics
from sparse_convonet.structures import Mesh


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
