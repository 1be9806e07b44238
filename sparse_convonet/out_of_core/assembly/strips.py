"""Stage out_of_core: a tile's faces together with those of its neighbours near it, where what a face becomes depends on
faces around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.lattice import unpack_lattice
from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.out_of_core.assembly.tile_notes import TileNotes, tiles_within
from sparse_convonet.tile_grid import TileGrid, TileName


@dataclass(frozen=True)
class Surroundings:
    """The faces of a tile, and those around it, on vertices that all have one number.

    keys: (V,) int64 ascending, see TileMesh.  faces: (F, 3) int64, the tile's own first.
    """

    keys: np.ndarray
    faces: np.ndarray

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """Where keys (K,), each of them known, stand."""
        return np.searchsorted(self.keys, keys)


@dataclass(frozen=True)
class Strips:
    """Writes, for each tile, its faces near its border, and reads those of the tiles around one.

    reach: cells; so far beyond a tile's box all faces are read.  What the neighbours have must be written before.
    """

    notes: TileNotes
    reach: int

    def write(
        self, name: TileName, mesh: TileMesh, faces: np.ndarray, rows: np.ndarray, more: dict[str, np.ndarray]
    ) -> None:
        """mesh: of the tile; faces: (F,) bool, those that are there; rows: (K,) of vertices that are kept anyway.

        more: arrays of all vertices (V, ...), to keep too.
        """
        near = faces & self._near_border(mesh, name)[mesh.faces].any(axis=1)
        used = np.zeros(len(mesh.vertices), dtype=bool)
        used[mesh.faces[near]] = used[rows] = True
        number = np.cumsum(used) - 1
        kept = {field: array[used] for field, array in more.items()}
        self.notes.write(name, {"keys": mesh.keys[used], "faces": number[mesh.faces[near]], **kept})

    def around(self, name: TileName, *fields: str) -> Iterator[list[np.ndarray]]:
        """[keys (K,), faces (F, 3) into these, further fields] of each other tile around one, near it."""
        grid = self.notes.folder.grid
        low, high = grid.box(name)
        x, y, z = (-(-(self.reach + 2) // edge) for edge in grid.edges)
        for other in tiles_within(name, (x, y, z)):
            if other == name or not self.notes.has(other):
                continue
            keys, faces, *more = self.notes.read(other, "keys", "faces", *fields)
            places = unpack_lattice(keys >> 2)
            inside: np.ndarray = np.all((places >= low - self.reach) & (places <= high + self.reach), axis=1)
            near = inside[faces].any(axis=1)
            yield [keys, faces[near], *more]

    def _near_border(self, mesh: TileMesh, name: TileName) -> np.ndarray:
        """(V,) bool."""
        grid: TileGrid = self.notes.folder.grid
        low, high = grid.box(name)
        places = unpack_lattice(mesh.keys >> 2)
        return np.asarray(np.any((places <= low + self.reach) | (places >= high - self.reach), axis=1))


def surround(keys: np.ndarray, faces: np.ndarray, strips: Sequence[list[np.ndarray]]) -> Surroundings:
    """A tile's vertices by keys (V,) and faces (F, 3) into them, with what Strips.around gives."""
    every = np.unique(np.concatenate([keys, *(strip[0] for strip in strips)]))
    named = [keys[faces], *(strip[0][strip[1]] for strip in strips)]
    return Surroundings(every, np.searchsorted(every, np.concatenate(named)))
