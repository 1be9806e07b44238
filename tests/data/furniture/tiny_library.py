"""A handful of furniture models made in memory, so that tests of scenes need no furniture pack."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.furniture.library import FurnitureLibrary, FurnitureModel

VOXEL_M = 0.05


def tiny_library() -> FurnitureLibrary:
    """A cupboard, a table with four legs, a cup, a lamp that hangs and a shelf on the wall."""
    table = np.zeros((24, 14, 15), dtype=bool)
    table[:, :, -1] = True
    for x in (0, -2):
        for y in (0, -2):
            table[x : x + 2 or None, y : y + 2 or None] = True

    def model(name: str, voxels: np.ndarray, category: str, placement: str, elevation_m: float = 0.0) -> FurnitureModel:
        return FurnitureModel.from_voxels(
            name, voxels, VOXEL_M, category=category, placement=placement, elevation_m=elevation_m
        )

    models = (
        model("cupboard", np.ones((16, 9, 30), dtype=bool), "storage", "floor"),
        model("table", table, "table", "floor"),
        model("cup", np.ones((2, 2, 3), dtype=bool), "small", "top"),
        model("lamp", np.ones((4, 4, 6), dtype=bool), "lamp", "ceiling", 2.2),
        model("shelf", np.ones((12, 4, 4), dtype=bool), "storage", "wall", 1.4),
    )
    return FurnitureLibrary(models, tuple("train" for _ in models))
