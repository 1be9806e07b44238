"""Meshes in tiles of fields that are known, on disk, with points; and what the whole-mesh functions make of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import ScanFrame, VoxelFrame
from sparse_convonet.mesh.cleanup import CrumbRule, PieceRules, remove_pieces
from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.expected_error import ScanScale, error_attributes
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.mesh.placed import in_scan
from sparse_convonet.mesh.point_support import SupportingPoints
from sparse_convonet.mesh.topology import face_areas
from sparse_convonet.out_of_core.assembly.assemble import AssemblySettings
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.structures import Mesh, PointCloud
from tests.mesh.analytic_fields import Field, block_of_cells, box, sphere, union
from tests.oracles.same_surface import joined_by_keys
from tests.out_of_core.analytic_tiles import VOXEL_M, TiledMesh, cut_into_tiles

CELL = 0.5  # voxels
TILE = 16  # seed cells, of two finest ones: 16 voxels
FRAME = TileFrame(VoxelFrame(np.array([3.0, -2.0, 1.5]), VOXEL_M), CELL, ScanFrame("y", 0.5))
RULES = PieceRules(0.25, 0.01, CrumbRule(4.0, 0.05, 0.5, 0.5))
ALL_PIECES = PieceRules(0.0, None, None)
SETTINGS = AssemblySettings(RULES, (CELL * 0.25, 0.25))


@dataclass(frozen=True)
class MemoryPoints:
    """A PointSource without a disk."""

    points_world: np.ndarray
    colours: np.ndarray | None
    scanners_world: np.ndarray | None = None

    @property
    def has_scanners(self) -> bool:
        return self.scanners_world is not None

    @property
    def count(self) -> int:
        return len(self.points_world)

    @property
    def has_colours(self) -> bool:
        return self.colours is not None

    @property
    def low(self) -> np.ndarray:
        return self.points_world.min(axis=0)

    @property
    def high(self) -> np.ndarray:
        return self.points_world.max(axis=0)

    def parts(self) -> Iterator[MemoryPoints]:
        for start in range(0, self.count, 1000):
            yield self.select(slice(start, start + 1000))

    def within(self, low: np.ndarray, high: np.ndarray) -> MemoryPoints:
        inside: np.ndarray = np.all((self.points_world >= low) & (self.points_world < high), axis=1)
        return self.select(inside)

    def select(self, rows: np.ndarray | slice) -> MemoryPoints:
        more = (None if each is None else each[rows] for each in (self.colours, self.scanners_world))
        return MemoryPoints(self.points_world[rows], *more)


def tiled_mesh(field: Field, reach: tuple[int, int, int] = (16, 16, 16), tile: int = TILE) -> TiledMesh:
    """A field around the origin, up to `reach` voxels from it, in tiles of as many seed cells."""
    seeds = block_of_cells(-max(reach), max(reach))
    seeds = seeds[(np.abs(seeds + 0.5) < reach).all(axis=1)]
    return cut_into_tiles(field, seeds, 2, tile, cell=CELL)


def saved(tiled: TiledMesh, path: Path) -> TileFolder:
    """The same tiles on disk."""
    folder = TileFolder(path, tiled.grid)
    for name, mesh in tiled.tiles.items():
        folder.save_mesh(name, mesh)
    return folder


def points_on(mesh: Mesh, count: int, rng: np.random.Generator, coloured: bool = True) -> MemoryPoints:
    """Points about the faces of a mesh in voxels; few on what stands in the near half of a room."""
    area = face_areas(mesh)
    corners = mesh.vertices[mesh.faces[rng.choice(len(area), count, p=area / area.sum())]]
    places = np.einsum("nk,nkc->nc", rng.dirichlet(np.ones(3), count), corners) + rng.normal(0, 0.3, (count, 3))
    inside = (np.abs(places) < (11, 11, 5)).all(axis=1) & (places[:, 0] < 2)
    places = places[~inside | (rng.random(count) < 0.25)]
    count = len(places)
    colours = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    return MemoryPoints(FRAME.voxels.to_world(places), colours if coloured else None)


def small_things(rng: np.random.Generator) -> Field:
    """A room across many tiles; balls on their borders, of which some will have points, and crumbs."""
    places = [(8.0, 0.3, 0.2), (-8.1, 8.0, 0.1), (0.1, 0.1, 0.2), (5.0, -8.0, -3.0), (3.3, 8.2, 0.0), (-4.0, 4.0, 3.0)]
    balls = [sphere(place, radius) for place, radius in zip(places, rng.uniform(1.2, 2.0, len(places)), strict=True)]
    crumbs = [sphere(tuple(place), 0.45) for place in rng.uniform(-9, 9, (6, 3))]
    return union(hollow((-14.2, -13.1, -7.3), (14.1, 13.3, 7.9)), *balls, *crumbs)


def hollow(low: tuple[float, float, float], high: tuple[float, float, float], wall: float = 1.3) -> Field:
    """A room with walls."""
    outer = box(low, high)
    inner = box((low[0] + wall, low[1] + wall, low[2] + wall), (high[0] - wall, high[1] - wall, high[2] - wall))

    def logits(queries: np.ndarray) -> np.ndarray:
        return np.minimum(outer(queries), -inner(queries))

    return logits


def whole_mesh(tiled: TiledMesh, points: MemoryPoints, settings: AssemblySettings = SETTINGS) -> tuple[Mesh, int]:
    """The mesh in the world, with all that its vertices have, and how many pieces went, as reconstruct makes it."""
    places = FRAME.voxels.snap_to_voxels(points.points_world)
    joined, removed = remove_pieces(joined_by_keys(tiled.tiles), places, settings.pieces, VOXEL_M)
    mesh = with_area_normals(Mesh(FRAME.voxels.to_world(joined.vertices), joined.faces))
    if points.has_colours:
        mesh = with_colours(mesh, PointCloud(points.points_world, points.colours))
    return with_expected_errors(mesh, points), removed


def with_expected_errors(mesh: Mesh, points: MemoryPoints) -> Mesh:
    """A mesh in the world with normals -> the same with what all points together say of its vertices."""
    assert mesh.normals is not None
    supporting = SupportingPoints(FRAME.voxels.to_voxels(points.points_world))
    support = supporting.support(FRAME.voxels.to_voxels(mesh.vertices), mesh.normals)
    return replace(mesh, attributes=error_attributes(support, ScanScale(VOXEL_M, SETTINGS.points_per_voxel)))


def as_scanned(mesh: Mesh) -> Mesh:
    """In the frame and units of the scan."""
    return in_scan(mesh, FRAME.scan)
