"""Stage out_of_core: a surface in tiles taken apart into equal blocks on the disk, for its light mesh and its 3D Tiles.

Each block has all its faces in the order of a surface in one piece, whatever the tiles were.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.coincidence import in_place_sample
from sparse_convonet.mesh.light import BLOCK_CELLS, SAMPLE, faces_by_block
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


@dataclass(frozen=True)
class SurfaceBlock:
    """name: in a grid of such blocks.  mesh: its faces, at least one, and the vertices that they use; in the world, metres,
    z up, with normals where they were asked for.  ids: (V,) int64, the same in all blocks that use a vertex."""

    name: TileName
    mesh: Mesh
    ids: np.ndarray


def block_numbers(frame: TileFrame, vertices_world: np.ndarray) -> np.ndarray:
    """(V,) int64: the block of each vertex, ascending in the order of their names."""
    blocks = (
        np.floor(frame.voxels.to_voxels(vertices_world) / (BLOCK_CELLS * frame.cell_voxels)).astype(np.int64) + _HALF
    )
    return (((blocks[:, 0] << _NUMBER_BITS) + blocks[:, 1]) << _NUMBER_BITS) + blocks[:, 2]


def block_name(number: int) -> TileName:
    """What block_numbers has numbered."""
    low = (1 << _NUMBER_BITS) - 1
    return (number >> 2 * _NUMBER_BITS) - _HALF, (number >> _NUMBER_BITS & low) - _HALF, (number & low) - _HALF


class SurfaceBlocks:
    """folder: a place for the blocks, emptied at first and gone in the end.  vertex_count: of the whole mesh."""

    def __init__(self, folder: Path, frame: TileFrame, vertex_count: int, *, normals: bool) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder, self._frame, self._vertex_count, self._normals = folder, frame, vertex_count, normals
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
            if self._normals and mesh.normals is not None:
                arrays["normals"] = mesh.normals[used]
            place = self._folder / str(block)
            place.mkdir(parents=True, exist_ok=True)
            save_arrays(place / f"{'_'.join(map(str, name))}.npz", arrays)

    @property
    def sample(self) -> np.ndarray:
        """(N, 3) vertices of the whole surface, some SAMPLE of them."""
        return np.concatenate(self._samples)

    def read(self, progress: Progress) -> Iterator[SurfaceBlock]:
        """The blocks of all tiles, of which one has faces, in their order; then they are gone."""
        numbers = sorted(int(path.name) for path in self._folder.iterdir())
        for done, number in enumerate(numbers):
            progress("light mesh", done / len(numbers))
            parts = [load_arrays(path) for path in sorted((self._folder / str(number)).iterdir())]
            found = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
            del parts
            corners = found["corners"][np.argsort(cells_of_faces(found["corners"]), kind="stable")]
            keys, first = np.unique(found["keys"], return_index=True)
            rows, local = number_by_first_use(np.searchsorted(keys, corners), 0, len(keys) - 1)
            normals, colours = (found[each][first[rows]] if each in found else None for each in ("normals", "colours"))
            mesh = Mesh(found["vertices"][first[rows]], local, normals, colours)
            yield SurfaceBlock(block_name(number), mesh, keys[rows])
        shutil.rmtree(self._folder, ignore_errors=True)
