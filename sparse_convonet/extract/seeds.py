"""The coarse cells from which extraction begins: those that a sparse level reaches, those of a box, or of the unit cube."""

from __future__ import annotations

import math

import numpy as np

from sparse_convonet.coordinates import UNIT_PADDING, unpack_keys
from sparse_convonet.fields.sparse import SparseField

SEED_STRIDE = 8  # voxels; extraction begins at the cells of this level, which reach beyond every surface seen


def finest_cells_per_seed(cell: float) -> int:
    """Edge of a seed cell, about SEED_STRIDE voxels, in finest cells of `cell` voxels: a power of two."""
    return 1 << max(0, round(math.log2(SEED_STRIDE / cell)))


def seed_cells(scene_field: SparseField, cell: float, finest_per_seed: int) -> np.ndarray:
    """Integer seed cells (M, 3), of edge `finest_per_seed` cells, that cover the level of stride SEED_STRIDE."""
    level = min(scene_field.levels, key=lambda each: abs(each.stride - SEED_STRIDE))
    low = unpack_keys(level.keys)[:, 1:].cpu().numpy()
    edge = cell * finest_per_seed
    first = np.floor(low / edge).astype(np.int64)
    last = np.ceil((low + level.stride) / edge).astype(np.int64) - 1
    span = int((last - first).max(initial=0)) + 1
    steps = np.stack(np.meshgrid(*[np.arange(span)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    covering = first[:, None] + steps  # (M, span**3, 3)
    return np.unique(covering[(covering <= last[:, None]).all(axis=2)], axis=0)


def box_seed_cells(low: np.ndarray, high: np.ndarray, cell: float, finest_per_seed: int) -> np.ndarray:
    """Integer seed cells (M, 3) that cover the box from `low` (3,) to `high` (3,)."""
    edge = cell * finest_per_seed
    spans = [np.arange(np.floor(a / edge + 1e-9), np.ceil(b / edge - 1e-9)) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)


def cube_seed_cells(cell: float, finest_per_seed: int) -> np.ndarray:
    """Integer seed cells (M, 3) that cover the padded unit cube, from its middle."""
    corner = np.full(3, (1 + UNIT_PADDING) / 2)
    return box_seed_cells(-corner, corner, cell, finest_per_seed)
