"""A mesh as occupied voxels of the unit cube: those that its surface touches, and those that they enclose."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from sparse_convonet.structures import Mesh

MOST_VOXELS = 512  # along a side
_PAIRS_AT_ONCE = 1 << 20  # of a face and a voxel near it
_TOUCHING = 1e-9  # of a voxel: faces that lie on a border touch both sides


def voxels_of_mesh(mesh: Mesh, resolution: int, *, filled: bool = True) -> np.ndarray:
    """(R, R, R) bool, axes as those of the mesh: which voxels of [-0.5, 0.5]^3 a mesh in the unit cube occupies.

    A voxel is occupied where a face passes through it, or touches it, and, with `filled`, where no way leads from it out of
    the cube that does not cross such a voxel (Mescheder et al. 2019, supplementary: voxelisation).  What lies beyond the
    cube is left out.  Raises ValueError for a resolution of less than 1 or more than 512.
    """
    if not 1 <= resolution <= MOST_VOXELS:
        raise ValueError(f"voxels: expected 1 to {MOST_VOXELS} along a side, found {resolution}")
    corners = (mesh.vertices[mesh.faces] + 0.5) * resolution  # (F, 3, 3), voxels
    occupied = np.zeros((resolution,) * 3, dtype=bool)
    first = np.floor(corners.min(axis=1) - _TOUCHING).astype(np.int64).clip(0)
    last = np.floor(corners.max(axis=1) + _TOUCHING).astype(np.int64).clip(max=resolution - 1)
    counts = np.prod((last - first + 1).clip(min=0), axis=1)  # voxels in the box of each face
    begin = 0
    ends = np.cumsum(counts)
    while begin < len(corners):
        before = ends[begin] - counts[begin]
        end = max(begin + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")))
        rows = slice(begin, end)
        face, voxel = _boxes(first[rows], last[rows], counts[rows])
        met = _overlaps(corners[rows][face] - (voxel[:, None] + 0.5))
        occupied[tuple(voxel[met].T)] = True
        begin = end
    return ndimage.binary_fill_holes(occupied) if filled else occupied


def _boxes(first: np.ndarray, last: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For boxes of voxels (F, 3) to (F, 3), both counted: the box of each of their voxels (N,), and the voxels (N, 3)."""
    box = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts)
    sides = (last - first + 1)[box]
    z, rest = place % sides[:, 2], place // sides[:, 2]
    offset = np.stack([rest // sides[:, 1], rest % sides[:, 1], z], axis=1)
    return box, first[box] + offset


def _overlaps(corners: np.ndarray) -> np.ndarray:
    """(N,) bool: which triangles (N, 3, 3) meet the cube of side 1 around the origin.

    By separating axes (Akenine-Moeller 2001): those of the cube, the normal, and the products of edges with axes.
    """
    edges = np.roll(corners, -1, axis=1) - corners
    axes = [np.broadcast_to(axis, (len(corners), 3)) for axis in np.eye(3)]
    axes.append(np.cross(edges[:, 0], edges[:, 1]))
    axes += [np.cross(np.eye(3)[axis], edges[:, edge]) for axis, edge in itertools.product(range(3), range(3))]
    met = np.ones(len(corners), dtype=bool)
    for axis in axes:
        along = np.einsum("nij,nj->ni", corners, axis)
        reach = np.abs(axis).sum(axis=1) / 2 + _TOUCHING
        met &= (along.min(axis=1) <= reach) & (along.max(axis=1) >= -reach)
    return met
