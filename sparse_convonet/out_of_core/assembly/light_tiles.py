"""Stage out_of_core: the light mesh of a surface in tiles; see mesh.light.

The tiles are taken apart into blocks on the disk, each with all its faces in the order of a surface in one piece, before
the first block is made light.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.light import BLOCK_CELLS, SAMPLE, LightBlocks, LightMesh, faces_by_block
from sparse_convonet.mesh.light_numba import number_by_first_use
from sparse_convonet.out_of_core.assembly.joined_tiles import cells_of_faces
from sparse_convonet.out_of_core.assembly.surfaces import TileSurface
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.tiles.tile_folder import load_arrays, save_arrays
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName

_NUMBER_BITS = 20  # of a block along each axis: more than a voxel's key has
_HALF = 1 << (_NUMBER_BITS - 1)


def block_numbers(frame: TileFrame, vertices_world: np.ndarray) -> np.ndarray:
    """(V,) int64: the block of each vertex, ascending in the order of their names."""
    blocks = (
        np.floor(frame.voxels.to_voxels(vertices_world) / (BLOCK_CELLS * frame.cell_voxels)).astype(np.int64) + _HALF
    )
    return (((blocks[:, 0] << _NUMBER_BITS) + blocks[:, 1]) << _NUMBER_BITS) + blocks[:, 2]


class LightTiles:
    """folder: a place for the blocks, emptied at first and gone in the end.  vertex_count: of the whole mesh."""

    def __init__(self, folder: Path, frame: TileFrame, vertex_count: int, error_m: float) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder, self._frame, self._vertex_count, self._error_m = folder, frame, vertex_count, error_m
        self._samples: list[np.ndarray] = []

    def add(self, name: TileName, surface: TileSurface) -> None:
        """Keep the faces of a tile by block."""
        mesh, keys = surface.mesh, surface.keys
        own = mesh.vertices[surface.own]
        self._samples.append(own[in_place_sample(own, self._vertex_count, SAMPLE)])
        if len(mesh.faces) == 0:
            return
        for block, rows in faces_by_block(mesh.faces, block_numbers(self._frame, mesh.vertices)):
            faces = mesh.faces[rows]
            used = np.unique(faces)
            arrays = {"keys": keys[used], "vertices": mesh.vertices[used], "corners": keys[faces]}
            if mesh.colours is not None:
                arrays["colours"] = mesh.colours[used]
            place = self._folder / str(block)
            place.mkdir(parents=True, exist_ok=True)
            save_arrays(place / f"{'_'.join(map(str, name))}.npz", arrays)

    def finish(self, progress: Progress) -> LightMesh:
        """The light mesh of all tiles, of which one has faces."""
        joined = LightBlocks()
        blocks = sorted(int(path.name) for path in self._folder.iterdir())
        for number, block in enumerate(blocks):
            progress("light mesh", number / len(blocks))
            parts = [load_arrays(path) for path in sorted((self._folder / str(block)).iterdir())]
            found = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
            del parts
            corners = found["corners"][np.argsort(cells_of_faces(found["corners"]), kind="stable")]
            keys, first = np.unique(found["keys"], return_index=True)
            rows, local = number_by_first_use(np.searchsorted(keys, corners), 0, len(keys) - 1)
            colours = found["colours"][first[rows]] if "colours" in found else None
            block_mesh = Mesh(found["vertices"][first[rows]], local, colours=colours)
            joined.add(collapse_edges(block_mesh, self._error_m), keys[rows])
        shutil.rmtree(self._folder, ignore_errors=True)
        return joined.finish(np.concatenate(self._samples))
