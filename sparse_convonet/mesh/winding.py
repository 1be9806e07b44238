"""Which points lie inside a triangle mesh that need not be closed, by fast winding numbers.

Barill, Dickson, Schmidt, Levin, Jacobson: Fast Winding Numbers for Soups and Clouds, SIGGRAPH 2018, by libigl (MPL 2;
its copyleft submodules are not imported).  A point inside a closed mesh whose faces are counter-clockwise from outside
has winding number 1, outside 0; near holes it lies between.
"""

from __future__ import annotations

import logging
from functools import cached_property

import numpy as np

from sparse_convonet.runtime.refusals import require_package

# libigl's own default, 2, is off by up to 0.005; 4 by up to 0.0002, in three times the time.
_ACCURACY = 4.0
_EXPANSION_ORDER = 2  # the highest that libigl has
_QUERIES_PER_CHUNK = 1 << 18  # bounds the copies of queries to some MB
INSIDE = 0.5

logger = logging.getLogger(__name__)


class WindingNumbers:
    """The winding numbers of one mesh; keeps libigl's hierarchy, so that further queries cost no building.

    vertices: (V, 3) float64, any frame and unit.  faces: (F, 3) int.  Runs on the calling thread alone.
    Raises ValueError for other shapes, vertices that are not finite, faces of missing vertices, and where libigl is
    not installed.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        igl = require_package("igl", "data", "occupancy by winding numbers")
        vertices, faces = _checked_mesh(vertices, faces)
        self._corners = vertices[faces]  # (F, 3, 3)
        self._hierarchy = None
        if len(faces) > 0:
            # libigl keeps float32: it gets the mesh in the cube [-1, 1], wherever that mesh stands.
            low, high = self._corners.min(axis=(0, 1)), self._corners.max(axis=(0, 1))
            self._centre, self._scale = (low + high) / 2, float((high - low).max()) / 2 or 1.0
            self._hierarchy = igl.FastWindingNumberBVH()
            self._hierarchy.init(self._local(vertices), faces, _EXPANSION_ORDER)

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        """Winding numbers (Q,) float64 at queries (Q, 3), in the frame of the mesh; 0 for a mesh without faces.

        Raises ValueError for other shapes and for queries that are not finite.
        """
        queries = np.asarray(queries, dtype=np.float64)
        if queries.ndim != 2 or queries.shape[1] != 3:
            raise ValueError(f"queries: expected an array of shape (Q, 3), found {queries.shape}")
        broken = int((~np.isfinite(queries)).any(axis=1).sum())
        if broken:
            raise ValueError(f"queries: expected finite numbers, found {broken} of {len(queries)} that are not")
        numbers = np.zeros(len(queries))
        if self._hierarchy is not None:
            for start in range(0, len(queries), _QUERIES_PER_CHUNK):
                part = slice(start, start + _QUERIES_PER_CHUNK)
                numbers[part] = self._hierarchy.winding_number(self._local(queries[part]), _ACCURACY)
        return numbers

    def occupied(self, queries: np.ndarray) -> np.ndarray:
        """Which of queries (Q, 3) lie inside: (Q,) bool, where the winding number is above one half.

        A mesh whose signed volume is negative is inside out: it is taken with all its faces turned, as the log says.
        """
        return self._outward * self(queries) > INSIDE

    @cached_property
    def _outward(self) -> float:
        """1, or -1 for a mesh that is inside out."""
        if self._hierarchy is None:
            return 1.0
        first, second, third = (self._local(self._corners[:, corner]) for corner in range(3))
        if np.einsum("fd,fd->", first, np.cross(second, third)) >= 0:
            return 1.0
        logger.info("a mesh of %d faces is inside out; its faces count as turned", len(self._corners))
        return -1.0

    def _local(self, points: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((points - self._centre) / self._scale)


def winding_numbers(vertices: np.ndarray, faces: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Winding numbers (Q,) float64 of a mesh at queries (Q, 3); as WindingNumbers, for a single use."""
    return WindingNumbers(vertices, faces)(queries)


def occupied(vertices: np.ndarray, faces: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Which of queries (Q, 3) lie inside a mesh: (Q,) bool; as WindingNumbers.occupied, for a single use."""
    return WindingNumbers(vertices, faces).occupied(queries)


def _checked_mesh(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same as float64 and int64; libigl itself checks nothing and ends the process."""
    vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces)
    for name, array in (("vertices", vertices), ("faces", faces)):
        if array.ndim != 2 or array.shape[1] != 3:
            raise ValueError(f"{name}: expected an array of shape (N, 3), found {array.shape}")
    if len(faces) > 0 and not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"faces: expected whole numbers, found {faces.dtype}")
    broken = int((~np.isfinite(vertices)).any(axis=1).sum())
    if broken:
        raise ValueError(f"vertices: expected finite numbers, found {broken} of {len(vertices)} that are not")
    if len(faces) > 0 and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(
            f"faces: expected vertices 0 to {len(vertices) - 1}, found {faces.min()} to {faces.max()}; check the mesh"
        )
    return vertices, faces.astype(np.int64)
