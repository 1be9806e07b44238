"""Stage out_of_core: a mesh in tiles as OGC 3D Tiles 1.1, for viewers that load what they show: a GLB file per tile.

tileset.json names them in a tree of boxes.  Only the leaves have a content, all at full detail; a box is opened when
what it spans is seen larger than the viewer's allowance.  Contents are glTF, y up; viewers turn them to z up (OGC
22-025r4, section 6.7.1.4).  Positions are float32 about a place that the root's transform carries in double.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.coordinates import up_rotation
from sparse_convonet.mesh.topology import keep_faces
from sparse_convonet.structures import Mesh
from sparse_convonet.tile_grid import TileName

TILESET = "tileset.json"
_STEP_M = 10.0  # along each axis, to find where it points on the Earth


class TilesetWriter:
    """Writes a tileset to an empty folder, one tile after the other.

    low, high: corners (3,) of the mesh, which is in metres, z up; its files count from a whole metre near the middle of its
    ground plan.  to_earth: takes places (N, 3) of the mesh to metres from the middle of the Earth, where viewers with a
    globe show it; None: it stays where it is.
    """

    def __init__(
        self,
        folder: Path,
        low: np.ndarray,
        high: np.ndarray,
        to_earth: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._folder, self._to_earth = folder, to_earth
        self._origin = np.round([*(low[:2] + high[:2]) / 2, low[2]])
        self._leaves: dict[TileName, dict[str, Any]] = {}

    def add(self, name: TileName, mesh: Mesh) -> None:
        """Write the surface of a tile (world, metres, z up); vertices that no face uses are left out."""
        used = keep_faces(mesh, np.ones(len(mesh.faces), dtype=bool))
        local = (used.vertices - self._origin).astype(np.float32)
        file = f"{'_'.join(map(str, name))}.glb"
        (self._folder / file).write_bytes(_glb(Mesh(local, used.faces, used.normals, used.colours)))
        box = np.stack([local.min(axis=0), local.max(axis=0)]).astype(np.float64)
        self._leaves[name] = {**_volume(box), "geometricError": 0.0, "content": {"uri": file}}

    def finish(self) -> None:
        """Write the index of the tiles added, of which there is at least one."""
        root = _tree(self._leaves)
        transform = np.eye(4)
        transform[:3, 3] = self._origin
        if self._to_earth is not None:  # a building is so small that it bends with the Earth by less than a millimetre
            places = self._to_earth(self._origin + np.concatenate([np.zeros((1, 3)), _STEP_M * np.eye(3)]))
            transform[:3, :3], transform[:3, 3] = (places[1:] - places[0]).T / _STEP_M, places[0]
        root |= {"refine": "ADD", "transform": transform.T.ravel().tolist()}  # column by column
        tileset = {"asset": {"version": "1.1"}, "geometricError": _diagonal(root), "root": root}
        (self._folder / TILESET).write_text(json.dumps(tileset, indent=1) + "\n", encoding="utf-8")


def _tree(nodes: dict[TileName, dict[str, Any]]) -> dict[str, Any]:
    """The root over leaves by name: each eight boxes of twice the size that have leaves in more than one become one."""
    while True:
        groups: dict[TileName, list[dict[str, Any]]] = {}
        for (x, y, z), node in sorted(nodes.items()):
            groups.setdefault((x >> 1, y >> 1, z >> 1), []).append(node)
        if len(nodes) == 1 or (len(groups) == len(nodes) and set(groups) == set(nodes)):  # around 0 halves meet no more
            return _over(list(nodes.values()))
        nodes = {name: found[0] if len(found) == 1 else _over(found) for name, found in groups.items()}


def _over(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """A node without content around others."""
    boxes = np.stack([_bounds(node) for node in nodes])
    box = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
    return {**_volume(box), "geometricError": float(np.linalg.norm(box[1] - box[0])), "children": nodes}


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
    exported = turned.to_trimesh().export(file_type="glb", include_normals=normals is not None)
    assert isinstance(exported, bytes)
    return exported
