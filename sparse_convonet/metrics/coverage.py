"""Stage metrics: which share of the points a mesh passes near, exactly, without the distance of every point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.coverage_numba import fill_grid, rank_points
from sparse_convonet.runtime.threads import run_ranges

_PARTS = 64  # of the points, for threads
_SIZE_SAMPLE = 100_000  # triangles whose size decides on that of the cells
_CELL_PER_SIZE, _CELL_PER_DISTANCE = 1.5, 1.0
_MOST_CELLS = 1 << 21  # along an axis: what three times fits a key, and float64 with the margin for rounding
_ENTRIES_PER_FACE, _SPARE_ENTRIES = 3, 1 << 20
_COARSENINGS = 3  # times that cells double before the tree of boxes is the better choice
_HALF = 0.5 + 1e-9  # of a cell, with a margin for rounding


def shares_within(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, distances: Sequence[float]
) -> tuple[float, ...]:
    """For each distance, the share of (N, 3) points whose nearest surface of the mesh lies within it.

    vertices (V, 3), faces (F, 3), distances: in the units of the points.  A point that is not finite is near nothing.
    Raises ValueError without points, on a mesh without faces or with vertices that are not finite, and on indices
    out of range.
    """
    if len(points) == 0:
        raise ValueError("coverage: expected at least one point, found none")
    counts = counts_within(points, vertices, faces, distances)
    return tuple(float(count / len(points)) for count in counts)


def counts_within(
    points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, distances: Sequence[float]
) -> np.ndarray:
    """(D,) int64: of how many points the nearest surface lies within each distance; see shares_within."""
    points, vertices = (np.ascontiguousarray(array, dtype=np.float64) for array in (points, vertices))
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    if len(distances) == 0 or not (np.isfinite(distances).all() and np.min(distances) >= 0):
        raise ValueError(f"coverage: expected finite distances of at least 0, found {list(distances)}")
    order = np.argsort(distances)
    ranks = _ranks(points, vertices, faces, np.asarray(distances, dtype=np.float64)[order])
    return np.cumsum(np.bincount(ranks, minlength=len(order) + 1))[: len(order)][np.argsort(order)]


def _ranks(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """(N,) int, in any order: how many of the ascending distances (D,) are less than that from the point to the mesh."""
    grid = _grid(vertices, faces, float(distances[-1])) if _is_sound(vertices, faces) else None
    if grid is None:
        nearest = TriangleScene(vertices, faces, threads=0).nearest(points)[0]
        return np.searchsorted(distances, np.where(np.isfinite(points).all(axis=1), nearest, np.inf))
    origin, cell, head, entries = grid
    span = int(np.ceil(distances[-1] / cell + _HALF))
    axis = np.arange(-span, span + 1)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    offsets = offsets[np.argsort((offsets**2).sum(axis=1), kind="stable")].astype(np.float64)
    points = _sorted_by_cell(points, origin, cell)
    ranks = np.empty(len(points), dtype=np.int8)

    def rank(part: int, begin: int, end: int) -> None:
        rank_points(
            points, vertices, faces, origin, cell, head, entries, offsets, distances**2, _HALF, ranks, begin, end
        )

    run_ranges(rank, len(points), _PARTS)
    return ranks


def _sorted_by_cell(points: np.ndarray, origin: np.ndarray, cell: float) -> np.ndarray:
    """The points of a cell one after the other, for they need the same triangles."""
    with np.errstate(invalid="ignore"):  # a point that is not finite may stand anywhere
        index = np.floor((points - origin) * (1 / cell)).astype(np.int64)  # (N, 3)
    return points.take(np.argsort((index[:, 0] << 42) + (index[:, 1] << 21) + index[:, 2]), axis=0)


def _is_sound(vertices: np.ndarray, faces: np.ndarray) -> bool:
    return len(faces) > 0 and 0 <= faces.min() <= faces.max() < len(vertices) and bool(np.isfinite(vertices).all())


def _grid(
    vertices: np.ndarray, faces: np.ndarray, distance: float
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray] | None:
    """(origin (3,), edge of the cells, table and entries as fill_grid makes them); None where triangles are too large.

    A cell is about as large as a triangle, so that it lists a few, and large ones are listed in several cells.
    """
    low, high = (
        np.array([bound(column) for column in vertices.T]) for bound in (np.min, np.max)
    )  # fast, unlike axis=0
    corners = vertices[faces[:: max(1, len(faces) // _SIZE_SAMPLE)]]  # (F', 3, 3)
    size = float(np.ptp(corners, axis=1).max(axis=1).mean())
    cell = max(_CELL_PER_SIZE * size, _CELL_PER_DISTANCE * distance)
    if not 0 < float((high - low).max()) < _MOST_CELLS * cell:
        return None
    head = np.empty(1 << max(10, len(faces).bit_length() - 1), dtype=np.int32)
    entries = np.empty((_ENTRIES_PER_FACE * len(faces) + _SPARE_ENTRIES, 2), dtype=np.int32)
    for _ in range(_COARSENINGS + 1):
        head.fill(-1)
        if fill_grid(vertices, faces, low, cell, head, entries) >= 0:
            return low, cell, head, entries
        cell *= 2
    return None
