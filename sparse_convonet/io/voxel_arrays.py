"""Occupied voxels as an array: .npy, or .npz with where the voxels lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.io.array_archive import MAX_ARRAY_BYTES, ArrayArchive, ArrayFile
from sparse_convonet.runtime.refusals import require_file, unreadable
from sparse_convonet.structures import OccupiedCells

_NAMES = ("occupied", "voxels", "occupancy")
_WANTED = "bools of three axes"


def read_voxel_array(path: Path) -> OccupiedCells:
    """The true entries of a boolean array (X, Y, Z).

    .npz: the array is called occupied, voxels or occupancy, or is the only one; voxel_size (a number, else 1) and origin
    (three numbers, else 0, the corner of entry (0, 0, 0)) say where it lies.  .npy: a voxel has side 1.

    Raises FileNotFoundError, or ValueError in one sentence for other or damaged arrays and ones that are false everywhere.
    """
    require_file(path)
    if path.suffix.lower() == ".npy":
        return _cells(path, _read_single(path), 1.0, np.zeros(3))
    with ArrayArchive(path) as archive:
        known = [name for name in _NAMES if name in archive]
        name = known[0] if known else archive.names[0] if len(archive.names) == 1 else None
        if name is None:
            raise unreadable(path, f"an array {' or '.join(_NAMES)}", ", ".join(archive.names) or "no array")
        occupied = archive.read(name, "b", (3,))
        size, origin = 1.0, np.zeros(3)
        if "voxel_size" in archive:
            size = float(archive.read("voxel_size", "fiu", (0,)))
        if "origin" in archive:
            origin = archive.read("origin", "fiu", (1,)).astype(np.float64)
    return _cells(path, occupied, size, origin)


def _read_single(path: Path) -> np.ndarray:
    header = ArrayFile.open(path)
    count = int(np.prod(header.shape, dtype=object))
    if header.dtype != np.bool_ or len(header.shape) != 3 or count > MAX_ARRAY_BYTES:
        raise unreadable(path, f"{_WANTED}, at most {MAX_ARRAY_BYTES}", f"{header.dtype} of shape {header.shape}")
    flat = np.fromfile(path, np.uint8, count, offset=header.offset) != 0
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _cells(path: Path, occupied: np.ndarray, size: float, origin: np.ndarray) -> OccupiedCells:
    if origin.shape != (3,) or not np.isfinite(origin).all() or not (np.isfinite(size) and size > 0):
        raise unreadable(path, "a positive voxel_size and an origin of three finite numbers", f"{size:g} and {origin}")
    if not occupied.any():
        raise unreadable(path, "some occupied voxels", f"none of {occupied.shape}")
    x, y, z = origin.tolist()
    return OccupiedCells(np.argwhere(occupied != 0), size, (x, y, z), occupied.shape)
