"""Stage picture: whether a mesh is open ground with what stands on it, or a building with ceilings over its floors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sparse_convonet.picture.face_sums import scaled_normal
from sparse_convonet.runtime.numba_cache import njit
from sparse_convonet.structures import Mesh

_COLUMN_M = 1.0
_LEVEL_COSINE = 0.7  # slopes are ground as well
_HEADROOM_M = 1.8  # so far over the lowest floor, what faces down is a ceiling
_MOST_PARTS = 1000  # of an edge
_OPEN_SHARE = 0.9  # of the columns that have a floor; halls of which the scanner saw only a part reach 0.8


def columns_of(mesh: Mesh) -> np.ndarray:
    """(C, 4) float64 for each column of 1 m x 1 m with level faces: its cell along x and y, the height of the lowest that
    faces up and of the highest that faces down (metres, infinite where there is none).

    Those of parts of a mesh merge to those of the whole.
    """
    if len(mesh.faces) == 0:
        return np.zeros((0, 4))
    low = np.floor(mesh.vertices[:, :2].min(axis=0) / _COLUMN_M)
    shape = (np.floor(mesh.vertices[:, :2].max(axis=0) / _COLUMN_M) - low).astype(np.int64) + 1
    up, down = np.full(shape, np.inf), np.full(shape, -np.inf)
    _mark_columns(mesh.vertices, mesh.faces, low, _COLUMN_M, _LEVEL_COSINE, up, down)
    x, y = np.nonzero(np.isfinite(up) | np.isfinite(down))
    return np.stack([x + low[0], y + low[1], up[x, y], down[x, y]], axis=1)


def merged_columns(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Those of a mesh from those of its parts."""
    rows = np.concatenate([np.zeros((0, 4)), *parts])
    cells, column = np.unique(rows[:, :2], axis=0, return_inverse=True)
    up, down = np.full(len(cells), np.inf), np.full(len(cells), -np.inf)
    np.minimum.at(up, column.reshape(-1), rows[:, 2])
    np.maximum.at(down, column.reshape(-1), rows[:, 3])
    return np.concatenate([cells, up[:, None], down[:, None]], axis=1)


def is_open_ground(columns: np.ndarray) -> bool:
    """Whether most floors have the sky above them."""
    floors = columns[np.isfinite(columns[:, 2])]
    return len(floors) > 0 and float((floors[:, 3] < floors[:, 2] + _HEADROOM_M).mean()) >= _OPEN_SHARE


@njit(cache=True, nogil=True)
def _mark_columns(vertices, faces, low, edge, level_cosine, up, down):  # type: ignore[no-untyped-def]
    """Bring the heights of level faces into up and down (X, Y): of places on each that are half a column apart or less."""
    for face in range(faces.shape[0]):
        nx, ny, nz = scaled_normal(vertices, faces, face)
        if abs(nz) <= level_cosine * math.sqrt(nx * nx + ny * ny + nz * nz):
            continue
        a, b, c = vertices[faces[face, 0]], vertices[faces[face, 1]], vertices[faces[face, 2]]
        reach = max(abs(b[0] - a[0]), abs(c[0] - a[0]), abs(b[1] - a[1]), abs(c[1] - a[1]))
        parts = min(max(1, int(math.ceil(2 * reach / edge))), _MOST_PARTS)
        for i in range(parts):
            for j in range(parts - i):
                u, v = (i + 1 / 3) / parts, (j + 1 / 3) / parts
                x = int(math.floor((a[0] + u * (b[0] - a[0]) + v * (c[0] - a[0])) / edge) - low[0])
                y = int(math.floor((a[1] + u * (b[1] - a[1]) + v * (c[1] - a[1])) / edge) - low[1])
                z = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
                if nz > 0:
                    up[x, y] = min(up[x, y], z)
                else:
                    down[x, y] = max(down[x, y], z)
