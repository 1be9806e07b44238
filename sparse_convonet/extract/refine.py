"""Stage extract: move vertices onto the field's threshold surface.

The published extraction (Mescheder et al. 2019, section 3.3; 30 RMSprop steps on the vertices) minimises the
squared distance of the field's value from the threshold at random points of the faces, plus a small term for
the faces' normals.  Here every vertex takes a few Newton steps along the field's gradient instead, shortened
until they bring its value closer to the threshold, and never leaves a ball of half a cell: each step can only
improve, none needs a learning rate, and a result does not depend on random samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.mesh.topology import face_normals_scaled
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

# (Q, 3) float32 field coordinates -> logits (Q,) and their gradient (Q, 3)
ValueAndGradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_TINY = 1e-12  # squared gradient below which there is no direction to go
_SETTLED = 1e-4  # a logit this close to the threshold needs no further step
UNFLIP_PASSES = 8  # taking vertices back can turn over a neighbouring face, so look again


def refine(
    mesh: Mesh,
    value_and_gradient: ValueAndGradient,
    steps: int,
    *,
    cell: float,
    threshold: float = 0.0,
) -> Mesh:
    """The mesh (field coordinates) with its vertices moved to where the logit is `threshold`.

    cell: edge of the finest extraction cells, in field units; no vertex moves farther than half of it.  Vertices
    of faces that would turn over stay where they were.  Faces are unchanged, normals are dropped.
    """
    if steps < 1 or len(mesh.vertices) == 0:
        return mesh
    moved = approach(mesh.vertices, value_and_gradient, steps, cell=cell, threshold=threshold)
    return replace(mesh, vertices=without_flips(mesh, moved), normals=None)


def approach(
    vertices: np.ndarray, value_and_gradient: ValueAndGradient, steps: int, *, cell: float, threshold: float
) -> np.ndarray:
    """(V, 3) float64: vertices (V, 3) moved as by `refine`, each for itself, whatever faces turn over."""
    moved = vertices.copy()
    for chunk in query_chunks(len(moved)):
        moved[chunk] = _approach(vertices[chunk], value_and_gradient, steps, cell / 2, threshold)
    return moved


def _approach(
    start: np.ndarray, value_and_gradient: ValueAndGradient, steps: int, reach: float, threshold: float
) -> np.ndarray:
    """(Q, 3) float64: damped Newton steps from `start`, kept within `reach` of it."""
    best = start.copy()
    error, gradient = _error_and_gradient(best, value_and_gradient, threshold)
    damping = np.ones(len(start))
    for _ in range(steps):
        squared = np.einsum("ij,ij->i", gradient, gradient)
        going = np.flatnonzero((squared > _TINY) & (np.abs(error) > _SETTLED))
        if len(going) == 0:
            break
        newton = -(damping * error)[going, None] * gradient[going] / squared[going, None]
        offset = best[going] + newton - start[going]
        length = np.linalg.norm(offset, axis=1, keepdims=True)
        offset *= np.minimum(1.0, reach / np.maximum(length, reach * 1e-9))
        trial = start[going] + offset
        trial_error, trial_gradient = _error_and_gradient(trial, value_and_gradient, threshold)
        better = np.abs(trial_error) < np.abs(error[going])
        taken = going[better]
        best[taken], error[taken], gradient[taken] = trial[better], trial_error[better], trial_gradient[better]
        damping[going] = np.where(better, 1.0, damping[going] / 2)
    return best


def _error_and_gradient(
    positions: np.ndarray, value_and_gradient: ValueAndGradient, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    value, gradient = value_and_gradient(positions.astype(np.float32))
    gradient = np.where(np.isfinite(gradient), gradient, 0.0).astype(np.float64)
    return np.asarray(value, dtype=np.float64) - threshold, gradient


def without_flips(mesh: Mesh, moved: np.ndarray) -> np.ndarray:
    """(V, 3): the moved vertices, except those of faces that would turn over or lose all area.

    What becomes of a vertex depends on the faces up to UNFLIP_PASSES vertices away from it.
    """
    before = face_normals_scaled(mesh)
    moved = moved.copy()
    returned = np.zeros(len(moved), dtype=bool)
    for _ in range(UNFLIP_PASSES):
        after = face_normals_scaled(replace(mesh, vertices=moved))
        flipped = np.einsum("ij,ij->i", before, after) <= 0
        back = np.zeros(len(moved), dtype=bool)
        back[mesh.faces[flipped]] = True
        back &= ~returned
        if not back.any():
            break
        moved[back] = mesh.vertices[back]
        returned |= back
    logger.info("refined %d vertices, %d kept in place because a face would turn over", len(moved), returned.sum())
    return moved
