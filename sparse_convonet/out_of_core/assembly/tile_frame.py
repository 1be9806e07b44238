"""Stage out_of_core: where the tiles of a mesh stand in the world and in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.coordinates import VoxelFrame, up_rotation
from sparse_convonet.tile_grid import TileGrid, TileName

SNAP_VOXELS = 0.01  # more than points move when they are rounded to fractions of a voxel


@dataclass(frozen=True)
class TileFrame:
    """voxels: where voxels stand in the world, metres, z up.  cell_voxels: edge of the finest cells.

    up, scale: the axis that points up in the scan, and metres per unit of it.
    """

    voxels: VoxelFrame
    cell_voxels: float
    up: str
    scale: float

    def to_scan(self, vertices_world: np.ndarray) -> np.ndarray:
        """(V, 3) world -> (V, 3) float64 in the frame and units of the scan."""
        return (vertices_world @ up_rotation(self.up)) / self.scale

    def normals_to_scan(self, normals_world: np.ndarray) -> np.ndarray:
        """(V, 3) world -> (V, 3) float32 in the frame of the scan."""
        return (normals_world @ up_rotation(self.up)).astype(np.float32)

    def upright(self, vertices_world: np.ndarray) -> np.ndarray:
        """(V, 3) float64 world, rounded as vertices are that were kept in the units of the scan."""
        return (self.to_scan(vertices_world) * self.scale) @ up_rotation(self.up).T

    def height(self, z_voxel: float) -> float:
        """The z of `upright` vertices, metres."""
        return float(self.upright(self.voxels.to_world(np.array([[0.0, 0.0, z_voxel]])))[0, 2])

    def box_voxels(self, grid: TileGrid, name: TileName) -> tuple[np.ndarray, np.ndarray]:
        """(3,) lowest and highest corner of a tile, whose grid counts finest cells."""
        low, high = grid.box(name)
        return low * self.cell_voxels, high * self.cell_voxels

    def rings(self, grid: TileGrid, reach_voxels: float) -> tuple[int, int, int]:
        """How many tiles away along each axis something within a reach may lie."""
        x, y, z = (int(np.ceil(reach_voxels / (edge * self.cell_voxels))) for edge in grid.edges)
        return x, y, z
