"""Stage out_of_core: the final surface of each tile: numbers, normals, colours and expected errors of its vertices,
and what adds up.

A vertex on a border is used by its owner and by tiles before it, in the order of tiles.  So the normals of its faces are
added up along that order, from tile to tile, as if the faces stood in one list, and its owner is the last to add.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from sparse_convonet.extract.tile_pieces import label_tile
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.mesh.expected_error import ERROR_ATTRIBUTES, shipped_error_model
from sparse_convonet.mesh.normals import add_face_normals, falling_normals, unit_or_zero
from sparse_convonet.mesh.topology import check_edges, face_areas
from sparse_convonet.out_of_core.assembly.border_edges import check_border_edges, edges_along_border
from sparse_convonet.out_of_core.assembly.finishing import FinishedTiles
from sparse_convonet.out_of_core.assembly.pieces import places_at_owners, survey_notes
from sparse_convonet.out_of_core.assembly.point_colours import colours_near
from sparse_convonet.out_of_core.assembly.point_errors import errors_near
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import (
    PointSource,
    TileNotes,
    lower_neighbours,
    reporting,
    tag_of,
    tiles_within,
)
from sparse_convonet.picture.camera import wall_sums
from sparse_convonet.picture.open_ground import columns_of, merged_columns
from sparse_convonet.picture.storeys import areas_between
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName

_COLOUR_MARGIN_VOXELS = 2.0  # around a tile, in which nearly all vertices have their nearest points


@dataclass(frozen=True)
class TileSurface:
    """What one tile has of the final mesh.

    mesh: vertices in the world, metres, z up, with normals, colours and attributes; also vertices that no face uses.
    numbers: (V,) int64, that of each vertex in the whole mesh, -1 where it has none.  own: (V,) bool, the tile's own.
    keys: (V,) int64, see TileMesh.
    """

    mesh: Mesh
    numbers: np.ndarray
    own: np.ndarray
    keys: np.ndarray


@dataclass(frozen=True)
class SurfaceSums:
    """Of the whole mesh.  area: square metres.  edges, closed: as mesh.topology.check_edges.

    low_z, high_z: metres.  levels: picture.storeys.areas_between.  columns: picture.open_ground.columns_of.  walls:
    picture.camera.wall_sums.  outline: (H, 3) world, vertices that reach as far as all do in level directions.
    """

    area: float
    edges: int
    closed: bool
    low_z: float
    high_z: float
    levels: np.ndarray
    columns: np.ndarray
    walls: np.ndarray
    outline: np.ndarray


class Surfaces:
    """The final surfaces of tiles of which something stays (`names`), one tile at a time.

    shell_voxels: as wide is the strip along the border of which faces are kept for the neighbours.  points_per_voxel: of
    the scan, see mesh.expected_error.ScanScale.
    """

    def __init__(
        self,
        tiles: FinishedTiles,
        frame: TileFrame,
        points: PointSource,
        shell_voxels: float,
        points_per_voxel: float,
    ) -> None:
        folder, pieces = tiles.folder, tiles.pieces
        self._finished, self._folder, self._pieces, self._frame, self._points = tiles, folder, pieces, frame, points
        self.grid, self.shell_voxels, self._points_per_voxel = folder.grid, shell_voxels, points_per_voxel
        self.coloured = points.has_colours and points.count > 0
        face_counts = pieces.per_tile(pieces.faces)
        vertex_counts = pieces.per_tile(pieces.vertices)
        self.face_count, self.vertex_count = int(face_counts.sum()), int(vertex_counts.sum())
        self._tiles = {name: n for n, name in enumerate(pieces.names) if face_counts[n] or vertex_counts[n]}
        self.names = tuple(self._tiles)
        self._first = np.cumsum(vertex_counts) - vertex_counts
        stays = pieces.kept[pieces.piece_of]
        self.low_z = frame.height(float(pieces.low[stays, 2].min(initial=np.inf)))
        self.high_z = frame.height(float(pieces.high[stays, 2].max(initial=-np.inf)))
        self.tag = tag_of(
            pieces.kept, pieces.piece_of, pieces.areas, frame.voxels.origin_world, frame.voxels.voxel_size_m,
            frame.cell_voxels, frame.scan.up, frame.scan.scale, points.count, self.coloured, shell_voxels,
            tiles.has_gradients, str(shipped_error_model()), points_per_voxel, "columns",
        )  # fmt: skip
        self._survey = survey_notes(folder)
        self._notes = TileNotes(folder, "surface.npz", self.tag)

    def finish(self, progress: Progress) -> SurfaceSums:
        """Find out what surfaces need, tile by tile in their order; what a killed run has found is used."""
        for name in reporting(progress, "normals and colours" if self.coloured else "normals", self.names):
            if not self._notes.has(name):
                self._notes.write(name, self._dress(name))
        fields = ("area", "edges", "closed", "columns", "walls", "outline")
        found = [self._notes.read(name, *fields) for name in self.names]
        area, edges, closed, columns, walls, outline = zip(*found, strict=True)
        levels = [self._levels(name) for name in self.names]
        return SurfaceSums(
            float(np.sum(area)), int(np.sum(edges)), all(bool(each) for each in closed), self.low_z, self.high_z,
            np.sum(levels, axis=0), merged_columns(columns), np.sum(walls, axis=0), _outline(np.concatenate(outline)),
        )  # fmt: skip

    def load(self, name: TileName) -> TileSurface:
        """The surface of a tile, after `finish`."""
        mesh = self._folder.mesh(name)
        stays, own, numbers = self._numbered(name, mesh)
        fields = ("normals", *(("colours",) if self.coloured else ()), *ERROR_ATTRIBUTES)
        values = {}
        for field, known in zip(fields, self._notes.read(name, *fields), strict=True):
            values[field] = np.zeros((len(own), *known.shape[1:]), known.dtype)
            values[field][own] = known
        foreign = np.flatnonzero(~mesh.own & stays)
        for owner, mine, places in places_at_owners(self._survey, name, mesh.keys[foreign]):
            rows = foreign[mine]
            read = self._notes.read(owner, "border_numbers", *(f"border_{field}" for field in fields))
            numbers[rows] = read[0][places]
            for field, theirs in zip(fields, read[1:], strict=True):
                values[field][rows] = theirs[places]
        faces = mesh.faces[stays[mesh.faces[:, 0]]].astype(np.int64)
        assert faces.size == 0 or numbers[faces].min() >= 0
        world = self._frame.voxels.to_world(mesh.vertices)
        attributes = {field: values[field] for field in ERROR_ATTRIBUTES}
        found = Mesh(world, faces, values["normals"], values.get("colours"), attributes)
        return TileSurface(found, numbers, own, mesh.keys)

    def shell(self, name: TileName) -> np.ndarray:
        """(S, 3, 3) float64, world: the corners of faces along the border of a tile, after `finish`."""
        return self._notes.read(name, "shell")[0]

    def _numbered(self, name: TileName, mesh: TileMesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(V,) bool which vertices stay, and which of them are the tile's own; (V,) int64 the numbers of these, or -1."""
        tile = self._tiles[name]
        stays = self._pieces.stays(tile)[label_tile(mesh)[0]]
        own = mesh.own & stays
        return stays, own, np.where(own, self._first[tile] + np.cumsum(own) - 1, -1)

    def _dress(self, name: TileName) -> dict[str, np.ndarray]:
        mesh = self._folder.mesh(name)
        stays, own, numbers = self._numbered(name, mesh)
        (border,), foreign = self._survey.read(name, "border_rows"), np.flatnonzero(~mesh.own)
        faces = mesh.faces[stays[mesh.faces[:, 0]]].astype(np.int64)
        world = Mesh(self._frame.voxels.to_world(mesh.vertices), faces)
        sums = self._sums_before(name, mesh, border, foreign)
        add_face_normals(world, sums)
        normals = unit_or_zero(sums)
        if self._finished.has_gradients:
            normals[mesh.own] = falling_normals(self._finished.gradients(name), normals[mesh.own])
        normals = normals.astype(np.float32)
        found = {"normals": normals[own], "border_numbers": numbers[border], "border_normals": normals[border]}
        found |= {"foreign_sums": sums[foreign], "shell": self._shell(name, mesh.vertices, world)}
        if self.coloured:
            margin = _COLOUR_MARGIN_VOXELS * self._frame.voxels.voxel_size_m
            colours = np.zeros((len(own), 3), dtype=np.uint8)
            colours[own] = colours_near(self._points, world.vertices[own], margin)
            found |= {"colours": colours[own], "border_colours": colours[border]}
        errors = errors_near(
            self._points, world.vertices[own], found["normals"], self._frame.voxels, self._points_per_voxel
        )
        place = np.cumsum(own) - 1  # border vertices are the tile's own; one that went is not asked for
        for field, values in errors.items():
            found |= {field: values, f"border_{field}": values[np.minimum(place[border], len(values) - 1)]}
        return found | self._edges(name, mesh, faces, border, foreign) | self._summed(world, stays)

    def _sums_before(self, name: TileName, mesh: TileMesh, border: np.ndarray, foreign: np.ndarray) -> np.ndarray:
        """(V, 3) float64: the sums of face normals that tiles before this one have added at the vertices they share."""
        sums = np.zeros((len(mesh.vertices), 3))
        shared = np.sort(np.concatenate([border, foreign]))
        for other in tiles_within(name, (1, 1, 1)):
            if other < name and other in self._tiles:  # of several, the last one has added to what the others had
                (keys,) = self._survey.read(other, "foreign_keys")
                _, ours, theirs = np.intersect1d(mesh.keys[shared], keys, assume_unique=True, return_indices=True)
                if len(ours):
                    sums[shared[ours]] = self._notes.read(other, "foreign_sums")[0][theirs]
        return sums

    def _edges(
        self, name: TileName, mesh: TileMesh, faces: np.ndarray, border: np.ndarray, foreign: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The edges within the tile are checked here, those along borders by the last tile that may have them."""
        on_border = np.zeros(len(mesh.vertices), dtype=bool)
        on_border[border] = on_border[foreign] = True
        edges, closed = check_edges(faces, len(mesh.vertices), on_border)
        along = edges_along_border(faces, on_border, mesh.keys)
        others = [other for other in lower_neighbours(name) if other != name and other in self._tiles]
        sides = [along, *(self._notes.read(other, "along")[0] for other in others)]
        border_edges, border_closed = check_border_edges(sides, self.grid, name)
        return {
            "along": along,
            "edges": np.array(edges + border_edges),
            "closed": np.array((closed or len(faces) == 0) and border_closed),
        }

    def _levels(self, name: TileName) -> np.ndarray:
        """After all tiles are dressed, since whether a face was observed may be up to a neighbour's vertices."""
        mesh = self.load(name).mesh
        upright = replace(mesh, vertices=self._frame.upright(mesh.vertices))
        return areas_between(upright, self.low_z, self.high_z)

    def _summed(self, world: Mesh, stays: np.ndarray) -> dict[str, np.ndarray]:
        upright = Mesh(self._frame.upright(world.vertices), world.faces)
        return {
            "area": face_areas(world).sum(),
            "columns": columns_of(upright),
            "walls": wall_sums(upright),
            "outline": _outline(upright.vertices[stays]),
        }

    def _shell(self, name: TileName, vertices: np.ndarray, world: Mesh) -> np.ndarray:
        low, high = self._frame.box_voxels(self.grid, name)
        near = np.zeros(len(vertices), dtype=bool)
        for axis in range(3):
            along = vertices[:, axis]
            near |= (along < low[axis] + self.shell_voxels) | (along > high[axis] - self.shell_voxels)
        a, b, c = world.faces.T  # a face's nearest place to a plane is one of its corners
        return world.vertices[world.faces[near[a] | near[b] | near[c]]]


def _outline(points: np.ndarray) -> np.ndarray:
    """(H, 3) those of (N, 3) points that reach as far as all do in level directions."""
    try:
        return points[ConvexHull(points[:, :2]).vertices]
    except QhullError:  # fewer than three, or all on one line, whose ends are the first and the last
        return points[np.lexsort(points.T[:2])[[0, -1]]]
