"""Read the shape and colours of glTF 2.0 files: .glb, and .gltf with what lies beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.gltf_document import GltfDocument, refusing_damage
from sparse_convonet.io.gltf_materials import MaterialColours
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import Mesh, PointCloud

_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6  # glTF 2.0, 5.24.4: mode

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """One primitive where its node puts it.  colours: (V, 3) uint8, None: not said.  faces: (F, 3), none of points."""

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray | None


def parse_gltf(path: Path, data: bytes) -> Mesh | PointCloud:
    """All meshes of the file's scene where their nodes put them, as one; a PointCloud where there are points alone.

    path: for messages, and the folder of what a .gltf names.  Colours are those of the vertices times the material's,
    its texture where each vertex lies; white where a part says nothing and others do.  Lines are left out, which is
    logged.  Raises ValueError for damaged data, and for what only an extension could read, by its name.
    """
    document = GltfDocument.parse(path, data)
    materials = MaterialColours(document)
    with refusing_damage(path), np.errstate(all="ignore"):  # NaN of any bits passes, and what overflows
        parts = [part for node, placed in _nodes(document) for part in _parts(document, materials, node, placed)]
    meshes = [part for part in parts if len(part.faces)]
    if meshes and len(meshes) < len(parts):
        logger.warning("%s: %d parts of points left out beside its faces", path, len(parts) - len(meshes))
    return _joined(path, meshes or parts, materials.are_readable)


def _joined(path: Path, parts: list[_Part], with_colours: bool) -> Mesh | PointCloud:
    if not parts:
        raise unreadable(path, f"a {path.suffix.lower()} mesh", "no faces")
    vertices = np.concatenate([part.vertices for part in parts])
    require_points(path, len(vertices))
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)])
    colours = None
    if with_colours and any(part.colours is not None for part in parts):
        white = np.full((len(vertices), 3), 255, dtype=np.uint8)
        colours = np.concatenate(
            [white[: len(part.vertices)] if part.colours is None else part.colours for part in parts]
        )
    return Mesh(vertices, faces, colours=colours) if len(faces) else PointCloud(vertices, colours)


def _nodes(document: GltfDocument) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """The nodes of the scene that have a mesh, and where each stands: (4, 4) float64."""
    nodes, scenes = document.list_of("nodes"), document.list_of("scenes")
    if scenes:
        roots = scenes[document.content.get("scene", 0)].get("nodes", [])
    elif nodes:
        below = {child for node in nodes for child in node.get("children", [])}
        roots = [index for index in range(len(nodes)) if index not in below]
    else:
        yield from (({"mesh": index}, np.eye(4)) for index in range(len(document.list_of("meshes"))))
        return
    waiting, seen = [(index, np.eye(4)) for index in reversed(roots)], set()
    while waiting:
        index, parent = waiting.pop()
        if index in seen:
            raise ValueError(f"node {index} is its own or has several parents")
        seen.add(index)
        placed = parent @ _matrix(nodes[index])
        waiting += [(child, placed) for child in reversed(nodes[index].get("children", []))]
        if "mesh" in nodes[index]:
            yield nodes[index], placed


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """(4, 4) from a node to its parent: a matrix by columns, or translation, rotation (x y z w) and scale."""
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    found = np.eye(4)
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    found[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    found[:3, 3] = np.array(node.get("translation", (0, 0, 0)), dtype=np.float64)
    return found


def _parts(
    document: GltfDocument, materials: MaterialColours, node: dict[str, Any], placed: np.ndarray
) -> Iterator[_Part]:
    for primitive in document.list_of("meshes")[node["mesh"]]["primitives"]:
        mode, attributes = primitive.get("mode", _TRIANGLES), primitive["attributes"]
        if mode not in (_POINTS, _TRIANGLES, _STRIP, _FAN):
            logger.warning("%s: lines left out", document.path)
            continue
        local = document.accessor(attributes["POSITION"])
        if local.shape[1] != 3:
            raise ValueError(f"positions of {local.shape[1]} numbers")
        vertices = local.astype(np.float64) @ placed[:3, :3].T + placed[:3, 3]
        faces = np.zeros((0, 3), dtype=np.int64)
        if mode != _POINTS:
            corners = np.arange(len(vertices))
            if "indices" in primitive:
                corners = document.accessor(primitive["indices"])[:, 0].astype(np.int64)
            if len(corners) and corners.max() >= len(vertices):
                expected, found = f"faces of vertices 0 to {len(vertices) - 1}", f"indices up to {corners.max()}"
                raise unreadable(document.path, expected, found)
            faces = _triangles(mode, corners)
            if np.linalg.det(placed[:3, :3]) < 0:
                faces = faces[:, ::-1]
        yield _Part(vertices, faces, materials.of(primitive, len(vertices)))


def _triangles(mode: int, corners: np.ndarray) -> np.ndarray:
    """(F, 3) int64 of the corners (n,) of a list, strip or fan of triangles."""
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    first = np.arange(max(0, len(corners) - 2))
    if mode == _FAN:
        return corners[np.stack([first + 1, first + 2, 0 * first], axis=1)]
    odd = first % 2
    return corners[np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)]
