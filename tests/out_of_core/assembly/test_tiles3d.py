"""A tileset names files whose vertices, placed as a viewer places them, are those of the mesh."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from sparse_convonet.coordinates import ScanFrame, VoxelFrame
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.out_of_core.assembly.assemble import assemble
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tiles3d import TilesetWriter
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import sphere, union
from tests.out_of_core.tiled_scenes import CELL, SETTINGS, MemoryPoints, points_on, saved, tiled_mesh

Y_UP_TO_Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # (x, y, z) -> (x, -z, y), as 3D Tiles says


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("children", []):
        yield from _nodes(child)


def _box(node: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.array(node["boundingVolume"]["box"])
    assert numbers.shape == (12,)
    half = np.abs(numbers[3:].reshape(3, 3)).sum(axis=0)
    return numbers[:3] - half, numbers[:3] + half


def _require_valid(node: dict[str, Any]) -> None:
    """What the standard and its validator ask of every tile."""
    low, high = _box(node)
    for child in node.get("children", []):
        child_low, child_high = _box(child)
        assert (child_low >= low - 1e-6).all() and (child_high <= high + 1e-6).all()
        assert 0 <= child["geometricError"] <= node["geometricError"]
        _require_valid(child)
    assert ("content" in node) == (node["geometricError"] == 0) == ("children" not in node)


def _placed(path: Path, tileset: dict[str, Any]) -> tuple[Mesh, np.ndarray]:
    """All contents as a viewer places them, and whether each vertex lies within its tile's box."""
    transform = np.array(tileset["root"]["transform"]).reshape(4, 4).T
    vertices, faces, normals, colours, inside, count = [], [], [], [], [], 0
    for node in _nodes(tileset["root"]):
        if "content" in node:
            (part,) = trimesh.load_scene(path / node["content"]["uri"], process=False).geometry.values()
            local = part.vertices @ Y_UP_TO_Z_UP.T
            low, high = _box(node)
            inside.append(((local >= low - 1e-6) & (local <= high + 1e-6)).all(axis=1))
            vertices.append(local @ transform[:3, :3].T + transform[:3, 3])
            normals.append(part.vertex_normals @ Y_UP_TO_Z_UP.T)
            colours.append(part.visual.vertex_colors[:, :3])
            faces.append(part.faces + count)
            count += len(local)
    mesh = Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(normals), np.concatenate(colours))
    return mesh, np.concatenate(inside)


@pytest.mark.parametrize("offset", [0.0, 500_000.0])
def test_placed_tiles_are_the_mesh_to_a_millimetre(offset: float, rng: np.random.Generator, tmp_path: Path) -> None:
    frame = TileFrame(VoxelFrame(np.array([offset + 0.3, -2.0 * offset, 7.0]), 0.25), CELL, ScanFrame())
    tiled = tiled_mesh(union(sphere((0.0, 0.0, 0.0), 10.0), sphere((8.0, 9.0, -7.0), 5.0)))
    around = points_on(Mesh(np.array([[-9.0, 0, 0], [9, 0, 0], [0, 9, 9]]), np.array([[0, 1, 2]])), 500, rng)
    world = around.points_world + frame.voxels.origin_world
    points = MemoryPoints(world, around.colours)
    mesh_path, tiles = tmp_path / "mesh.ply", tmp_path / "tiles"
    assemble(
        saved(tiled, tmp_path / "work"),
        points,
        frame,
        SETTINGS,
        ResultPaths(mesh_path, tmp_path / "p.png", tiles=tiles),
    )
    tileset = json.loads((tiles / "tileset.json").read_text(encoding="utf-8"))
    assert tileset["asset"]["version"] == "1.1"
    root = tileset["root"]
    assert root["refine"] == "ADD" and tileset["geometricError"] >= root["geometricError"] > 0
    _require_valid(root)
    uris = [node["content"]["uri"] for node in _nodes(root) if "content" in node]
    assert sorted([*uris, "tileset.json"]) == sorted(path.name for path in tiles.iterdir())
    mesh = read_mesh(mesh_path)
    assert mesh.normals is not None and mesh.colours is not None
    placed, inside = _placed(tiles, tileset)
    assert inside.all()
    distance, nearest = cKDTree(mesh.vertices).query(placed.vertices)
    assert distance.max() < 1e-3
    assert len(np.unique(nearest)) == len(mesh.vertices)
    np.testing.assert_array_equal(placed.colours, mesh.colours[nearest])
    assert placed.normals is not None
    np.testing.assert_allclose(placed.normals, mesh.normals[nearest], atol=1e-5)
    named = nearest[placed.faces]
    assert len(named) == len(mesh.faces)
    assert sorted(map(tuple, named.tolist())) == sorted(map(tuple, mesh.faces.tolist()))


@pytest.mark.parametrize(
    "names", [[(0, 0, 0)], [(-1, 0, 0), (0, 0, 0)], [(-3, 5, 0), (2, 5, 0), (3, 5, 1), (40, -9, 2)]]
)
def test_any_set_of_tiles_gets_a_tree_over_all_of_them(names: list[tuple[int, int, int]], tmp_path: Path) -> None:
    writer = TilesetWriter(tmp_path, np.zeros(3), np.zeros(3))
    faces = np.array([[0, 1, 2]])
    for name in names:
        corner = np.array(name, dtype=np.float64)
        writer.add(name, Mesh(corner + np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 1], [9, 9, 9]]), faces))
    writer.finish()
    root = json.loads((tmp_path / "tileset.json").read_text(encoding="utf-8"))["root"]
    _require_valid(root)
    assert sum("content" in node for node in _nodes(root)) == len(names)
    low, high = _box(root)
    np.testing.assert_allclose(low, np.min(names, axis=0))
    np.testing.assert_allclose(high, np.max(names, axis=0) + 1.0)  # the vertex that no face uses is left out
