"""Stage out_of_core: a whole mesh in memory, measured and written: of a scan in one piece, or simplified from tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.io.ply import write_ply
from sparse_convonet.mesh.cleanup import no_surface
from sparse_convonet.mesh.light import collapse_blocks, faces_by_block, joined_blocks, part_of
from sparse_convonet.mesh.placed import in_scan, in_world
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import counts_within
from sparse_convonet.out_of_core.assembly.certified import caption_of, certificate_sums, certify
from sparse_convonet.out_of_core.assembly.scan_sides import sampled_rays
from sparse_convonet.out_of_core.assembly.surface_blocks import SurfaceBlock, block_name, block_numbers
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.out_of_core.assembly.tiles3d import tileset_of
from sparse_convonet.out_of_core.assembly.written_mesh import LightFacts, ResultPaths, WrittenMesh, write_light
from sparse_convonet.picture.cutaway import ends_of, render_cutaway
from sparse_convonet.picture.storeys import find_storeys
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh


@dataclass(frozen=True)
class HeldMesh:
    """world: the mesh, metres, z up, with normals, the errors expected and, where the points have some, colours.
    removed_pieces: how many were taken away before.  with_errors: gives a mesh in the world the errors expected of it."""

    world: Mesh
    removed_pieces: int
    points: PointSource
    frame: TileFrame
    with_errors: Callable[[Mesh], Mesh]

    def write(
        self,
        paths: ResultPaths,
        distances_m: Sequence[float],
        progress: Progress,
    ) -> WrittenMesh:
        """Write it, in the frame and units of the scan, with its picture, a light mesh and 3D Tiles, if they are asked for.

        distances_m: for which coverage is counted.  Raises ValueError where the mesh has no faces.
        """
        if len(self.world.faces) == 0:
            raise no_surface(self.removed_pieces)
        coverage = self._coverage(distances_m, progress)
        rays = sampled_rays(self.points, self.frame.voxels.voxel_size_m)
        rays.meet(self.world)
        light = self._write_blocks(paths, progress)
        progress("write", 0.0)
        placed = in_scan(self.world, self.frame.scan)
        write_ply(paths.mesh, placed)
        statistics = mesh_statistics(placed)
        upright = in_world(placed, self.frame.scan)  # what whoever reads the file has, to the last bit
        del placed
        storeys = find_storeys(upright)
        sums = certificate_sums(storeys)
        certify(sums, self.world, upright.vertices)
        certificate = sums.finish()
        caption = caption_of(paths.title, certificate, upright.vertices, ends_of(upright))
        solid = statistics.watertight
        render_cutaway(upright, paths.preview, solid=solid, storeys=storeys, caption=caption, fit=True)
        return WrittenMesh(statistics, coverage, self.removed_pieces, rays.shares(), certificate, storeys, light)

    def _write_blocks(self, paths: ResultPaths, progress: Progress) -> LightFacts | None:
        """The light mesh and the 3D Tiles, if they are asked for, both of the same collapsed blocks."""
        if not paths.light and paths.tiles is None:
            return None
        progress("light mesh", 0.0)
        blocks = faces_by_block(self.world.faces, block_numbers(self.frame, self.world.vertices))
        collapsed = collapse_blocks(self.world, [rows for _, rows in blocks], paths.light_error_m)
        if paths.tiles is not None:
            places = self.frame.upright(self.world.vertices)
            with tileset_of(paths, (places.min(axis=0), places.max(axis=0)), self.frame.upright) as tileset:
                for (number, rows), (part, _) in zip(blocks, collapsed, strict=True):
                    tileset.add(SurfaceBlock(block_name(number), *part_of(self.world, rows)), part)
        if not paths.light:
            return None
        found = joined_blocks(self.world, collapsed)
        return write_light(paths, replace(found, mesh=self.with_errors(found.mesh)), self.frame.scan)

    def _coverage(self, distances_m: Sequence[float], progress: Progress) -> tuple[float, ...]:
        """The share of all points within each distance."""
        within, passed = np.zeros(len(distances_m), dtype=np.int64), 0
        for part in self.points.parts():
            within += counts_within(part.points_world, self.world.vertices, self.world.faces, list(distances_m))
            passed += len(part.points_world)
            progress("coverage", passed / self.points.count)
        return tuple(float(count / self.points.count) for count in within)
