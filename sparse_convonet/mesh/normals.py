"""Stage mesh: vertex normals from the field's gradient, and from the faces where the field gives none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

Gradient = Callable[[np.ndarray], np.ndarray]  # (Q, 3) float32 field coordinates -> (Q, 3) gradient of the logit

_TINY = 1e-12  # squared length below which a direction means nothing


def with_area_normals(mesh: Mesh) -> Mesh:
    """The mesh with vertex normals averaged over the faces around, weighted by area; zero at unused vertices."""
    return replace(mesh, normals=_area_normals(mesh).astype(np.float32))


def with_field_normals(mesh: Mesh, gradient: Gradient) -> Mesh:
    """The mesh (field coordinates) with normals along the falling logit, see falling_normals."""
    return with_normals_along(mesh, gradients_at(mesh.vertices, gradient))


def with_normals_along(mesh: Mesh, gradients: np.ndarray) -> Mesh:
    """The mesh with the falling_normals of gradients (V, 3) at its vertices."""
    return replace(mesh, normals=falling_normals(gradients, _area_normals(mesh)).astype(np.float32))


def gradients_at(vertices: np.ndarray, gradient: Gradient) -> np.ndarray:
    """(V, 3) float64: the gradient at vertices (V, 3) in field coordinates, a bounded number at a time."""
    gradients = np.empty((len(vertices), 3))
    for chunk in query_chunks(len(vertices)):
        gradients[chunk] = gradient(vertices[chunk].astype(np.float32))
    return gradients


def falling_normals(gradients: np.ndarray, by_area: np.ndarray) -> np.ndarray:
    """(V, 3) float64 unit vectors along the falling logit, which points out of occupied space.

    Where the gradient (V, 3) vanishes, is not finite, or points against the normal of the faces around, by_area (V, 3),
    that is used; how often is logged.
    """
    normals = -np.asarray(gradients, dtype=np.float64)
    squared = np.einsum("ij,ij->i", normals, normals)
    unusable = ~np.isfinite(squared) | (squared < _TINY)
    unusable |= np.einsum("ij,ij->i", np.where(unusable[:, None], 0, normals), by_area) < 0
    normals[unusable], squared[unusable] = by_area[unusable], 1.0
    logger.info("normals of %d of %d vertices come from the faces around", int(unusable.sum()), len(normals))
    return normals / np.sqrt(squared)[:, None]


def central_differences(evaluate: Callable[[np.ndarray], np.ndarray], step: float) -> Gradient:
    """A gradient from six evaluations per query, `step` field units to either side."""

    def gradient(queries: np.ndarray) -> np.ndarray:
        result = np.empty((len(queries), 3))
        for axis in range(3):
            shift = np.zeros(3, dtype=np.float32)
            shift[axis] = step
            result[:, axis] = evaluate(queries + shift) - evaluate(queries - shift)
        return result / (2 * step)

    return gradient


def _area_normals(mesh: Mesh) -> np.ndarray:
    """(V, 3) float64 unit vectors, zero where no face with an area meets the vertex."""
    normals = np.zeros((len(mesh.vertices), 3))
    add_face_normals(mesh, normals)
    return unit_or_zero(normals)


def add_face_normals(mesh: Mesh, sums: np.ndarray) -> None:
    """Add the normal of each face, twice its area long, to the sums (V, 3) float64 of its vertices, face by face."""
    vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float64)
    _add_face_normals(vertices, np.ascontiguousarray(mesh.faces, dtype=np.int64), sums)


def unit_or_zero(normals: np.ndarray) -> np.ndarray:
    """(V, 3) float64, each of length 1, or 0 where it is."""
    length = np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


@njit(cache=True, nogil=True)
def _add_face_normals(vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> None:
    """Add each face's normal, twice its area long, to its three vertices."""
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in range(3):
            vertex = faces[face, corner]
            normals[vertex, 0] += x
            normals[vertex, 1] += y
            normals[vertex, 2] += z
