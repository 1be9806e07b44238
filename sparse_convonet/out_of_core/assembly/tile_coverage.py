"""Stage out_of_core: the share of the points near a mesh in tiles; see metrics.coverage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse_convonet.metrics.coverage import counts_within
from sparse_convonet.out_of_core.assembly.surfaces import Surfaces, TileSurface
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource, TileNotes, tag_of, tiles_within
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.tile_grid import TileName

_ROUNDING = 1 + 1e-6


class Coverage:
    """Counts the points of one box after another; each is that of a tile, with or without a mesh.

    distances_m: as for metrics.coverage.shares_within.  What a killed run has counted is used.
    """

    def __init__(
        self,
        folder: TileFolder,
        surfaces: Surfaces,
        frame: TileFrame,
        points: PointSource,
        distances_m: Sequence[float],
    ) -> None:
        reach = shell_voxels(frame, distances_m)
        assert surfaces.shell_voxels >= reach
        self._surfaces, self._frame, self._points = surfaces, frame, points
        self._distances, self._reach_m = list(distances_m), reach * frame.voxels.voxel_size_m
        self._rings = frame.rings(surfaces.grid, reach + frame.cell_voxels)  # refined faces reach beyond their tile
        self._names = frozenset(surfaces.names)
        self._notes = TileNotes(folder, "coverage.npz", tag_of(surfaces.tag, self._distances))
        self._within = np.zeros(len(self._distances), dtype=np.int64)

    def around(self) -> list[TileName]:
        """The tiles without a surface of their own whose points may be near one, in order."""
        near = {other for name in self._names for other in tiles_within(name, self._rings)}
        return sorted(near - self._names)

    def count(self, name: TileName, surface: TileSurface | None) -> None:
        """Count the points in a tile's box.  surface: the tile's own, if it has one."""
        if not self._notes.has(name):
            self._notes.write(name, {"within": self._count(name, surface)})
        self._within += self._notes.read(name, "within")[0]

    def shares(self) -> tuple[float, ...]:
        """Of all points, those counted so far that lie within each distance."""
        return tuple(float(count / self._points.count) for count in self._within)

    def _count(self, name: TileName, surface: TileSurface | None) -> np.ndarray:
        low, high = (self._frame.voxels.to_world(end) for end in self._frame.box_voxels(self._surfaces.grid, name))
        points = self._points.within(low, high).points_world
        if len(points) == 0:
            return np.zeros(len(self._distances), dtype=np.int64)
        low, high = low - self._reach_m, high + self._reach_m
        shells = [np.zeros((0, 3, 3))]
        for other in tiles_within(name, self._rings):
            if other != name and other in self._names:
                shell = self._surfaces.shell(other)
                shells.append(shell[((shell.max(axis=1) >= low) & (shell.min(axis=1) <= high)).all(axis=1)])
        corners = np.concatenate(shells).reshape(-1, 3)
        vertices, faces = corners, np.arange(len(corners)).reshape(-1, 3)
        if surface is not None:
            mesh = surface.mesh
            faces = np.concatenate([mesh.faces, faces + len(mesh.vertices)])
            vertices = np.concatenate([mesh.vertices, corners])
        if len(faces) == 0:
            return np.zeros(len(self._distances), dtype=np.int64)
        return counts_within(points, vertices, faces, self._distances)


def shell_voxels(frame: TileFrame, distances_m: Sequence[float]) -> float:
    """How wide the strip along a tile's border is whose faces may be near points of the neighbours."""
    return max(distances_m) / frame.voxels.voxel_size_m * _ROUNDING
