"""Stage out_of_core: from the meshes of tiles on disk to one mesh file, its picture and what can be said about it.

The mesh is that of mesh.joining.joined and mesh.cleanup.remove_unsupported, in the same order; never more than the mesh
of one tile is held, with narrow strips of its neighbours.  What is found out about a tile is kept beside its mesh, so
that a killed run goes on there.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io.atomic import atomic_folder, atomic_path
from sparse_convonet.io.ply import MeshParts
from sparse_convonet.mesh.cleanup import no_surface
from sparse_convonet.mesh.topology import MeshStatistics
from sparse_convonet.out_of_core.crumbs import CrumbRule, without_unsupported
from sparse_convonet.out_of_core.pieces import Pieces, find_pieces, without_small
from sparse_convonet.out_of_core.preview import StreamedPicture, ViewPlan
from sparse_convonet.out_of_core.surfaces import Surfaces, SurfaceSums, TileSurface
from sparse_convonet.out_of_core.tile_coverage import Coverage, shell_voxels
from sparse_convonet.out_of_core.tile_folder import TileFolder
from sparse_convonet.out_of_core.tile_frame import TileFrame
from sparse_convonet.out_of_core.tile_notes import PointSource, reporting
from sparse_convonet.out_of_core.tiles3d import TilesetWriter
from sparse_convonet.progress import Progress, untold
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AssemblySettings:
    """least_m2: connected pieces of less surface go, at most `least_share` of the whole surface if that is given.

    crumbs: which of the others go for want of points; None: none.  distances_m: for which coverage is counted.
    """

    least_m2: float
    least_share: float | None
    crumbs: CrumbRule | None
    distances_m: tuple[float, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.least_m2) and self.least_m2 >= 0):
            raise ValueError(f"smallest piece: expected square metres of at least 0, found {self.least_m2}")
        if not self.distances_m or not all(math.isfinite(each) and each > 0 for each in self.distances_m):
            raise ValueError(f"coverage: expected distances above 0 m, found {list(self.distances_m)}")


@dataclass(frozen=True)
class AssemblyResult:
    """statistics: of the whole mesh, in the units of the scan, as mesh_statistics.  coverage: the share of the points
    within each of the distances.  removed_pieces: connected pieces that were too small or had too few points."""

    statistics: MeshStatistics
    coverage: tuple[float, ...]
    removed_pieces: int


def assemble(
    folder: TileFolder,
    points: PointSource,
    frame: TileFrame,
    settings: AssemblySettings,
    mesh_path: Path,
    preview_path: Path,
    *,
    tiles_path: Path | None = None,
    progress: Progress | None = None,
) -> AssemblyResult:
    """Write the mesh of all tiles (.ply), its picture (.png) and, if asked for, a folder of 3D Tiles.

    The mesh is in the frame and units of the scan, the 3D Tiles in metres, z up.  Raises ValueError where no surface is
    left, where there are more vertices than a file can name, and where tiles do not fit together.
    """
    report = progress or untold
    pieces = _without_crumbs(find_pieces(folder, report), folder, points, frame, settings, report)
    if not pieces.kept.any():
        raise no_surface()
    surfaces = Surfaces(folder, pieces, frame, points, shell_voxels(frame, settings.distances_m))
    coverage = Coverage(folder, surfaces, frame, points, settings.distances_m)
    with atomic_path(mesh_path) as temporary:
        parts = MeshParts(
            temporary, surfaces.vertex_count, surfaces.face_count, normals=True, colours=surfaces.coloured
        )
        with parts:
            sums = surfaces.finish(report)
            plan = ViewPlan.of(sums)
            extents = []
            for name in reporting(report, "write", surfaces.names):
                surface = surfaces.load(name)
                parts.add(_as_written(surface, frame))
                extents.append(plan.extents(_upright(surface, frame)))
                coverage.count(name, surface)
    for name in reporting(report, "coverage", coverage.around()):
        coverage.count(name, None)
    picture = StreamedPicture(plan, extents, surfaces.coloured)
    with _tileset(tiles_path, sums) as tileset:
        for name in reporting(report, "picture", surfaces.names):
            mesh = _upright(surfaces.load(name), frame)
            picture.draw(mesh)
            if tileset is not None:
                tileset.add(name, mesh)
    picture.write(preview_path)
    removed = int(np.count_nonzero(~pieces.kept))
    return AssemblyResult(_statistics(surfaces, pieces, sums, frame), coverage.shares(), removed)


def _without_crumbs(
    pieces: Pieces,
    folder: TileFolder,
    points: PointSource,
    frame: TileFrame,
    settings: AssemblySettings,
    report: Progress,
) -> Pieces:
    pieces = without_small(pieces, settings.least_m2 / frame.voxels.voxel_size_m**2, settings.least_share)
    if settings.crumbs is None or not pieces.kept.any():
        return pieces
    return without_unsupported(pieces, folder, points, frame, settings.crumbs, report)


def _as_written(surface: TileSurface, frame: TileFrame) -> Mesh:
    """A tile's part of the mesh file: its own vertices, and faces that name those of the whole mesh."""
    mesh, own = surface.mesh, surface.own
    assert mesh.normals is not None
    return Mesh(
        frame.to_scan(mesh.vertices[own]),
        surface.numbers[mesh.faces],
        frame.normals_to_scan(mesh.normals[own]),
        None if mesh.colours is None else mesh.colours[own],
    )


def _upright(surface: TileSurface, frame: TileFrame) -> Mesh:
    """A tile's part of the mesh in metres, z up."""
    mesh = surface.mesh
    return Mesh(frame.upright(mesh.vertices), mesh.faces, mesh.normals, mesh.colours)


@contextmanager
def _tileset(path: Path | None, sums: SurfaceSums) -> Iterator[TilesetWriter | None]:
    if path is None:
        yield None
        return
    middle = (sums.outline.min(axis=0) + sums.outline.max(axis=0)) / 2
    with atomic_folder(path) as temporary:
        writer = TilesetWriter(temporary, np.round([middle[0], middle[1], sums.low_z]))
        yield writer
        writer.finish()


def _statistics(surfaces: Surfaces, pieces: Pieces, sums: SurfaceSums, frame: TileFrame) -> MeshStatistics:
    return MeshStatistics(
        vertices=surfaces.vertex_count,
        faces=surfaces.face_count,
        area=sums.area / frame.scale**2,
        components=int(np.count_nonzero(pieces.kept)),
        watertight=sums.closed,
        euler_number=surfaces.vertex_count - sums.edges + surfaces.face_count,
    )
