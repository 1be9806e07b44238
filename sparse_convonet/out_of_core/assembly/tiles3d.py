"""Stage out_of_core: a mesh as OGC 3D Tiles 1.1, for viewers that load what they show, as finely as it is seen.

tileset.json names .glb files in a tree of boxes.  The leaves are blocks of the mesh at full detail.  Each eight neighbours
are joined to one with fewer faces, which is shown in their place while its error looks small, and so on up to one for all.
Contents are glTF, y up; viewers turn them to z up (OGC 22-025r4, section 6.7.1.4).  Positions are float32 about a place
that the root's transform carries in double.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.io.meshes import export_glb
from sparse_convonet.mesh.collapse import CollapsedMesh
from sparse_convonet.out_of_core.assembly.coarser_tiles import CoarseTile, coarse_tile, joined_tile
from sparse_convonet.out_of_core.assembly.surface_blocks import SurfaceBlock
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.runtime.atomic import atomic_folder
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName

TILESET = "tileset.json"
_COARSE = "coarse"  # folder of what will be joined; gone in the end
_STEP_M = 10.0  # along each axis, to find where it points on the Earth

ToPlaces = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class _Node:
    """entry: in tileset.json.  coarse: file of the surface that stands for it in the level above."""

    entry: dict[str, Any]
    coarse: Path


class TilesetWriter:
    """Writes a tileset to an empty folder, one block after the other.

    low, high: corners (3,) of the mesh, which is in metres, z up; its files count from a whole metre near the middle of its
    ground plan.  error_m: with which the blocks' edges were collapsed; each level is allowed twice that of the level below.
    upright: gives the places (N, 3) of blocks' vertices in the frame of the mesh.  to_earth: takes those to metres from the
    middle of the Earth, where viewers with a globe show it; None: it stays where it is.
    """

    def __init__(
        self,
        folder: Path,
        low: np.ndarray,
        high: np.ndarray,
        error_m: float,
        *,
        upright: ToPlaces = np.asarray,
        to_earth: ToPlaces | None = None,
    ) -> None:
        self._folder, self._error_m, self._upright, self._to_earth = folder, error_m, upright, to_earth
        self._origin = np.round([*(low[:2] + high[:2]) / 2, low[2]])
        self._leaves: dict[TileName, _Node] = {}
        (folder / _COARSE).mkdir()

    def add(self, block: SurfaceBlock, collapsed: CollapsedMesh) -> None:
        """Write a block, whose mesh has normals.  collapsed: what collapse_edges made of it."""
        full = replace(block.mesh, vertices=self._local(block.mesh.vertices))
        light = replace(collapsed.mesh, vertices=self._local(collapsed.mesh.vertices))
        coarse = coarse_tile(full, block.ids, replace(collapsed, mesh=light), 0.0)
        entry = self._content((0, *block.name), full) | {"geometricError": 0.0}
        self._leaves[block.name] = self._node((0, *block.name), entry, coarse)

    def finish(self) -> None:
        """Write the levels above the blocks, of which there is at least one, and the index of all."""
        low = np.min(list(self._leaves), axis=0)
        nodes = {(x - low[0], y - low[1], z - low[2]): self._leaves[x, y, z] for x, y, z in sorted(self._leaves)}
        level, error_m = 1, 2 * self._error_m
        while True:
            groups: dict[TileName, list[_Node]] = {}
            for (x, y, z), node in nodes.items():
                groups.setdefault((x >> 1, y >> 1, z >> 1), []).append(node)
            last = len(groups) == 1
            nodes = {
                name: found[0] if len(found) == 1 and not last else self._parent((level, *name), found, error_m)
                for name, found in sorted(groups.items())
            }
            if last:
                break
            level, error_m = level + 1, 2 * error_m
        (root,) = nodes.values()
        shutil.rmtree(self._folder / _COARSE)
        self._write_index(root.entry)

    def _local(self, vertices: np.ndarray) -> np.ndarray:
        return self._upright(vertices) - self._origin

    def _parent(self, name: tuple[int, ...], children: list[_Node], error_m: float) -> _Node:
        """What is shown in the place of others."""
        coarse = [CoarseTile.load(child.coarse) for child in children]
        for child in children:
            child.coarse.unlink()
        joined = coarse[0] if len(coarse) == 1 else joined_tile(coarse, error_m)
        content = self._content(name, joined.mesh)
        box = np.stack([_bounds(each) for each in (content, *(child.entry for child in children))])
        around = _volume(np.stack([box[:, 0].min(axis=0), box[:, 1].max(axis=0)]))
        entry = {**content, **around, "geometricError": joined.error_m, "children": [child.entry for child in children]}
        return self._node(name, entry, joined)

    def _node(self, name: tuple[int, ...], entry: dict[str, Any], coarse: CoarseTile) -> _Node:
        node = _Node(entry, self._folder / _COARSE / f"{'_'.join(map(str, name))}.npz")
        coarse.save(node.coarse)
        return node

    def _content(self, name: tuple[int, ...], mesh: Mesh) -> dict[str, Any]:
        """Write a file, and what tileset.json says of it."""
        local = mesh.vertices.astype(np.float32)
        file = f"{'_'.join(map(str, name))}.glb"
        (self._folder / file).write_bytes(_glb(replace(mesh, vertices=local)))
        box = np.stack([local.min(axis=0), local.max(axis=0)]).astype(np.float64)
        return {**_volume(box), "content": {"uri": file}}

    def _write_index(self, root: dict[str, Any]) -> None:
        transform = np.eye(4)
        transform[:3, 3] = self._origin
        if self._to_earth is not None:  # a building is so small that it bends with the Earth by less than a millimetre
            places = self._to_earth(self._origin + np.concatenate([np.zeros((1, 3)), _STEP_M * np.eye(3)]))
            transform[:3, :3], transform[:3, 3] = (places[1:] - places[0]).T / _STEP_M, places[0]
        root |= {"refine": "REPLACE", "transform": transform.T.ravel().tolist()}  # column by column
        tileset = {"asset": {"version": "1.1"}, "geometricError": _diagonal(root), "root": root}
        (self._folder / TILESET).write_text(json.dumps(tileset, indent=1) + "\n", encoding="utf-8")


@contextmanager
def tileset_of(
    paths: ResultPaths, corners: tuple[np.ndarray, np.ndarray], upright: ToPlaces
) -> Iterator[TilesetWriter]:
    """Adds to the tileset of paths.tiles, which is there whole at the end or not at all.

    corners: lowest and highest (3,) of the mesh; upright: as TilesetWriter's.
    """
    assert paths.tiles is not None
    with atomic_folder(paths.tiles) as temporary:
        error_m, to_earth = paths.light_error_m, paths.to_earth
        writer = TilesetWriter(temporary, *corners, error_m, upright=upright, to_earth=to_earth)
        yield writer
        writer.finish()


def _volume(box: np.ndarray) -> dict[str, Any]:
    """A bounding volume along the axes: its middle and its three half edges.  box: (2, 3) lowest and highest corner."""
    half = (box[1] - box[0]) / 2
    return {"boundingVolume": {"box": [*box.mean(axis=0).tolist(), *np.diag(half).ravel().tolist()]}}


def _bounds(node: dict[str, Any]) -> np.ndarray:
    """(2, 3) lowest and highest corner of a node's bounding volume."""
    numbers = np.array(node["boundingVolume"]["box"])
    half = numbers[[3, 7, 11]]
    return np.stack([numbers[:3] - half, numbers[:3] + half])


def _diagonal(node: dict[str, Any]) -> float:
    low, high = _bounds(node)
    return float(np.linalg.norm(high - low))


def _glb(mesh: Mesh) -> bytes:
    """A mesh, z up, as binary glTF, y up."""
    turn = up_rotation("y")  # from y up to z up, so its inverse is asked for
    normals = None if mesh.normals is None else (mesh.normals @ turn).astype(np.float32)
    turned = Mesh(mesh.vertices @ turn, mesh.faces, normals, mesh.colours)
    return export_glb(turned.to_trimesh(), include_normals=normals is not None)
