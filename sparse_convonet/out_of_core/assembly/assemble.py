"""Stage out_of_core: from the meshes of tiles on disk to one mesh file, its picture and what can be said about it.

The mesh is that of one piece, tile by tile; never more than the mesh of one tile is held, with narrow strips of its
neighbours.  What is found out about a tile is kept beside its mesh, so that a killed run goes on there.  A mesh that is
to be simplified is joined in memory (simplified.py).
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.io.ply import MeshParts
from sparse_convonet.mesh.cleanup import PieceRules, no_surface
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.expected_error import ERROR_ATTRIBUTES
from sparse_convonet.mesh.light import LightBlocks, LightMesh
from sparse_convonet.mesh.placed import in_scan
from sparse_convonet.mesh.topology import MeshStatistics
from sparse_convonet.out_of_core.assembly.certified import caption_of, certificate_sums, certify
from sparse_convonet.out_of_core.assembly.finishing import FinishedTiles, finish_tiles
from sparse_convonet.out_of_core.assembly.held_mesh import HeldMesh
from sparse_convonet.out_of_core.assembly.joined_tiles import whole_mesh
from sparse_convonet.out_of_core.assembly.pieces import Pieces
from sparse_convonet.out_of_core.assembly.point_errors import with_errors
from sparse_convonet.out_of_core.assembly.preview import StreamedPicture, ViewPlan
from sparse_convonet.out_of_core.assembly.scan_sides import sampled_rays
from sparse_convonet.out_of_core.assembly.surface_blocks import SurfaceBlocks
from sparse_convonet.out_of_core.assembly.surfaces import Surfaces, SurfaceSums, TileSurface
from sparse_convonet.out_of_core.assembly.tile_coverage import Coverage, shell_voxels
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource, reporting
from sparse_convonet.out_of_core.assembly.tiles3d import tileset_of
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths, WrittenMesh, write_light
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.structures import Mesh

_BASE_BYTES, _BYTES_PER_FACE = 0.7e9, 700  # upper bounds: open3d takes some 530 beyond the mesh itself


@dataclass(frozen=True)
class AssemblySettings:
    """pieces: which connected pieces go.  distances_m: for which coverage is counted.  chosen: what else is to be done to
    the surface.  memory_bytes: what a mesh that is simplified, which is held whole, may take; None: anything.
    points_per_voxel: of the scan, see mesh.expected_error.ScanScale."""

    pieces: PieceRules
    distances_m: tuple[float, ...]
    chosen: ReconstructionSettings = ReconstructionSettings()
    memory_bytes: int | None = None
    points_per_voxel: float = 1.0

    def __post_init__(self) -> None:
        if not self.distances_m or not all(math.isfinite(each) and each > 0 for each in self.distances_m):
            raise ValueError(f"coverage: expected distances above 0 m, found {list(self.distances_m)}")


def assemble(
    folder: TileFolder,
    points: PointSource,
    frame: TileFrame,
    settings: AssemblySettings,
    paths: ResultPaths,
    *,
    progress: Progress | None = None,
) -> WrittenMesh:
    """Write the mesh of all tiles, its picture and, if asked for, a light mesh and a folder of 3D Tiles.

    The mesh is in the frame and units of the scan, the 3D Tiles in metres, z up.  Raises ValueError where no surface is
    left, where there are more vertices than a file can name or, to be simplified, than fit the memory, and where tiles
    do not fit together.
    """
    report = progress or untold
    finished = finish_tiles(folder, points, frame, settings.pieces, settings.chosen, report)
    if finished.face_count == 0:
        raise no_surface(finished.removed_pieces)
    if settings.chosen.simplifies:
        _require_memory(finished, settings.memory_bytes)
        per_voxel = settings.points_per_voxel
        world = whole_mesh(finished, points, frame, settings.chosen, per_voxel, report)
        held = HeldMesh(
            world,
            finished.removed_pieces,
            points,
            frame,
            lambda mesh: with_errors(mesh, points, frame.voxels, per_voxel),
        )
        return held.write(paths, settings.distances_m, report)
    rays = sampled_rays(points, frame.voxels.voxel_size_m)
    shell = shell_voxels(frame, settings.distances_m)
    surfaces = Surfaces(finished, frame, points, shell, settings.points_per_voxel)
    coverage = Coverage(folder, surfaces, frame, points, settings.distances_m)
    blocks = None
    if paths.light or paths.tiles is not None:
        place, normals = folder.folder / "blocks", paths.tiles is not None
        blocks = SurfaceBlocks(place, frame, surfaces.vertex_count, normals=normals)
    with atomic_path(paths.mesh) as temporary:
        parts = MeshParts(
            temporary, surfaces.vertex_count, surfaces.face_count, normals=True, colours=surfaces.coloured,
            attributes=ERROR_ATTRIBUTES,
        )  # fmt: skip
        with parts:
            sums = surfaces.finish(report)
            plan = ViewPlan.of(sums)
            certificate = certificate_sums(plan.storeys)
            measured = []
            for name in reporting(report, "write", surfaces.names):
                surface = surfaces.load(name)
                parts.add(_as_written(surface, frame))
                if len(surface.mesh.faces):
                    upright = _upright(surface, frame)
                    measured.append(plan.measure(upright))
                    certify(certificate, surface.mesh, upright.vertices)
                coverage.count(name, surface)
                rays.meet(surface.mesh)
                if blocks is not None:
                    blocks.add(name, surface)
    for name in reporting(report, "coverage", coverage.around()):
        coverage.count(name, None)
    picture = StreamedPicture(plan, measured, surfaces.coloured)
    for name in reporting(report, "picture", surfaces.names):
        mesh = _upright(surfaces.load(name), frame)
        if len(mesh.faces):  # a tile may have nothing but a vertex that others use
            picture.draw(mesh)
    certified = certificate.finish()
    picture.write(paths.preview, caption_of(paths.title, certified, sums.outline, (sums.low_z, sums.high_z)))
    facts = None
    found = None if blocks is None else _light_and_tileset(blocks, paths, sums, frame, report)
    if found is not None:
        found = replace(found, mesh=with_errors(found.mesh, points, frame.voxels, settings.points_per_voxel))
        facts = write_light(paths, found, frame.scan)
    statistics = _statistics(surfaces, finished.pieces, sums, frame)
    shares = coverage.shares(), finished.removed_pieces, rays.shares()
    return WrittenMesh(statistics, *shares, certified, plan.storeys, facts)


def _as_written(surface: TileSurface, frame: TileFrame) -> Mesh:
    """A tile's part of the mesh file: its own vertices, and faces that name those of the whole mesh."""
    mesh, own = surface.mesh, surface.own
    assert mesh.normals is not None
    colours = None if mesh.colours is None else mesh.colours[own]
    attributes = {name: values[own] for name, values in mesh.attributes.items()}
    part = Mesh(mesh.vertices[own], surface.numbers[mesh.faces], mesh.normals[own], colours, attributes)
    return in_scan(part, frame.scan)


def _upright(surface: TileSurface, frame: TileFrame) -> Mesh:
    """A tile's part of the mesh in metres, z up."""
    mesh = surface.mesh
    return Mesh(frame.upright(mesh.vertices), mesh.faces, mesh.normals, mesh.colours)


def _light_and_tileset(
    blocks: SurfaceBlocks, paths: ResultPaths, sums: SurfaceSums, frame: TileFrame, progress: Progress
) -> LightMesh | None:
    """Write the 3D Tiles, if they are asked for, and give the light mesh, if it is."""
    light = LightBlocks() if paths.light else None
    low, high = sums.outline.min(axis=0), sums.outline.max(axis=0)
    corners = np.array([*low[:2], sums.low_z]), high
    with nullcontext() if paths.tiles is None else tileset_of(paths, corners, frame.upright) as tileset:
        for block in blocks.read(progress):
            collapsed = collapse_edges(block.mesh, paths.light_error_m)
            if light is not None:
                light.add(collapsed, block.ids)
            if tileset is not None:
                tileset.add(block, collapsed)
    return None if light is None else light.finish(blocks.sample)


def _statistics(surfaces: Surfaces, pieces: Pieces, sums: SurfaceSums, frame: TileFrame) -> MeshStatistics:
    return MeshStatistics(
        vertices=surfaces.vertex_count,
        faces=surfaces.face_count,
        area=sums.area / frame.scan.scale**2,
        components=int(np.count_nonzero(pieces.kept)),
        watertight=sums.closed,
        euler_number=surfaces.vertex_count - sums.edges + surfaces.face_count,
    )


def _require_memory(tiles: FinishedTiles, memory_bytes: int | None) -> None:
    needed = _BASE_BYTES + _BYTES_PER_FACE * tiles.face_count
    if memory_bytes is not None and needed > memory_bytes:
        raise ValueError(
            f"simplify: expected {needed / 1e9:.1f} GB of memory for the whole mesh of {tiles.face_count} faces, found "
            f"{memory_bytes / 1e9:.1f} GB allowed; leave --simplify out (--light-error sets the error of the "
            "light mesh, which is made block by block), allow more with --memory, or use larger cells with --cell-size"
        )
