"""Occupied voxels from a file of any format that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.data.convonet.binvox import read_binvox
from sparse_convonet.io.octomap import read_octomap
from sparse_convonet.io.voxel_arrays import read_voxel_array
from sparse_convonet.runtime.refusals import require_file, unreadable
from sparse_convonet.structures import OccupiedCells

OCTOMAPS = (".bt", ".ot")
ARRAYS = (".npy", ".npz")
VOXEL_SUFFIXES = (".binvox", *ARRAYS, *OCTOMAPS)


def read_cells(path: Path) -> OccupiedCells:
    """.binvox, boolean .npy or .npz, or OctoMap's .bt and .ot, in the frame and units of the file.

    Raises FileNotFoundError, or ValueError in one sentence for another suffix, and for files that are damaged or hold no
    occupied voxel.
    """
    suffix = path.suffix.lower()
    if suffix in OCTOMAPS:
        return read_octomap(path)
    if suffix in ARRAYS:
        return read_voxel_array(path)
    if suffix != ".binvox":
        raise ValueError(f"{path}: expected voxels ({', '.join(VOXEL_SUFFIXES)}), found the suffix {suffix!r}")
    require_file(path)
    voxels = read_binvox(path)
    if not voxels.occupied.any():
        raise unreadable(path, "some occupied voxels", f"none of {voxels.occupied.shape}")
    shape = voxels.occupied.shape
    return OccupiedCells(np.argwhere(voxels.occupied), voxels.scale / max(shape), voxels.translate, shape)
