"""Stage extract: what joins the meshes of tiles: owners of the vertices on borders, and pieces that reach across them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparse_convonet.extract.lattice import unpack_lattice
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.mesh.topology import face_areas, vertex_components
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileGrid, TileName


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
