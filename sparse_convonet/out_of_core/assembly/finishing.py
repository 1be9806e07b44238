"""Stage out_of_core: the tiles of a surface finished, in the order of a whole mesh: small pieces go, then what the points
do not show, then vertices move onto the field's surface, and small pieces that the cut left go.

What becomes of a vertex when it is refined depends on the faces around it (extract.refine.without_flips), so faces near a
tile are read with it; where a vertex moves to before that is asked of the tile that owns it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.refine import UNFLIP_PASSES, without_flips
from sparse_convonet.extract.tile_pieces import label_tile
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.mesh.cleanup import PieceRules
from sparse_convonet.out_of_core.assembly.crumbs import without_crumbs
from sparse_convonet.out_of_core.assembly.pieces import Pieces, find_pieces, shared_rows
from sparse_convonet.out_of_core.assembly.strips import Strips, surround
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource, TileNotes, reporting, tag_of
from sparse_convonet.out_of_core.assembly.unobserved import Unobserved, part_of
from sparse_convonet.out_of_core.tiles.tile_folder import MOVED, TileFolder, load_arrays, save_arrays
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName

GRADIENTS = "gradients.npz"  # beside a finished mesh: of the logit, at the vertices that the tile owns


@dataclass(frozen=True)
class FinishedTiles:
    """The pieces of a folder of tiles that stay, and how many went; has_gradients: whether GRADIENTS are there."""

    folder: TileFolder
    pieces: Pieces
    removed_pieces: int
    has_gradients: bool = False

    @property
    def face_count(self) -> int:
        """Of all pieces that stay."""
        return int(self.pieces.per_tile(self.pieces.faces).sum())

    def gradients(self, name: TileName) -> np.ndarray:
        """(K, 3) float32 at the vertices that a tile owns."""
        return load_arrays(self.folder.place(name, GRADIENTS), "gradients")["gradients"]


def finish_tiles(
    folder: TileFolder,
    points: PointSource,
    frame: TileFrame,
    rules: PieceRules,
    settings: ReconstructionSettings,
    progress: Progress,
) -> FinishedTiles:
    """What reconstruct makes of a whole surface before it leaves voxel coordinates.

    folder: as searching.mesh_tile leaves it, which it stays.  Raises ValueError where tiles do not fit together.
    """
    pieces = without_crumbs(find_pieces(folder, progress), folder, points, frame, rules, progress)
    removed = int(np.count_nonzero(~pieces.kept))
    cut, refined = settings.surface_cut(frame.voxels.voxel_size_m), settings.refine_steps > 0
    if not pieces.kept.any() or (cut is None and not refined and not settings.field_normals):
        return FinishedTiles(folder, pieces, removed)
    tag = tag_of(
        pieces.kept, pieces.piece_of, pieces.areas, points.count, frame.voxels.origin_world, frame.voxels.voxel_size_m,
        points.has_scanners, str(cut), settings.refine_steps, settings.field_normals,
    )  # fmt: skip
    kept = None if cut is None else Unobserved(folder, pieces, points, frame, cut, tag).cut(progress)
    finished = _Finishing(folder, pieces, kept, refined, settings.field_normals, tag).run(progress)
    pieces = find_pieces(finished, progress)
    if cut is not None:
        pieces = without_crumbs(pieces, finished, points, frame, rules, progress)
        removed += int(np.count_nonzero(~pieces.kept))
    return FinishedTiles(finished, pieces, removed, settings.field_normals)


class _Finishing:
    """Writes tiles without what goes, with their vertices where they belong, to a folder in the folder."""

    def __init__(
        self, folder: TileFolder, pieces: Pieces, kept: TileNotes | None, refined: bool, gradients: bool, tag: str
    ) -> None:
        self._folder, self._pieces, self._kept = folder, pieces, kept
        self._refined, self._gradients = refined, gradients
        self._finished = TileFolder(folder.folder / f"finished_{tag[:16]}", folder.grid)
        self._strips = Strips(TileNotes(folder, "strip.npz", tag), UNFLIP_PASSES + 2 if refined else 1)
        self._tiles = {name: n for n, name in enumerate(pieces.names) if pieces.stays(n).any()}

    def run(self, progress: Progress) -> TileFolder:
        for name in reporting(progress, "surroundings", list(self._tiles)):
            if not self._strips.notes.has(name):
                self._write_strip(name)
        for name in reporting(progress, "refine" if self._refined else "cut", list(self._tiles)):
            if not self._finished.has_result(name):
                self._finish(name)
        return self._finished

    def _faces(self, name: TileName, mesh: TileMesh) -> np.ndarray:
        """(F,) bool: the faces that stay."""
        if self._kept is not None:
            return self._kept.read(name, "faces")[0]
        return self._pieces.stays(self._tiles[name])[label_tile(mesh)[0]][mesh.faces[:, 0]]

    def _moved(self, name: TileName, mesh: TileMesh) -> np.ndarray:
        """(V, 3) where vertices move to that the tile owns, and where the others are."""
        moved = mesh.vertices.copy()
        if self._refined:
            moved[mesh.own] = load_arrays(self._folder.place(name, MOVED), "moved")["moved"]
        return moved

    def _write_strip(self, name: TileName) -> None:
        mesh = self._folder.mesh(name)
        more = {"own": mesh.own, "places": mesh.vertices, "moved": self._moved(name, mesh)}
        self._strips.write(name, mesh, self._faces(name, mesh), shared_rows(mesh, self._folder.grid, name), more)

    def _finish(self, name: TileName) -> None:
        mesh = self._folder.mesh(name)
        faces = self._faces(name, mesh)
        strips = list(self._strips.around(name, "own", "places", "moved"))
        around = surround(mesh.keys, mesh.faces[faces], strips)
        rows = around.rows(mesh.keys)
        used = np.zeros(len(around.keys), dtype=bool)
        used[around.faces] = True  # also by a neighbour alone
        here = np.zeros(len(mesh.vertices), dtype=bool)
        here[mesh.faces[faces]] = True
        here |= mesh.own & used[rows]
        vertices = mesh.vertices
        if self._refined:
            places, moved = np.zeros((len(around.keys), 3)), np.zeros((len(around.keys), 3))
            known = np.zeros(len(around.keys), dtype=bool)
            own = [mesh.keys, mesh.own, mesh.vertices, self._moved(name, mesh)]
            for keys, owned, before, after in (own, *([strip[0], *strip[2:]] for strip in strips)):
                at = around.rows(keys)
                places[at] = before
                moved[at[owned]], known[at[owned]] = after[owned], True
            assert known[used].all(), "every vertex near a tile is near its owner's border"
            vertices = without_flips(Mesh(places, around.faces), moved)[rows]
        if self._gradients:
            chosen = self._chosen_gradients(name, vertices[mesh.own])[here[mesh.own]]
            save_arrays(self._finished.path(name, GRADIENTS), {"gradients": chosen})
        finished = TileMesh(vertices, mesh.faces, mesh.keys, mesh.own)
        self._finished.save_mesh(name, part_of(finished, here, faces))

    def _chosen_gradients(self, name: TileName, vertices: np.ndarray) -> np.ndarray:
        """(K, 3) float32 at vertices (K, 3) that a tile owns, which moved or stayed."""
        found = load_arrays(self._folder.place(name, MOVED))
        if "moved_gradients" not in found:
            return found["gradients"]
        moved = (vertices == found["moved"]).all(axis=1, keepdims=True)
        return np.where(moved, found["moved_gradients"], found["gradients"])
