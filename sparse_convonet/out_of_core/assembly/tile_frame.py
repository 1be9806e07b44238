"""Stage out_of_core: where the tiles of a mesh stand in the world and in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.coordinates import ScanFrame, VoxelFrame
from sparse_convonet.tile_grid import TileGrid, TileName

SNAP_VOXELS = 0.01  # more than points move when they are rounded to fractions of a voxel


@dataclass(frozen=True)
class TileFrame:
    """voxels: where voxels stand in the world, metres, z up.  cell_voxels: edge of the finest cells.

    scan: how the scan lies in the world.
    """

    voxels: VoxelFrame
    cell_voxels: float
    scan: ScanFrame

    def upright(self, vertices_world: np.ndarray) -> np.ndarray:
        """(V, 3) float64 world, rounded as vertices are that were kept in the units of the scan."""
        return self.scan.to_world(self.scan.to_scan(vertices_world))

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
