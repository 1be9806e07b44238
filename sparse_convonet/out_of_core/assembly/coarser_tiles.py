"""Stage out_of_core: coarser surfaces for the higher levels of 3D Tiles, each made from those of the level below.

Rims stay where they are at every level, so that neighbours fit together whichever of their levels a viewer shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.coincidence import first_of_each, in_place_sample
from sparse_convonet.mesh.collapse import CollapsedMesh, collapse_edges
from sparse_convonet.mesh.light import distances_to
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.out_of_core.tiles.tile_folder import load_arrays, save_arrays
from sparse_convonet.structures import Mesh

_SAMPLE = 20_000  # vertices of a tile whose distance is measured; of all it would take as long as collapsing its edges


@dataclass(frozen=True)
class CoarseTile:
    """mesh: with normals.  ids: (V,) int64, the same in all tiles that use a vertex.  on_rim: (V,) bool, see CollapsedMesh.
    error_m: so near to it are the vertices of the full surface, as far as was measured."""

    mesh: Mesh
    ids: np.ndarray
    on_rim: np.ndarray
    error_m: float

    def save(self, path: Path) -> None:
        """Keep it in a file until it is joined with others."""
        mesh = self.mesh
        assert mesh.normals is not None
        arrays = {"vertices": mesh.vertices, "faces": mesh.faces, "normals": mesh.normals, "ids": self.ids}
        arrays["on_rim"] = self.on_rim
        if mesh.colours is not None:
            arrays["colours"] = mesh.colours
        save_arrays(path, {**arrays, "error_m": np.array(self.error_m)})

    @staticmethod
    def load(path: Path) -> CoarseTile:
        """What save has kept."""
        found = load_arrays(path)
        mesh = Mesh(found["vertices"], found["faces"], found["normals"], found.get("colours"))
        return CoarseTile(mesh, found["ids"], found["on_rim"], float(found["error_m"]))


def coarse_tile(full: Mesh, ids: np.ndarray, collapsed: CollapsedMesh, error_m: float) -> CoarseTile:
    """full: a mesh with normals.  ids: (V,) int64 of its vertices.  collapsed: what became of it.  error_m: of `full`."""
    mesh = with_area_normals(collapsed.mesh)
    assert mesh.normals is not None and full.normals is not None
    normals = np.where(collapsed.on_rim[:, None], full.normals[collapsed.rows], mesh.normals)  # those of its neighbours
    sample = full.vertices[in_place_sample(full.vertices, len(full.vertices), _SAMPLE)]
    away = float(distances_to(collapsed.mesh, sample).max())
    dressed = replace(mesh, normals=normals.astype(np.float32))
    return CoarseTile(dressed, ids[collapsed.rows], collapsed.on_rim, error_m + away)


def joined_tile(tiles: Sequence[CoarseTile], error_m: float) -> CoarseTile:
    """One surface of several, with fewer faces.  error_m: of mesh.collapse.collapse_edges."""
    every, on_rim = (np.concatenate([getattr(tile, field) for tile in tiles]) for field in ("ids", "on_rim"))
    _, keys = np.unique(every, return_inverse=True)
    # Only rims are where they were: of a vertex at which two closed fans meet, each may have moved elsewhere.
    first, number = first_of_each(np.where(on_rim, keys.reshape(-1), len(every) + np.arange(len(every))))
    starts = np.cumsum([0, *(len(tile.ids) for tile in tiles)])
    faces = np.concatenate([number[tile.mesh.faces + start] for tile, start in zip(tiles, starts, strict=False)])
    vertices, normals, colours = (
        None if tiles[0].mesh.colours is None and field == "colours" else
        np.concatenate([getattr(tile.mesh, field) for tile in tiles])[first]
        for field in ("vertices", "normals", "colours")
    )  # fmt: skip
    assert vertices is not None
    full = Mesh(vertices, faces, normals, colours)
    return coarse_tile(full, every[first], collapse_edges(full, error_m), max(tile.error_m for tile in tiles))
