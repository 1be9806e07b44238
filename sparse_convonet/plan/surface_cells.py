"""How much surface a scan has, counted in coarse cells: how many faces a mesh gets follows from it, not from the voxels.

A mesh closes the gaps between sparse points, so a voxel with a point may stand for five faces or for three hundred.
"""

from __future__ import annotations

import numpy as np

from sparse_convonet.coordinates import AXIS_BITS, pack_cells, unpack_cells

COARSE_VOXELS = 4  # the edge of a coarse cell


def cells_around(cells: np.ndarray) -> np.ndarray:
    """(C, 3) int64 -> (D, 3) int64: these and those that touch them, at faces, edges or corners."""
    keys = np.unique(pack_cells(cells))
    for axis in range(3):  # one axis after the other gives all around
        step = np.int64(1) << np.int64(axis * AXIS_BITS)
        keys = np.unique(np.concatenate([keys - step, keys, keys + step]))
    return unpack_cells(keys)
