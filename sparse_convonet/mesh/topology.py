"""Stage mesh: which faces meet at which edges, and what that says about a mesh (closed, pieces, Euler number)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.mesh import topology_numba as compiled
from sparse_convonet.runtime.threads import run_ranges
from sparse_convonet.structures import Mesh

_PARTS = 16  # of the faces, for threads; each is large enough to be worth handing over
_EDGE_PARTS = 2  # of the vertices: every part reads all faces


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
    """Count and check; time and memory grow with the faces."""
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[mesh.faces.ravel()] = True
    vertices = int(used.sum())
    edges, closed = check_edges(mesh.faces, len(mesh.vertices))
    _, pieces = _label(mesh.faces, len(mesh.vertices))
    return MeshStatistics(
        vertices=vertices,
        faces=len(mesh.faces),
        area=float(face_areas(mesh).sum()),
        components=pieces - (len(mesh.vertices) - vertices),  # each unused vertex is a piece of its own
        watertight=closed,
        euler_number=vertices - edges + len(mesh.faces),
    )


def is_watertight(faces: np.ndarray, vertex_count: int) -> bool:
    """Whether every directed edge occurs once and its reverse once."""
    return check_edges(faces, vertex_count)[1]


def check_edges(faces: np.ndarray, vertex_count: int, apart: np.ndarray | None = None) -> tuple[int, bool]:
    """How many different edges there are, and whether the faces are watertight.

    apart: (V,) bool, vertices between which edges are not looked at.
    """
    if len(faces) == 0:
        return 0, False
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    left_out = np.zeros(0, dtype=bool) if apart is None else np.ascontiguousarray(apart)
    found = [(0, True)] * _EDGE_PARTS

    def check(part: int, begin: int, end: int) -> None:
        found[part] = compiled.check_edges(faces, begin, end, left_out)

    run_ranges(check, vertex_count, _EDGE_PARTS)
    return sum(edges for edges, _ in found), all(closed for _, closed in found)


def vertex_components(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    """(V,) int32: the number of the connected piece that each vertex belongs to, in the order of lowest vertices."""
    return _label(faces, vertex_count)[0]


def _label(faces: np.ndarray, vertex_count: int) -> tuple[np.ndarray, int]:
    """vertex_components, and how many there are."""
    labels = np.empty(vertex_count, dtype=np.int32)
    return labels, compiled.label_components(np.ascontiguousarray(faces, dtype=np.int64), labels)


def face_normals_scaled(mesh: Mesh) -> np.ndarray:
    """(F, 3) float64: normal times twice the area of each face."""
    return _per_face(compiled.fill_normals, mesh, np.empty((len(mesh.faces), 3)))


def face_areas(mesh: Mesh) -> np.ndarray:
    """(F,) float64, in squared units of the mesh."""
    return _per_face(compiled.fill_areas, mesh, np.empty(len(mesh.faces)))


def _per_face(fill: Callable[..., None], mesh: Mesh, filled: np.ndarray) -> np.ndarray:
    vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
    run_ranges(lambda part, begin, end: fill(vertices, faces, filled, begin, end), len(faces), _PARTS)
    return filled


def keep_faces(mesh: Mesh, keep: np.ndarray) -> Mesh:
    """The mesh of the faces where `keep` (F,) bool is true, without unused vertices."""
    assert len(keep) == len(mesh.faces)
    faces = np.ascontiguousarray(mesh.faces, dtype=np.int64)
    number = np.full(len(mesh.vertices), -1, dtype=np.int64)
    kept = np.empty((int(np.count_nonzero(keep)), 3), dtype=np.int64)
    compiled.keep_and_number(faces, np.ascontiguousarray(keep, dtype=bool), number, kept)
    used = np.flatnonzero(number >= 0)
    return replace(
        mesh,
        vertices=mesh.vertices.take(used, axis=0),
        faces=kept,
        normals=None if mesh.normals is None else mesh.normals.take(used, axis=0),
        colours=None if mesh.colours is None else mesh.colours.take(used, axis=0),
        attributes={name: values[used] for name, values in mesh.attributes.items()},
    )
