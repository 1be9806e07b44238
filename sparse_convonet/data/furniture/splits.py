"""Split furniture models into train, val and test once and for all, with variants of a model in the same split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from sparse_convonet.data.furniture.pack import SPLITS

_SPLIT_SHARES = (0.8, 0.1, 0.1)
_GROUP_GRID = 24  # models are compared on a grid of this many cells per axis
_SAME_SIZE_RATIO = 1.06
_SAME_SHAPE_OVERLAP = 0.85  # intersection over union


def split_of(group: str) -> str:
    """The split of a group of models, by a stable hash of its name: 80 % train, 10 % val, 10 % test."""
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    borders = np.cumsum(_SPLIT_SHARES)
    return SPLITS[min(int(np.searchsorted(borders, position, side="right")), len(SPLITS) - 1)]


def group_variants(keys: Sequence[str], voxels: Sequence[np.ndarray], sizes_m: np.ndarray) -> list[str]:
    """The group of each model: models are joined that share a key, or nearly share size and shape.

    keys: what names a family of variants (source and stem without its number).  voxels: (X, Y, Z) bool each.
    sizes_m: (M, 3).  Returns M group names, each the alphabetically first key of its group.
    """
    coarse = np.stack([_resample(grid) for grid in voxels]).reshape(len(keys), -1)  # (M, G^3) bool
    parent = list(range(len(keys)))

    def root(index: int) -> int:
        while parent[index] != index:
            index = parent[index]
        return index

    for first in range(len(keys)):
        later = np.arange(first + 1, len(keys))
        ratio = np.maximum(sizes_m[later] / sizes_m[first], sizes_m[first] / sizes_m[later]).max(axis=1)
        union = (coarse[later] | coarse[first]).sum(axis=1)
        overlap = (coarse[later] & coarse[first]).sum(axis=1) / np.maximum(union, 1)
        alike = (ratio <= _SAME_SIZE_RATIO) & (overlap >= _SAME_SHAPE_OVERLAP)
        named_alike = np.array([key == keys[first] for key in keys[first + 1 :]], dtype=np.bool_)
        for index in later[alike | named_alike]:
            parent[root(int(index))] = root(first)
    members: dict[int, list[str]] = {}
    for index, key in enumerate(keys):
        members.setdefault(root(index), []).append(key)
    return [min(members[root(index)]) for index in range(len(keys))]


def _resample(voxels: np.ndarray) -> np.ndarray:
    """(G, G, G) bool: the voxel at the centre of each of G cells per axis."""
    index = [((np.arange(_GROUP_GRID) + 0.5) * length / _GROUP_GRID).astype(int) for length in voxels.shape]
    return voxels[np.ix_(*index)]
