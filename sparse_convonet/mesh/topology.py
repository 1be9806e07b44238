"""Stage mesh: which faces meet at which edges, and what that says about a mesh (closed, pieces, Euler number)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparse_convonet.structures import Mesh


@dataclass(frozen=True)
class MeshStatistics:
    """What can be said about a mesh without the field.

    vertices: those that faces use.  area: in squared units of the mesh.  components: pieces joined by shared
    vertices.  watertight: every edge has exactly two faces, which run along it in opposite directions (an empty
    mesh is not watertight).  euler_number: vertices - edges + faces; 2 for each sphere, 0 for each torus.
    """

    vertices: int
    faces: int
    area: float
    components: int
    watertight: bool
    euler_number: int


def mesh_statistics(mesh: Mesh) -> MeshStatistics:
    """Count and check; time and memory are those of sorting the edges once."""
    edges = undirected_edges(mesh.faces, len(mesh.vertices))
    edges.sort()
    edge_count = int(np.count_nonzero(np.diff(edges)) + 1) if len(edges) else 0
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[mesh.faces] = True
    labels = vertex_components(mesh.faces, len(mesh.vertices))
    return MeshStatistics(
        vertices=int(used.sum()),
        faces=len(mesh.faces),
        area=float(face_areas(mesh).sum()),
        components=len(np.unique(labels[used])),
        watertight=is_watertight(mesh.faces, len(mesh.vertices)),
        euler_number=int(used.sum()) - edge_count + len(mesh.faces),
    )


def directed_edges(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """(3 F,) int64 keys start * V + end; edge n of face f stands at 3 * f + n."""
    return (faces * vertex_count + np.roll(faces, -1, axis=1)).ravel()


def undirected_edges(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """(3 F,) int64 keys, the same for both directions; edge n of face f stands at 3 * f + n."""
    following = np.roll(faces, -1, axis=1)
    return (np.minimum(faces, following) * vertex_count + np.maximum(faces, following)).ravel()


def is_watertight(faces: np.ndarray, vertex_count: int) -> bool:
    """Whether every directed edge occurs once and its reverse once."""
    if len(faces) == 0:
        return False
    forward = np.sort(directed_edges(faces, vertex_count))
    backward = np.sort(directed_edges(faces[:, ::-1], vertex_count))
    return bool((np.diff(forward) > 0).all() and np.array_equal(forward, backward))


def vertex_components(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """(V,) int32: the number of the connected piece that each vertex belongs to."""
    start = np.concatenate([faces[:, 0], faces[:, 1]])
    end = np.concatenate([faces[:, 1], faces[:, 2]])
    graph = coo_array((np.ones(len(start), dtype=np.int8), (start, end)), shape=(vertex_count, vertex_count))
    return connected_components(graph, directed=False)[1]


def face_normals_scaled(mesh: Mesh) -> np.ndarray:
    """(F, 3) float64: normal times twice the area of each face."""
    a, b, c = (mesh.vertices[mesh.faces[:, n]] for n in range(3))
    return np.cross(b - a, c - a)


def face_areas(mesh: Mesh) -> np.ndarray:
    """(F,) float64, in squared units of the mesh."""
    return np.linalg.norm(face_normals_scaled(mesh), axis=1) / 2


def keep_faces(mesh: Mesh, keep: np.ndarray) -> Mesh:
    """The mesh of the faces where `keep` (F,) bool is true, without unused vertices."""
    faces = mesh.faces[keep]
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[faces] = True
    number = np.cumsum(used) - 1
    return replace(
        mesh,
        vertices=mesh.vertices[used],
        faces=number[faces],
        normals=None if mesh.normals is None else mesh.normals[used],
        colours=None if mesh.colours is None else mesh.colours[used],
    )
