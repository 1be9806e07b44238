"""Watertight triangle meshes of solid voxel grids, with as few faces as the shape allows."""

from __future__ import annotations

import functools
import logging
from types import ModuleType

import numpy as np
from skimage import measure

from sparse_convonet.mesh.raycast import TriangleScene

logger = logging.getLogger(__name__)

FEWEST_FACES = 300  # merging coplanar faces stops here
FACE_TARGETS = (2_000, 4_000)  # tried in turn where more faces than that are left
DEVIATION_M = 0.01
# Just below one half: at exactly one half the corners of voxels that touch along an edge tie, and marching cubes can
# decide the tie differently in neighbouring cells, which leaves edges with four faces.
LEVEL = 0.499
# fast_simplification merges edges whose quadric error is below a threshold that grows with this setting: up to 3 only
# coplanar faces of voxel meshes are merged, from 5 on their stairs are smoothed as well.
_COPLANAR_ONLY = 3
_SMOOTHING = 5


def mesh_of_voxels(voxels: np.ndarray, voxel_size_m: float) -> tuple[np.ndarray, np.ndarray]:
    """vertices (V, 3) float64 in voxels from the grid's lowest corner; faces (F, 3) int64, anticlockwise from outside.

    voxels: (X, Y, Z) bool.  The mesh is the half level of the trilinear interpolation between voxel centres, by
    marching cubes with coplanar faces merged.  Where that leaves more than 2000 faces it is decimated to 2000 or 4000,
    provided that it stays watertight and within both DEVIATION_M and one voxel.  All faces stay where the package
    fast_simplification is not installed, which is logged once.
    """
    padded = np.pad(voxels, 1).astype(np.float32)
    vertices, triangles, _, _ = measure.marching_cubes(padded, level=LEVEL, gradient_direction="ascent")
    vertices, faces = vertices.astype(np.float64) - 0.5, triangles.astype(np.int64)  # voxel 1 of the padded grid is 0
    if _simplification() is None:
        return vertices, faces
    merged = _simplify(vertices, faces, FEWEST_FACES, _COPLANAR_ONLY)
    if merged is not None:
        vertices, faces = merged
    for target in FACE_TARGETS:
        if len(faces) <= target:
            break
        smaller = _simplify(vertices, faces, target, _SMOOTHING)
        if smaller is not None and _deviation((vertices, faces), smaller) <= min(DEVIATION_M / voxel_size_m, 1.0):
            return smaller
    return vertices, faces


@functools.cache
def _simplification() -> ModuleType | None:
    try:
        import fast_simplification
    except ModuleNotFoundError:
        logger.warning(
            "fast_simplification is not installed: furniture keeps all faces of its voxels, which costs time"
        )
        return None
    module: ModuleType = fast_simplification
    return module


def _simplify(
    vertices: np.ndarray, faces: np.ndarray, target: int, aggression: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """The mesh with `target` faces or more; None when the result is no closed surface."""
    simplification = _simplification()
    assert simplification is not None  # mesh_of_voxels has asked
    simplified = simplification.simplify(
        vertices.astype(np.float32), faces.astype(np.int32), target_count=min(target, len(faces)), agg=aggression
    )
    result = simplified[0].astype(np.float64), simplified[1].astype(np.int64)
    return result if is_closed(result[1]) else None


def is_closed(faces: np.ndarray) -> bool:
    """Whether every directed edge of the faces (F, 3) occurs once and its reverse once: a closed, oriented surface."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    size = int(faces.max()) + 1 if len(faces) else 1
    forward = np.sort(edges[:, 0] * size + edges[:, 1])
    backward = np.sort(edges[:, 1] * size + edges[:, 0])
    return len(faces) > 0 and bool((np.diff(forward) > 0).all()) and np.array_equal(forward, backward)


def _deviation(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray]) -> float:
    """The greatest distance, voxels, from vertices and face centres of either mesh to the other."""

    def samples(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return np.concatenate([vertices, vertices[faces].mean(axis=1)])

    return max(_greatest_distance(samples(*first), *second), _greatest_distance(samples(*second), *first))


def _greatest_distance(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    return float(TriangleScene(vertices, faces).nearest(points)[0].max())
