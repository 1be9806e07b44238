"""The surface of occupied voxels themselves: the squares between an occupied one and one that is not."""

from __future__ import annotations

import numpy as np

from sparse_convonet.structures import Mesh

# For each axis, the corners of the square at the lower side of a voxel, counter-clockwise seen from below the voxel.
_SQUARES = np.array([
    [[0, 0, 0], [0, 0, 1], [0, 1, 1], [0, 1, 0]],
    [[0, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
    [[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]],
])  # fmt: skip


def surface_of_voxels(occupied: np.ndarray) -> Mesh:
    """Occupied voxels (X, Y, Z) bool -> their mesh, in voxels from the corner of voxel (0, 0, 0).

    Squares that meet share vertices; where occupied voxels touch along an edge only, four squares meet at it.
    """
    padded = np.pad(occupied, 1).astype(np.int8)
    corners = []
    for axis in range(3):
        step = np.diff(padded, axis=axis)  # 1 where a voxel begins, -1 where one ends
        for sign in (1, -1):
            place = np.argwhere(step == sign) - 1
            place[:, axis] += 1  # the square lies at the lower side of the upper one of two voxels
            square = _SQUARES[axis] if sign > 0 else _SQUARES[axis][::-1]
            corners.append(place[:, None] + square)
    squares = np.concatenate(corners).reshape(-1, 3)  # (4 F, 3)
    places, index = np.unique(squares, axis=0, return_inverse=True)
    quads = index.reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return Mesh(places.astype(np.float64), faces.astype(np.int64))
