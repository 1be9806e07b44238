"""Stage mesh: the meshes of tiles joined to one; a vertex on a border is its owner's, for all tiles that use it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparse_convonet.mesh.cleanup import Cleaned
from sparse_convonet.mesh.lattice import unpack_lattice
from sparse_convonet.mesh.tiles import TiledMesh, TileMesh
from sparse_convonet.mesh.topology import face_areas, vertex_components
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileGrid, TileName

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Foreign:
    """Vertices of a tile that another tile owns: their rows there and at the owner, (K,) int64 each."""

    owner: TileName
    rows: np.ndarray
    owner_rows: np.ndarray


@dataclass(frozen=True)
class _Pieces:
    """Connected pieces over all tiles: the piece of each tile's vertices, (V,) int64, and the area of each, (P,)."""

    of_vertices: dict[TileName, np.ndarray]
    areas: np.ndarray


def joined(tiled: TiledMesh, least_area: float = 0.0, least_share: float | None = None) -> Cleaned:
    """One mesh of all tiles, in the order of the tiles, without the connected pieces of too little surface.

    least_area: in squared units of the mesh, at most `least_share` of the whole surface if that is given.  The tiles
    are used up.
    """
    foreign = {tile: _foreign(tiled, tile) for tile in tiled.tiles}
    pieces = _pieces(tiled, foreign)
    if least_share is not None:
        least_area = min(least_area, least_share * float(pieces.areas.sum()))
    kept_piece = pieces.areas >= least_area
    numbers: dict[TileName, np.ndarray] = {}
    count = 0
    for tile, mesh in tiled.tiles.items():
        kept = mesh.own & kept_piece[pieces.of_vertices[tile]]
        numbers[tile] = np.where(kept, count + np.cumsum(kept) - 1, -1)
        count += int(np.count_nonzero(kept))
    for tile, shares in foreign.items():
        for share in shares:
            numbers[tile][share.rows] = numbers[share.owner][share.owner_rows]
    kept_faces = {t: kept_piece[pieces.of_vertices[t][mesh.faces[:, 0]]] for t, mesh in tiled.tiles.items()}
    face_count = sum(int(np.count_nonzero(kept)) for kept in kept_faces.values())
    removed_faces = sum(len(mesh.faces) for mesh in tiled.tiles.values()) - face_count
    vertices, faces = np.empty((count, 3)), np.empty((face_count, 3), dtype=np.int64)
    first_vertex, first_face = 0, 0
    for tile in list(tiled.tiles):
        mesh, number = tiled.tiles.pop(tile), numbers.pop(tile)
        own = mesh.vertices[mesh.own & (number >= 0)]
        vertices[first_vertex : first_vertex + len(own)] = own
        kept = number[mesh.faces[kept_faces.pop(tile)]]
        assert kept.min(initial=0) >= 0
        faces[first_face : first_face + len(kept)] = kept
        first_vertex, first_face = first_vertex + len(own), first_face + len(kept)
    removed = pieces.areas[~kept_piece]
    logger.info(
        "removed %d of %d pieces: %d faces, area %.3f", len(removed), len(kept_piece), removed_faces, removed.sum()
    )
    return Cleaned(Mesh(vertices, faces), len(removed), removed_faces, float(removed.sum()))


def _foreign(tiled: TiledMesh, tile: TileName) -> list[_Foreign]:
    """Where the vertices that a tile does not own stand at their owners."""
    mesh = tiled.tiles[tile]
    rows = np.flatnonzero(~mesh.own)
    found = []
    for owner, places in by_owner(tiled.grid, mesh.keys[rows]):
        keys, wanted = tiled.tiles[owner].keys, mesh.keys[rows[places]]
        owner_rows = np.searchsorted(keys, wanted)
        assert np.array_equal(keys[owner_rows], wanted), "every vertex on a border is found on both sides"
        found.append(_Foreign(owner, rows[places], owner_rows))
    return found


def by_owner(grid: TileGrid, keys: np.ndarray) -> Iterator[tuple[TileName, np.ndarray]]:
    """The tiles that own vertices, in order, and the places (K,) int64 of theirs in keys (V,), see TileMesh.keys."""
    owners = grid.tiles_of(unpack_lattice(keys >> 2))
    for owner in np.unique(owners, axis=0):
        yield (int(owner[0]), int(owner[1]), int(owner[2])), np.flatnonzero((owners == owner).all(axis=1))


def label_tile(mesh: TileMesh) -> tuple[np.ndarray, np.ndarray]:
    """Connected pieces of a tile alone: (V,) int64 the piece of each vertex, (P,) the area of each piece."""
    labels = vertex_components(mesh.faces, len(mesh.vertices)).astype(np.int64)
    size = int(labels.max(initial=-1)) + 1
    return labels, np.bincount(labels[mesh.faces[:, 0]], face_areas(Mesh(mesh.vertices, mesh.faces)), size)


def join_pieces(areas: Sequence[np.ndarray], pairs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of all tiles, numbered on from tile to tile, joined where they share a vertex.

    areas: of the pieces of each tile, (P',) each.  pairs: (2, K) int64 each, pieces that share one.  Returns the
    joined piece of each piece, and the area of each joined one.
    """
    first, second = np.concatenate([np.zeros((2, 0), dtype=np.int64), *pairs], axis=1)
    all_areas = np.concatenate([np.zeros(0), *areas])
    count = len(all_areas)
    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    joined_count, piece = connected_components(links, directed=False)
    return piece, np.bincount(piece, all_areas, joined_count) if count else np.zeros(0)


def _pieces(tiled: TiledMesh, foreign: dict[TileName, list[_Foreign]]) -> _Pieces:
    """Connected pieces of each tile, joined where they share a vertex."""
    of_vertices: dict[TileName, np.ndarray] = {}
    areas: list[np.ndarray] = []
    count = 0
    for tile, mesh in tiled.tiles.items():
        labels, tile_areas = label_tile(mesh)
        areas.append(tile_areas)
        of_vertices[tile] = labels + count
        count += len(tile_areas)
    pairs = [
        np.unique(np.stack([of_vertices[tile][share.rows], of_vertices[share.owner][share.owner_rows]]), axis=1)
        for tile, shares in foreign.items()
        for share in shares
    ]
    piece, total = join_pieces(areas, pairs)
    return _Pieces({tile: piece[labels] for tile, labels in of_vertices.items()}, total)
