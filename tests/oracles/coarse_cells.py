"""Which sub-cells of coarse cells hold voxels, and the mean of what comes with these: a dictionary, one row at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Cell = tuple[int, int, int, int]  # scene, x, y, z in units of the cell


def describe(
    voxels: Sequence[Sequence[int]], stride: int, divisions: int, hints: Sequence[Sequence[float]] | None = None
) -> dict[Cell, tuple[np.ndarray, np.ndarray]]:
    """Rows [scene, x, y, z] -> for each cell of `stride` voxels its sub-cells (divisions, divisions, divisions) of 0 and
    1, and the mean hint (H,)."""
    occupied: dict[Cell, np.ndarray] = {}
    brought: dict[Cell, list[Sequence[float]]] = {}
    for row, (scene, *position) in enumerate(voxels):
        x, y, z = (math.floor(value / stride) for value in position)
        cell = (scene, x, y, z)
        within = [value - stride * corner for value, corner in zip(position, (x, y, z), strict=True)]
        place = tuple(math.floor(divisions * value / stride) for value in within)
        occupied.setdefault(cell, np.zeros((divisions,) * 3))[place] = 1
        brought.setdefault(cell, []).append([] if hints is None else hints[row])
    return {cell: (occupied[cell], np.mean(brought[cell], axis=0)) for cell in occupied}
