"""A tileset names files whose vertices, placed as a viewer places them, are those of the mesh, at each level as near as it
says, and without a crack between tiles of any levels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from sparse_convonet.coordinates import ScanFrame, VoxelFrame
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.mesh.collapse import collapse_edges
from sparse_convonet.mesh.normals import with_area_normals
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.mesh.topology import check_edges
from sparse_convonet.out_of_core.assembly import surface_blocks
from sparse_convonet.out_of_core.assembly.assemble import assemble
from sparse_convonet.out_of_core.assembly.surface_blocks import SurfaceBlock
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.tiles3d import TilesetWriter
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths
from sparse_convonet.structures import Mesh
from tests.mesh.analytic_fields import sphere, union
from tests.oracles.gltf_validator import install_validator, issues_of
from tests.oracles.tilesets import root_transform
from tests.out_of_core.tiled_scenes import CELL, SETTINGS, MemoryPoints, points_on, saved, tiled_mesh

ERROR_M = 0.02
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
    """What the standard asks of every tile, and what ours promise: content in all, no error in the leaves."""
    low, high = _box(node)
    for child in node.get("children", []):
        child_low, child_high = _box(child)
        assert (child_low >= low - 1e-6).all() and (child_high <= high + 1e-6).all()
        assert 0 <= child["geometricError"] <= node["geometricError"]
        _require_valid(child)
    assert "content" in node and ("children" in node or node["geometricError"] == 0)


def _placed(path: Path, node: dict[str, Any]) -> Mesh:
    """The content of a tile as a viewer places it, about the root's origin; all of it lies within the tile's box."""
    (part,) = trimesh.load_scene(path / node["content"]["uri"], process=False).geometry.values()
    local = part.vertices @ Y_UP_TO_Z_UP.T
    low, high = _box(node)
    assert (local >= low - 1e-6).all() and (local <= high + 1e-6).all()
    said = part.visual.vertex_attributes
    colours = said["color"][:, :3] if "color" in said else None
    return Mesh(local, part.faces, part.vertex_normals @ Y_UP_TO_Z_UP.T, colours)


def distance(points: np.ndarray, mesh: Mesh) -> np.ndarray:
    return np.asarray(TriangleScene(mesh.vertices, mesh.faces).nearest(points)[0])


def _together(meshes: Sequence[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    vertices, normals, colours = (
        np.concatenate([getattr(mesh, name) for mesh in meshes]) for name in ("vertices", "normals", "colours")
    )
    return Mesh(vertices, np.concatenate(faces), normals, colours)


def _read(tiles: Path) -> tuple[dict[str, Any], np.ndarray]:
    """tileset.json and where its root's origin is."""
    tileset = json.loads((tiles / "tileset.json").read_text(encoding="utf-8"))
    return tileset, root_transform(tiles / "tileset.json")[:3, 3]


@pytest.fixture(scope="module", params=[0.0, 500_000.0], ids=["at the origin", "far away"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mesh.ply and tiles of two balls, in blocks of 2 m instead of 32 m."""
    offset, rng = request.param, np.random.default_rng(3)
    frame = TileFrame(VoxelFrame(np.array([offset + 0.3, -2.0 * offset, 7.0]), 0.25), CELL, ScanFrame())
    tiled = tiled_mesh(union(sphere((0.0, 0.0, 0.0), 10.0), sphere((8.0, 9.0, -7.0), 5.0)))
    around = points_on(Mesh(np.array([[-9.0, 0, 0], [9, 0, 0], [0, 9, 9]]), np.array([[0, 1, 2]])), 500, rng)
    points = MemoryPoints(around.points_world + frame.voxels.origin_world, around.colours)
    folder = tmp_path_factory.mktemp("written")
    paths = ResultPaths(folder / "mesh.ply", folder / "p.png", light_error_m=ERROR_M, tiles=folder / "tiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface_blocks, "BLOCK_CELLS", 16)
        assemble(saved(tiled, folder / "work"), points, frame, SETTINGS, paths)
    return folder


def test_leaves_are_the_mesh_to_a_millimetre(written: Path) -> None:
    tileset, origin = _read(written / "tiles")
    assert tileset["asset"]["version"] == "1.1"
    root = tileset["root"]
    assert root["refine"] == "REPLACE" and tileset["geometricError"] >= root["geometricError"] > 0
    _require_valid(root)
    uris = [node["content"]["uri"] for node in _nodes(root)]
    assert sorted([*uris, "tileset.json"]) == sorted(path.name for path in (written / "tiles").iterdir())
    leaves = [node for node in _nodes(root) if "children" not in node]
    assert len(leaves) > 8 and all(node["geometricError"] == 0 for node in leaves)
    mesh = read_mesh(written / "mesh.ply")
    assert mesh.normals is not None and mesh.colours is not None
    placed = _together([_placed(written / "tiles", node) for node in leaves])
    distance, nearest = cKDTree(mesh.vertices).query(placed.vertices + origin)
    assert distance.max() < 1e-3
    assert len(np.unique(nearest)) == len(mesh.vertices)
    np.testing.assert_array_equal(placed.colours, mesh.colours[nearest])
    assert placed.normals is not None
    np.testing.assert_allclose(placed.normals, mesh.normals[nearest], atol=1e-5)
    named = nearest[placed.faces]
    assert len(named) == len(mesh.faces)
    assert sorted(map(tuple, named.tolist())) == sorted(map(tuple, mesh.faces.tolist()))


def test_contents_pass_khronos_validator(written: Path, tmp_path: Path) -> None:
    files = sorted((written / "tiles").glob("*.glb"))
    found = issues_of(install_validator(tmp_path), files)
    assert set(found) == set(map(str, files))
    for file, issues in found.items():
        assert issues["numErrors"] == issues["numWarnings"] == 0, (file, issues["messages"][:3])
    broken = tmp_path / "broken.glb"
    content = bytearray(files[0].read_bytes())
    content[-200:] = b"\xff" * 200  # the end of what the accessors describe is no number any more
    broken.write_bytes(content)
    (issues,) = issues_of(tmp_path / "validate.cjs", [broken]).values()
    assert issues["numErrors"] > 0


def test_each_level_has_fewer_faces_and_is_as_near_as_it_says(written: Path) -> None:
    tiles = written / "tiles"
    root = _read(tiles)[0]["root"]
    levels = 0
    for node in _nodes(root):
        if "children" not in node:
            continue
        coarse = _placed(tiles, node)
        leaves = [_placed(tiles, each) for each in _nodes(node) if "children" not in each]
        assert len(coarse.faces) < sum(len(leaf.faces) for leaf in leaves) / 2
        away = np.concatenate([distance(leaf.vertices, coarse) for leaf in leaves])
        assert away.max() <= node["geometricError"] + 1e-5
        assert node["geometricError"] < 20 * ERROR_M
        levels += 1
    assert levels >= 3
    assert len(_placed(tiles, root).faces) < sum(len(_placed(tiles, each).faces) for each in root["children"])


@pytest.mark.parametrize("seed", range(4))
def test_tiles_of_different_levels_fit_together_without_a_crack(written: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def shown(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "children" in node and (node is root or rng.random() < 0.6):
            for child in node["children"]:
                yield from shown(child)
        else:
            yield node

    root = _read(written / "tiles")[0]["root"]
    chosen = list(shown(root))
    assert len({"children" in node for node in chosen}) == 2
    mesh = _together([_placed(written / "tiles", node) for node in chosen])
    _, number = np.unique(mesh.vertices, axis=0, return_inverse=True)
    assert check_edges(number.reshape(-1)[mesh.faces], len(mesh.vertices))[1]


@pytest.mark.parametrize(
    "names",
    [[(0, 0, 0)], [(-1, 0, 0), (0, 0, 0)], [(-3, 5, 0), (2, 5, 0), (3, 5, 1), (40, -9, 2)]],
    ids=["one", "two", "four"],
)
def test_any_set_of_blocks_gets_a_tree_over_all_of_them(names: list[tuple[int, int, int]], tmp_path: Path) -> None:
    writer = TilesetWriter(tmp_path, np.zeros(3), np.zeros(3), 0.01)
    faces = np.array([[0, 1, 2]])
    for number, name in enumerate(names):
        corner = np.array(name, dtype=np.float64)
        mesh = with_area_normals(Mesh(corner + np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 1]]), faces))
        writer.add(SurfaceBlock(name, mesh, np.arange(3) + 3 * number), collapse_edges(mesh, 0.01))
    writer.finish()
    root = json.loads((tmp_path / "tileset.json").read_text(encoding="utf-8"))["root"]
    _require_valid(root)
    assert sum("children" not in node for node in _nodes(root)) == len(names)
    assert len(_placed(tmp_path, root).faces) == len(names)
    low, high = _box(root)
    np.testing.assert_allclose(low, np.min(names, axis=0))
    np.testing.assert_allclose(high, np.max(names, axis=0) + 1.0)
