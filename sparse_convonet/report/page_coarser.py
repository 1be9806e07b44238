"""Stage report: a mesh with fewer faces for a page; what it loses in detail it keeps in shape."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.mesh.light_numba import number_by_first_use
from sparse_convonet.structures import Mesh

MOST_COLLAPSED = (
    8_000_000  # faces: more would take gigabytes to collapse edge by edge, so that corners are merged before
)
_AGGRESSION = 5  # of fast_simplification: quick, and even in its error
_GROWTH = 1.3  # of the cells in which corners are merged, from one attempt to the next


def coarser_mesh(mesh: Mesh, faces: int, most_collapsed: int = MOST_COLLAPSED) -> tuple[Mesh, np.ndarray]:
    """A mesh of about so many faces or fewer, and for each of its vertices the nearest of the given mesh, (V,) int64.

    It has the colours of those and no normals.  Where the mesh has more faces than most_collapsed, its vertices are
    merged within cells first.
    """
    coarse = _merged(mesh, most_collapsed) if len(mesh.faces) > most_collapsed else mesh
    if len(coarse.faces) > faces:
        coarse = _collapsed(coarse, faces)
    _, nearest = cKDTree(mesh.vertices).query(coarse.vertices, workers=-1)
    colours = None if mesh.colours is None else mesh.colours[nearest]
    return Mesh(coarse.vertices, coarse.faces, colours=colours), nearest


def _collapsed(mesh: Mesh, faces: int) -> Mesh:
    """About so many faces, fewer than there are."""
    import fast_simplification  # here, since most pages do without it

    middle = mesh.vertices.mean(axis=0)  # it computes in float32
    vertices, corners = fast_simplification.simplify(
        (mesh.vertices - middle).astype(np.float32),
        mesh.faces.astype(np.int32),
        target_count=faces,
        agg=_AGGRESSION,
    )
    return Mesh(vertices.astype(np.float64) + middle, corners.astype(np.int64))


def _merged(mesh: Mesh, faces: int) -> Mesh:
    """At most so many faces: the vertices in each cell of a grid become one, their mean."""
    first, second = (mesh.vertices[mesh.faces[:, n]] - mesh.vertices[mesh.faces[:, 0]] for n in (1, 2))
    area = 0.5 * float(np.linalg.norm(np.cross(first, second), axis=1).sum())
    del first, second
    cell = np.sqrt(2 * area / faces)
    while True:
        places = np.floor((mesh.vertices - mesh.vertices.min(axis=0)) / cell).astype(np.int64)
        shape = places.max(axis=0) + 1
        keys = (places[:, 0] * shape[1] + places[:, 1]) * shape[2] + places[:, 2]
        _, place, counts = np.unique(keys, return_inverse=True, return_counts=True)
        place = place.reshape(-1)
        corners = place[mesh.faces]
        distinct = (np.diff(corners, axis=1) != 0).all(axis=1) & (corners[:, 0] != corners[:, 2])
        if np.count_nonzero(distinct) <= faces:
            break
        cell *= _GROWTH
    sums = [np.bincount(place, mesh.vertices[:, axis], len(counts)) for axis in range(3)]
    used, local = number_by_first_use(corners[distinct], 0, len(counts) - 1)
    return Mesh((np.stack(sums, axis=1) / counts[:, None])[used], local)
