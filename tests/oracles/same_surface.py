"""Whether two meshes are one surface, and the mesh of tiles joined by the names of their vertices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName


def assert_same_surface(found: Mesh, expected: Mesh) -> None:
    """The same vertices and faces, bit by bit, in any order."""
    orders = [np.lexsort(mesh.vertices.T) for mesh in (found, expected)]
    np.testing.assert_array_equal(found.vertices[orders[0]], expected.vertices[orders[1]])
    assert len(np.unique(expected.vertices, axis=0)) == len(expected.vertices)  # so the order names each vertex
    faces = [_sorted_faces(mesh.faces, order) for mesh, order in zip((found, expected), orders, strict=True)]
    np.testing.assert_array_equal(faces[0], faces[1])


def assert_nearly_same_surface(found: Mesh, expected: Mesh, distance: float) -> None:
    """The same faces on the same vertices, which rounding may have moved by less than a distance."""
    assert len(found.vertices) == len(expected.vertices) and len(found.faces) == len(expected.faces)
    moved, same = cKDTree(expected.vertices).query(found.vertices)
    assert moved.max() < distance and len(np.unique(same)) == len(same)
    every = np.arange(len(same))
    ours, theirs = _sorted_faces(same[found.faces], every), _sorted_faces(expected.faces, every)
    np.testing.assert_array_equal(ours, theirs)


def _sorted_faces(faces: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(F, 3) faces with vertices numbered in the given order, each from its lowest on, sorted."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    named = place[faces]
    turned = named[np.arange(len(named))[:, None], (named.argmin(axis=1)[:, None] + np.arange(3)) % 3]
    return turned[np.lexsort(turned.T)]


def joined_by_keys(tiles: Mapping[TileName, TileMesh]) -> Mesh:
    """The vertices that each tile owns, and all faces, in the order of the tiles."""
    row: dict[int, int] = {}
    vertices: list[np.ndarray] = []
    for _, mesh in sorted(tiles.items()):
        for key, place in zip(mesh.keys[mesh.own].tolist(), mesh.vertices[mesh.own], strict=True):
            row[key] = len(vertices)
            vertices.append(place)
    faces = [[row[key] for key in mesh.keys[mesh.faces].ravel().tolist()] for _, mesh in sorted(tiles.items())]
    flat = np.array([number for part in faces for number in part], dtype=np.int64)
    return Mesh(np.array(vertices).reshape(-1, 3), flat.reshape(-1, 3))
