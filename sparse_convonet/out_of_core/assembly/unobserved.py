"""Stage out_of_core: the surface of tiles that the points do not show, cut away as mesh.surface_cuts.cut_surface does.

A patch of such faces may reach across tiles; so each tile's are kept as a mesh, whose connected pieces are found as those
of the surface are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.encode.hints import directions_to_scanners
from sparse_convonet.extract.tile_pieces import label_tile
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.mesh.surface_cuts import SurfaceCut, SurfacePoints
from sparse_convonet.out_of_core.assembly.pieces import Pieces, find_pieces, shared_rows
from sparse_convonet.out_of_core.assembly.tile_frame import SNAP_VOXELS, TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource, TileNotes, reporting
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName


class Unobserved:
    """Cuts the surface of all tiles, one after the other; what a killed run has found is used.

    pieces: those that stay are looked at.  tag: names all of these.
    """

    def __init__(
        self,
        folder: TileFolder,
        pieces: Pieces,
        points: PointSource,
        frame: TileFrame,
        cut: SurfaceCut,
        tag: str,
    ) -> None:
        self._folder, self._pieces, self._points, self._frame = folder, pieces, points, frame
        self._surface_cut = cut
        self._hidden = TileFolder(folder.folder / f"unobserved_{tag[:16]}", folder.grid)
        self._hidden_faces = TileNotes(self._hidden, "hidden.npz", tag)
        self._kept = TileNotes(folder, "observed.npz", tag)
        self._tiles = {name: n for n, name in enumerate(pieces.names) if pieces.stays(n).any()}

    def cut(self, progress: Progress) -> TileNotes:
        """Notes of the tiles with pieces that stay: `faces` (F,) bool, which faces of each stay."""
        for name in reporting(progress, "unobserved", list(self._tiles)):
            if not self._hidden.has_result(name):
                self._find_hidden(name)
        patches = find_pieces(self._hidden, progress)
        patch_tiles = {name: n for n, name in enumerate(patches.names)}
        patches = replace(patches, kept=_diameters(patches) >= self._surface_cut.patch_voxels)
        for name in reporting(progress, "unobserved patches", list(self._tiles)):
            if not self._kept.has(name):
                self._cut(name, patches, patch_tiles.get(name))
        return self._kept

    def _staying(self, name: TileName, mesh: TileMesh) -> np.ndarray:
        """(V,) bool: the vertices of pieces that stay."""
        return self._pieces.stays(self._tiles[name])[label_tile(mesh)[0]]

    def _find_hidden(self, name: TileName) -> None:
        """Keep the faces that points do not show; all vertices on borders, which others use."""
        mesh = self._folder.mesh(name)
        stays = self._staying(name, mesh)
        chosen = stays[mesh.faces[:, 0]]
        chosen[chosen] = self._hidden_of(Mesh(mesh.vertices, mesh.faces[chosen]))
        used = np.zeros(len(stays), dtype=bool)
        used[shared_rows(mesh, self._folder.grid, name)] = True
        used = stays & (used | ~mesh.own)
        used[mesh.faces[chosen]] = True
        self._hidden_faces.write(name, {"hidden": chosen})
        self._hidden.save_mesh(name, part_of(mesh, used, chosen))

    def _hidden_of(self, mesh: Mesh) -> np.ndarray:
        """(F,) bool."""
        voxels, margin = self._frame.voxels, self._surface_cut.margin_voxels + SNAP_VOXELS
        low, high = mesh.vertices.min(axis=0) - margin, mesh.vertices.max(axis=0) + margin
        near = self._points.within(voxels.to_world(low), voxels.to_world(high))
        if len(near.points_world) == 0:
            return np.ones(len(mesh.faces), dtype=bool)
        directions = None
        if self._surface_cut.needs_directions and near.scanners_world is not None:
            directions = directions_to_scanners(near.points_world, near.scanners_world)[:, :3]
        return self._surface_cut.hidden(mesh, SurfacePoints(voxels.snap_to_voxels(near.points_world), directions))

    def _cut(self, name: TileName, patches: Pieces, patch_tile: int | None) -> None:
        """Of the hidden faces cut those of patches that are large enough."""
        mesh, (cut,) = self._folder.mesh(name), self._hidden_faces.read(name, "hidden")
        if patch_tile is not None and cut.any():
            hidden = self._hidden.mesh(name)
            cut[cut] = patches.stays(patch_tile)[label_tile(hidden)[0]][hidden.faces[:, 0]]
        self._kept.write(name, {"faces": self._staying(name, mesh)[mesh.faces[:, 0]] & ~cut})


def part_of(mesh: TileMesh, vertices: np.ndarray, faces: np.ndarray) -> TileMesh:
    """The vertices (V,) bool and faces (F,) bool of a tile; the faces use none but these vertices."""
    number = np.cumsum(vertices, dtype=np.int32) - np.int32(1)
    return TileMesh(mesh.vertices[vertices], number[mesh.faces[faces]], mesh.keys[vertices], mesh.own[vertices])


def _diameters(patches: Pieces) -> np.ndarray:
    """(P,) the diagonals of the boxes around patches, voxels."""
    low, high = patches.ends()
    return np.asarray(np.linalg.norm(high - low, axis=1))
