"""Files of tiles: folder/<x>_<y>_<z>/<file>, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparse_convonet.extract.tile_search import TileMesh
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.tile_grid import TileGrid, TileName

MESH, NO_MESH = "mesh.npz", "no_mesh"
MOVED = "moved.npz"  # of the vertices that a tile owns, see searching.mesh_tile


class TileFolder:
    """The files of all tiles of a grid."""

    def __init__(self, folder: Path, grid: TileGrid) -> None:
        self.folder = folder
        self.grid = grid

    def path(self, name: TileName, file: str) -> Path:
        """Where a file of a tile stands, or will stand; the tile's folder is made."""
        place = self.place(name, file)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def place(self, name: TileName, file: str) -> Path:
        """The same, and nothing is made."""
        return self.folder / "_".join(map(str, name)) / file

    def has(self, name: TileName, file: str) -> bool:
        """Whether a tile has a file."""
        return self.place(name, file).is_file()

    def names_with(self, file: str) -> list[TileName]:
        """The tiles that have a file, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(_tile_name(path.parent.name) for path in self.folder.glob(f"*/{file}"))

    def has_result(self, name: TileName) -> bool:
        """Whether the mesh of a tile was saved."""
        return self.has(name, MESH) or self.has(name, NO_MESH)

    def mesh_names(self) -> list[TileName]:
        """The tiles that have vertices, in order."""
        return self.names_with(MESH)

    def save_mesh(self, name: TileName, mesh: TileMesh) -> None:
        """Keep the mesh of a tile, which may have nothing."""
        if len(mesh.vertices) == 0:
            with atomic_path(self.path(name, NO_MESH)) as temporary:
                temporary.write_text("nothing\n", encoding="ascii")
            return
        arrays = {"vertices": mesh.vertices, "faces": mesh.faces, "keys": mesh.keys, "own": mesh.own}
        save_arrays(self.path(name, MESH), arrays)

    def mesh(self, name: TileName) -> TileMesh:
        """The mesh of a tile of mesh_names."""
        return TileMesh(**load_arrays(self.path(name, MESH)))


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as .npz, uncompressed."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The named arrays of such a file; all of them where none is named."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in names or archive.files}


def _tile_name(text: str) -> TileName:
    x, y, z = map(int, text.split("_"))
    return x, y, z
