"""A plane of small triangles, for the tests of this folder."""

from __future__ import annotations

import numpy as np

from sparse_convonet.structures import Mesh


def plane(cells: int) -> Mesh:
    """The square 0..cells in z = 0, two triangles per unit square."""
    x, y = np.meshgrid(np.arange(cells + 1), np.arange(cells + 1), indexing="ij")
    vertices = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3).astype(np.float64)
    low = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    right, up = low + cells + 1, low + 1
    faces = np.concatenate([np.stack([low, right, right + 1], 1), np.stack([low, right + 1, up], 1)])
    return Mesh(vertices, faces)
