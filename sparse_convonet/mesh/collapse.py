"""Stage mesh: fewer faces by collapsing edges that lie flat; borders can be kept, so parts of a mesh fit together after.

Quadric error metrics as in Garland and Heckbert 1997, in sweeps over all edges with a growing bound instead of a queue, as
fast-simplification does.  That library, pyfqmr and open3d were tried first, on 344,473 faces of a scanned hall, to have 10
times fewer: the first and the third move borders, the second leaves edges with more than two faces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.mesh.collapse_numba import fill_quadrics, lock_rims, sweep
from sparse_convonet.structures import Mesh

_BOUNDS = (0.2, 0.4, 0.6, 0.8)  # shares of the error in the first sweeps; then all of it
_SWEEPS = 30
_REACH = 2.0  # errors that a vertex may be away from the surface that stands for it
_GAIN = 0.05  # a sweep that takes fewer of the faces is the last


@dataclass(frozen=True)
class CollapsedMesh:
    """mesh: without normals.  rows: (V,) int64 ascending, the vertices of the given mesh that are left.  on_rim: (V,) bool
    those of them on edges that did not have two faces; they are where they were."""

    mesh: Mesh
    rows: np.ndarray
    on_rim: np.ndarray


def collapse_edges(mesh: Mesh, error: float) -> CollapsedMesh:
    """The mesh with fewer faces.

    error: the root of the mean squared distance, over the surface that a vertex stands for, to the planes of its faces,
    may be at most so much, in units of the mesh; the farthest of the vertices that it stands for, as far as it is known,
    is kept within twice as much.  Vertices on edges that do not have two faces stay where they are.  Closed surfaces stay
    closed, and no face turns over.  Colours are means over what each vertex stands for.  Raises ValueError where the
    error is not positive.
    """
    if not error > 0:
        raise ValueError(f"simplify: expected a positive error, found {error}")
    middle = mesh.vertices.mean(axis=0) if len(mesh.vertices) else np.zeros(3)
    vertices, faces = mesh.vertices - middle, mesh.faces.astype(np.uint32)
    farthest = vertices.copy()
    on_rim = np.zeros(len(vertices), dtype=np.bool_)
    lock_rims(faces, on_rim)
    quadrics = np.zeros((len(vertices), 11))
    fill_quadrics(vertices, faces, quadrics)
    colours = np.zeros((len(vertices), 0), np.float32) if mesh.colours is None else mesh.colours.astype(np.float32)
    live = len(faces)
    for number in range(_SWEEPS):
        bound = error * (_BOUNDS[number] if number < len(_BOUNDS) else 1.0)
        before = live
        live = sweep(vertices, faces, live, quadrics, farthest, colours, on_rim, bound, _REACH * error)
        if number >= len(_BOUNDS) and before - live < _GAIN * before:
            break
    faces = faces[:live]
    left = np.zeros(len(vertices), dtype=bool)
    left[faces] = True
    rows = np.flatnonzero(left)
    places = np.where(on_rim[rows, None], mesh.vertices[rows], vertices[rows] + middle)
    mean_colours = None if mesh.colours is None else np.rint(colours[rows]).astype(np.uint8)
    number_of = np.cumsum(left) - 1
    return CollapsedMesh(Mesh(places, number_of[faces], colours=mean_colours), rows, on_rim[rows])
