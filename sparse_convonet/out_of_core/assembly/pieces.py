"""Stage out_of_core: connected pieces of a mesh in tiles, and which of them are too small to stay.

Each tile is labelled alone.  Pieces that share a vertex on a border become one; all that is needed for that, and later
for numbering, is kept in a small file beside the tile's mesh.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.extract.lattice import unpack_lattice
from sparse_convonet.extract.tile_pieces import by_owner, join_pieces, label_tile
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.out_of_core.assembly.tile_notes import TileNotes, reporting
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.tile_grid import TileGrid, TileName

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pieces:
    """The pieces of all tiles.  A part is what one tile has of a piece; parts are numbered on from tile to tile.

    names: the tiles with faces, in order.  starts: (T + 1,) the first part of each tile.  piece_of: (L,) the piece of
    each part.  faces, vertices: (L,) how many faces each part has, and how many vertices its tile owns of it.
    low, high: (L, 3) extremes in voxel coordinates.  areas: (P,) of each piece, voxels squared.  kept: (P,) bool.
    """

    names: tuple[TileName, ...]
    starts: np.ndarray
    piece_of: np.ndarray
    faces: np.ndarray
    vertices: np.ndarray
    low: np.ndarray
    high: np.ndarray
    areas: np.ndarray
    kept: np.ndarray

    def parts(self, tile: int) -> slice:
        """The parts of a tile, by its number."""
        return slice(int(self.starts[tile]), int(self.starts[tile + 1]))

    def per_tile(self, values: np.ndarray) -> np.ndarray:
        """(T,) int64: the sums of values (L,) of the parts that stay."""
        sums = np.concatenate([[0], np.cumsum(np.where(self.kept[self.piece_of], values, 0))])
        return sums[self.starts[1:]] - sums[self.starts[:-1]]

    def stays(self, tile: int) -> np.ndarray:
        """(P',) bool: which of a tile's pieces, numbered as label_tile does, stay."""
        return self.kept[self.piece_of[self.parts(tile)]]

    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """(P, 3) lowest and highest coordinates of each piece, voxels."""
        low, high = np.full((len(self.areas), 3), np.inf), np.full((len(self.areas), 3), -np.inf)
        np.minimum.at(low, self.piece_of, self.low)
        np.maximum.at(high, self.piece_of, self.high)
        return low, high

    def first_places(self) -> np.ndarray:
        """(P,) for each piece the first part it has."""
        return np.unique(self.piece_of, return_index=True)[1]


def survey_notes(folder: TileFolder) -> TileNotes:
    """The notes that find_pieces makes."""
    return TileNotes(folder, "pieces.npz", "2")


def find_pieces(folder: TileFolder, progress: Progress) -> Pieces:
    """The connected pieces over all tiles, all of which stay.  Raises ValueError where tiles do not fit together."""
    notes = survey_notes(folder)
    names = folder.mesh_names()
    for name in reporting(progress, "pieces", names):
        if not notes.has(name):
            notes.write(name, _survey(folder.mesh(name), folder.grid, name))
    fields = ("areas", "faces", "vertices", "low", "high")
    found = [notes.read(name, *fields) for name in names]
    areas, faces, vertices, low, high = (
        [each[n] for each in found] if found else [np.zeros((0, 3) if n > 2 else 0)] for n in range(len(fields))
    )
    starts = np.concatenate([[0], np.cumsum([len(each[0]) for each in found])]).astype(np.int64)
    first = dict(zip(names, starts.tolist(), strict=False))
    piece_of, total = join_pieces(areas, list(_pairs(notes, names, first)))
    return Pieces(
        tuple(names), starts, piece_of, np.concatenate(faces), np.concatenate(vertices),
        np.concatenate(low), np.concatenate(high), total, np.ones(len(total), dtype=bool),
    )  # fmt: skip


def without_small(pieces: Pieces, least_area: float, least_share: float | None) -> Pieces:
    """Without the pieces of less area (voxels squared), at most a share of the whole surface."""
    if least_share is not None:
        least_area = min(least_area, least_share * float(pieces.areas.sum()))
    kept = pieces.areas >= least_area
    logger.info("removed %d of %d pieces: area %.3f", (~kept).sum(), len(kept), pieces.areas[~kept].sum())
    return replace(pieces, kept=kept)


def _survey(mesh: TileMesh, grid: TileGrid, name: TileName) -> dict[str, np.ndarray]:
    labels, areas = label_tile(mesh)
    low, high = np.full((len(areas), 3), np.inf), np.full((len(areas), 3), -np.inf)
    np.minimum.at(low, labels, mesh.vertices)
    np.maximum.at(high, labels, mesh.vertices)
    foreign, border = np.flatnonzero(~mesh.own), shared_rows(mesh, grid, name)
    return {
        "areas": areas,
        "faces": np.bincount(labels[mesh.faces[:, 0]], minlength=len(areas)),
        "vertices": np.bincount(labels[mesh.own], minlength=len(areas)),
        "low": low,
        "high": high,
        "foreign_keys": mesh.keys[foreign],
        "foreign_parts": labels[foreign],
        "border_rows": border,
        "border_keys": mesh.keys[border],
        "border_parts": labels[border],
    }


def shared_rows(mesh: TileMesh, grid: TileGrid, name: TileName) -> np.ndarray:
    """(K,) ascending rows of the vertices that a tile owns and others may use: those on its lower border.

    An edge on the border runs along it, so its lower point lies at the tile's low end of another axis than its own.
    """
    at_low = unpack_lattice(mesh.keys >> 2) == grid.box(name)[0]
    at_low[np.arange(len(mesh.keys)), mesh.keys & 3] = False
    return np.flatnonzero(mesh.own & at_low.any(axis=1))


def places_at_owners(
    notes: TileNotes, name: TileName, keys: np.ndarray
) -> Iterator[tuple[TileName, np.ndarray, np.ndarray]]:
    """For keys of vertices that a tile uses: their owners, which of the keys are theirs, and where in `border_keys`.

    Raises ValueError where an owner does not know a vertex.
    """
    for owner, mine in by_owner(notes.folder.grid, keys):
        known = notes.read(owner, "border_keys")[0] if notes.has(owner) else np.zeros(0, dtype=np.int64)
        places = np.searchsorted(known, keys[mine])
        if len(known) == 0 or not np.array_equal(known[places.clip(max=len(known) - 1)], keys[mine]):
            raise ValueError(
                f"tiles {name} and {owner} of {notes.folder.folder}: expected the same vertices on the border between "
                "them, found others; remove the folder and run again"
            )
        yield owner, mine, places


def _pairs(notes: TileNotes, names: list[TileName], first: dict[TileName, int]) -> Iterator[np.ndarray]:
    """(2, K) int64 each: parts of two tiles that share vertices."""
    for name in names:
        keys, parts = notes.read(name, "foreign_keys", "foreign_parts")
        for owner, mine, places in places_at_owners(notes, name, keys):
            (theirs,) = notes.read(owner, "border_parts")
            yield np.unique(np.stack([first[name] + parts[mine], first[owner] + theirs[places]]), axis=1)
