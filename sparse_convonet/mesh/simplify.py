"""Stage mesh: fewer faces by quadric decimation (Garland and Heckbert 1997, as in open3d), to a count or an error."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import open3d
from open3d.core import Tensor
from scipy.spatial import cKDTree

from sparse_convonet.mesh.cleanup import remove_small_components
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.finish import LEAST_FACES
from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

_MORE_FACES = (1.0, 1.1, 1.3, 1.7)  # tried in turn when decimation opens a mesh that was closed
_STEP = 0.7  # the face count falls by this factor from one measured attempt to the next
_ATTEMPTS = 12  # with bounds that fall by the same factor
_SAMPLES = 200_000  # vertices whose distance to the other surface is measured
_BOUNDARY_WEIGHT = 1.0  # open borders resist like the surface does


@dataclass(frozen=True)
class Simplified:
    """A simplified mesh.  error: the largest distance measured between the two surfaces, in units of the mesh."""

    mesh: Mesh
    error: float


def simplify_to_faces(mesh: Mesh, faces: int) -> Mesh:
    """The mesh with about `faces` faces; unchanged when it has no more.

    A watertight mesh stays so: where decimation would open it, a few more faces are kept, and where that
    does not help the mesh is returned unchanged (logged).  Colours are those of the nearest vertices; normals
    are dropped.
    """
    if faces < LEAST_FACES:
        raise ValueError(f"simplify: expected at least {LEAST_FACES} faces to keep, found {faces}")
    if len(mesh.faces) <= faces:
        return mesh
    closed = is_watertight(mesh.faces, len(mesh.vertices))
    for factor in _MORE_FACES:
        target = min(int(faces * factor), len(mesh.faces))
        simplified = _decimate(mesh, target)
        if not closed or is_watertight(simplified.faces, len(simplified.vertices)):
            return _with_nearest_colours(simplified, mesh)
        logger.info("decimation to %d faces would open the mesh, trying more", target)
    logger.warning("not simplified: decimation to %d faces would open a watertight mesh", faces)
    return mesh


def simplify_to_error(mesh: Mesh, error: float) -> Simplified:
    """The mesh with the fewest faces, within some 30 %, that stays within `error` of the original.

    The error of every attempt is measured, not estimated from quadrics: the largest distance of (at most
    200,000) vertices of either mesh to the other's surface.  Each attempt has 0.7 times the faces of the one before,
    and continues from it; the last within the error wins.  The borders of an open mesh stay as they are.
    error: in units of the mesh.
    """
    if not error > 0:
        raise ValueError(f"simplify: expected a positive error, found {error}")
    original, best = _Surface(mesh), Simplified(mesh, 0.0)
    if not is_watertight(mesh.faces, len(mesh.vertices)):
        best = _with_its_borders(mesh, original, error)
        logger.info("simplified %d faces to %d, error %.6f", len(mesh.faces), len(best.mesh.faces), best.error)
        return best
    while len(best.mesh.faces) * _STEP >= LEAST_FACES:
        attempt = simplify_to_faces(best.mesh, int(len(best.mesh.faces) * _STEP))
        if len(attempt.faces) >= len(best.mesh.faces) or len(attempt.faces) == 0:
            break
        measured = original.farthest_from(_Surface(attempt))
        if measured > error:
            break
        best = Simplified(attempt, measured)
    logger.info("simplified %d faces to %d, error %.6f", len(mesh.faces), len(best.mesh.faces), best.error)
    return best


def _with_its_borders(mesh: Mesh, original: _Surface, error: float) -> Simplified:
    """The same for an open mesh, whose borders open3d's decimation pulls in by more than most errors."""
    bound = error
    for _ in range(_ATTEMPTS):
        attempt = collapse_edges(mesh, bound).mesh
        measured = original.farthest_from(_Surface(attempt)) if len(attempt.faces) else np.inf
        if measured <= error:
            return Simplified(attempt, measured)
        bound *= _STEP
    return Simplified(mesh, 0.0)


def surface_distance(first: Mesh, second: Mesh) -> float:
    """The largest distance of vertices of either mesh (evenly chosen, at most 200,000) to the other's surface."""
    return _Surface(first).farthest_from(_Surface(second))


class _Surface:
    """A mesh ready for distance queries, around its own middle since open3d computes in float32."""

    def __init__(self, mesh: Mesh) -> None:
        self._samples = mesh.vertices[:: -(-len(mesh.vertices) // _SAMPLES)]
        self._middle = mesh.vertices.mean(axis=0)
        self._scene = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            Tensor.from_numpy((mesh.vertices - self._middle).astype(np.float32)),
            Tensor.from_numpy(mesh.faces.astype(np.uint32)),
        )

    def farthest_from(self, other: _Surface) -> float:
        """The largest distance of either surface's samples to the other surface."""
        return max(self._reach(other._samples), other._reach(self._samples))

    def _reach(self, points: np.ndarray) -> float:
        centred = Tensor.from_numpy((points - self._middle).astype(np.float32))
        return float(self._scene.compute_distance(centred).numpy().max())


def _decimate(mesh: Mesh, faces: int) -> Mesh:
    origin = mesh.vertices.mean(axis=0)  # quadrics hold squared coordinates: far from zero they lose the surface
    legacy = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices - origin),
        open3d.utility.Vector3iVector(mesh.faces.astype(np.int32)),
    )
    legacy = legacy.simplify_quadric_decimation(faces, boundary_weight=_BOUNDARY_WEIGHT)
    decimated = Mesh(np.array(legacy.vertices) + origin, np.array(legacy.triangles, dtype=np.int64).reshape(-1, 3))
    # What decimation leaves with fewer faces has no volume.
    return remove_small_components(decimated, min_faces=LEAST_FACES).mesh


def _with_nearest_colours(simplified: Mesh, original: Mesh) -> Mesh:
    if original.colours is None or len(simplified.vertices) == 0:
        return simplified
    _, nearest = cKDTree(original.vertices).query(simplified.vertices, workers=-1)
    return Mesh(simplified.vertices, simplified.faces, colours=original.colours[nearest])
