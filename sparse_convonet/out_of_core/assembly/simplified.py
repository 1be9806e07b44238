"""Stage out_of_core: a mesh of tiles with fewer faces.

It is joined and simplified in memory, so it must fit the budget; what is left of it is small enough to be held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.mesh.finish import finish_mesh
from sparse_convonet.mesh.topology import keep_faces
from sparse_convonet.metrics.coverage import counts_within
from sparse_convonet.out_of_core.assembly.finishing import FinishedTiles
from sparse_convonet.out_of_core.assembly.joined_tiles import join_tiles
from sparse_convonet.out_of_core.assembly.point_colours import colours_near
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.out_of_core.assembly.tiles3d import TilesetWriter
from sparse_convonet.picture.cutaway import render_cutaway
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TiledRows, TileGrid

_BASE_BYTES, _BYTES_PER_FACE = 0.7e9, 700  # upper bounds: open3d takes some 530 beyond the mesh itself
_COLOUR_MARGIN_VOXELS = 2.0  # around the mesh, in which nearly all vertices have their nearest points


@dataclass(frozen=True)
class SimplifiedMesh:
    """world: the mesh, metres, z up, with normals and, where the points have some, colours.  in_scan: the same in the
    frame and units of the scan."""

    world: Mesh
    in_scan: Mesh
    points: PointSource
    frame: TileFrame

    @classmethod
    def of(
        cls,
        tiles: FinishedTiles,
        points: PointSource,
        frame: TileFrame,
        settings: ReconstructionSettings,
        memory_bytes: int | None,
        progress: Progress,
    ) -> SimplifiedMesh:
        """Join the tiles and simplify as the settings say.

        Raises ValueError where that would take more than the memory.
        """
        _require_memory(tiles, memory_bytes)
        joined = join_tiles(tiles)
        joined = replace(joined, vertices=frame.voxels.to_world(joined.vertices))
        margin = _COLOUR_MARGIN_VOXELS * frame.voxels.voxel_size_m

        def colour(mesh: Mesh) -> Mesh:
            return replace(mesh, colours=colours_near(points, mesh.vertices, margin))

        error_mm = settings.simplify_error_mm
        world = finish_mesh(
            joined,
            settings.simplify_faces,
            None if error_mm is None else error_mm / 1000,
            colour if points.has_colours and points.count > 0 else None,
            progress,
        )
        assert world.normals is not None
        in_scan = replace(world, vertices=frame.to_scan(world.vertices), normals=frame.normals_to_scan(world.normals))
        return cls(world, in_scan, points, frame)

    @property
    def _upright(self) -> Mesh:
        return replace(self.world, vertices=self.frame.upright(self.world.vertices))

    def draw(self, path: Path) -> None:
        """Write its picture (.png)."""
        render_cutaway(self._upright, path)

    def coverage(self, distances_m: Sequence[float], progress: Progress) -> tuple[float, ...]:
        """The share of all points within each distance."""
        within, passed = np.zeros(len(distances_m), dtype=np.int64), 0
        for part in self.points.parts():
            within += counts_within(part.points_world, self.world.vertices, self.world.faces, list(distances_m))
            passed += len(part.points_world)
            progress("coverage", passed / self.points.count)
        return tuple(float(count / self.points.count) for count in within)

    def write_tiles(self, folder: Path, grid: TileGrid) -> None:
        """Write it as 3D Tiles, each with the faces whose middle lies in it.  grid: in finest cells."""
        mesh = self._upright
        writer = TilesetWriter(folder, mesh.vertices.min(axis=0), mesh.vertices.max(axis=0))
        middles = self.frame.voxels.to_voxels(self.world.vertices)[mesh.faces].mean(axis=1) / self.frame.cell_voxels
        rows = TiledRows(middles, grid)
        for name in rows.occupied():
            chosen = np.zeros(len(mesh.faces), dtype=bool)
            chosen[rows.of(name)] = True
            writer.add(name, keep_faces(mesh, chosen))
        writer.finish()


def _require_memory(tiles: FinishedTiles, memory_bytes: int | None) -> None:
    needed = _BASE_BYTES + _BYTES_PER_FACE * tiles.face_count
    if memory_bytes is not None and needed > memory_bytes:
        raise ValueError(
            f"simplify: expected {needed / 1e9:.1f} GB of memory for the whole mesh of {tiles.face_count} faces, found "
            f"{memory_bytes / 1e9:.1f} GB allowed; leave --simplify out, allow more with --memory, or use larger cells "
            "with --cell-size"
        )
