"""The project's own search tree: the same answers as embree's through open3d, and as trying every triangle."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.buildings.building import building_of_area
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.mesh import raycast
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.mesh.raycast_open3d import Open3dEngine
from sparse_convonet.mesh.raycast_tree import TreeEngine
from tests.oracles.nearest import distance_to_mesh
from tests.oracles.ray_triangle import hit_distances

Arrays = tuple[np.ndarray, np.ndarray]
_TOLERANCE = 2e-5  # of embree's float32, within some ten metres


def soup(rng: np.random.Generator, triangles: int, size: float) -> Arrays:
    """Triangles of that size, everywhere in a cube of side 10 around the origin, that share no corners."""
    middles = rng.uniform(-5, 5, (triangles, 1, 3))
    corners = (middles + rng.normal(0, size, (triangles, 3, 3))).astype(np.float32).astype(np.float64)
    return corners.reshape(-1, 3), np.arange(3 * triangles).reshape(-1, 3)


def rays_in(rng: np.random.Generator, bounds: np.ndarray, count: int) -> np.ndarray:
    """(R, 6) float32, every twentieth along an axis."""
    directions = rng.normal(size=(count, 3))
    directions[::20] = np.eye(3)[rng.integers(3, size=len(directions[::20]))]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.concatenate([rng.uniform(bounds[0], bounds[1], (count, 3)), directions], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def building() -> Arrays:
    vertices, faces = building_of_area(50, FurnitureLibrary.load().split("test")).mesh()
    return vertices - vertices.mean(axis=0), faces


@pytest.mark.parametrize(("triangles", "size"), [(1, 2.0), (5, 2.0), (300, 0.5)])
def test_the_tree_finds_what_trying_every_triangle_finds(rng: np.random.Generator, triangles: int, size: float) -> None:
    vertices, faces = soup(rng, triangles, size)
    engine, rays = TreeEngine(vertices, faces, 1), rays_in(rng, np.array([[-6] * 3, [6] * 3]), 2000)
    expected = hit_distances(rays, vertices[faces])
    distances, normals = engine.first_hits(rays)
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-9, atol=1e-9)
    hit = np.isfinite(distances)
    assert hit.any() and not hit.all()
    corners = vertices[faces[expected.argmin(axis=1)]]
    sides = corners[:, 1:] - corners[:, :1]  # (R, 2, 3)
    assert np.abs(np.einsum("rsi,ri->rs", sides[hit], normals[hit])).max() < 1e-6
    np.testing.assert_allclose(np.linalg.norm(normals[hit], axis=1), 1)

    which, along = engine.all_hits(rays)
    every = np.argwhere(np.isfinite(expected))
    assert np.array_equal(which, every[:, 0])
    order = np.lexsort((along, which))
    ranked = np.sort(expected, axis=1)
    np.testing.assert_allclose(along[order], ranked[np.isfinite(ranked)], rtol=1e-9, atol=1e-9)

    points = rays[:60, :3].copy()
    to_nearest = [distance_to_mesh(point, vertices, faces) for point in points.astype(np.float64)]
    np.testing.assert_allclose(engine.nearest(points)[0], to_nearest, rtol=1e-9)


@pytest.mark.parametrize("size", [0.1, 0.5, 3.0])
def test_the_tree_and_open3d_agree_on_a_soup_of_triangles(rng: np.random.Generator, size: float) -> None:
    assert_engines_agree(*soup(rng, 5000, size), rng)


def test_the_tree_and_open3d_agree_on_a_building(rng: np.random.Generator, building: Arrays) -> None:
    assert_engines_agree(*building, rng)


def assert_engines_agree(vertices: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> None:
    """In first hits, in nearest distances, and in the places where rays meet anything.

    Where two faces lie in one place embree names one or both, and at a grazed edge float32 decides: one ray in a
    thousand may differ.
    """
    tree, open3d = TreeEngine(vertices, faces, 1), Open3dEngine(vertices, faces, 1)
    bounds = np.array([vertices.min(axis=0) - 1, vertices.max(axis=0) + 1])
    rays, points = rays_in(rng, bounds, 5000), rng.uniform(bounds[0], bounds[1], (3000, 3)).astype(np.float32)
    (found, normals), (expected, expected_normals) = tree.first_hits(rays), open3d.first_hits(rays)
    same = _same(found, expected)
    assert same.mean() > 0.999
    hit = same & np.isfinite(found)
    assert hit.sum() > 100
    assert (np.abs(np.einsum("ij,ij->i", normals[hit], expected_normals[hit])) > 0.999).mean() > 0.995

    tree_places, open3d_places = (_places(*engine.all_hits(rays), len(rays)) for engine in (tree, open3d))
    assert (tree_places == open3d_places).mean() > 0.99

    (near, near_normals), (expected, expected_normals) = tree.nearest(points), open3d.nearest(points)
    assert (near < expected + _TOLERANCE).all()  # open3d's may be up to a millimetre too long
    assert np.abs(near - expected).max() < 2e-3 and (np.abs(near - expected) < _TOLERANCE).mean() > 0.99
    np.testing.assert_allclose(np.linalg.norm(near_normals, axis=1), 1, atol=1e-6)


def _same(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(R,) bool: near each other, or both infinite."""
    return np.isclose(first, second, rtol=0, atol=_TOLERANCE)


def _places(which: np.ndarray, along: np.ndarray, rays: int) -> np.ndarray:
    """(R,) how many places a tenth of a millimetre apart each ray meets."""
    order = np.lexsort((along, which))
    which, along = which[order], along[order]
    is_new = np.append(True, (np.diff(which) > 0) | (np.diff(along) > 1e-4)) if len(which) else np.zeros(0, dtype=bool)
    return np.bincount(which[is_new], minlength=rays)


def test_rays_through_shared_edges_and_corners_never_slip_through() -> None:
    steps = np.arange(9.0)
    x, y = (each.ravel() for each in np.meshgrid(steps, steps, indexing="ij"))
    vertices = np.stack([x - 4, y - 4, np.zeros(81)], axis=1)
    low = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([low, low + 9, low + 10], 1), np.stack([low, low + 10, low + 1], 1)])
    rng = np.random.default_rng(0)
    targets = np.concatenate([vertices, vertices + [0.5, 0.5, 0.0], vertices + [0.5, 0.0, 0.0]])
    targets = targets[(np.abs(targets[:, :2]) < 4).all(axis=1)]
    origins = rng.uniform(-3, 3, (40, 1, 3)) + [0, 0, 5]
    rays = np.concatenate(
        [np.broadcast_to(origins, (40, len(targets), 3)), targets - origins], axis=-1
    ).reshape(-1, 6).astype(np.float32)  # fmt: skip
    distances, _ = TreeEngine(vertices, faces, 1).first_hits(rays)
    np.testing.assert_allclose(distances, 1, atol=1e-5)


@pytest.mark.parametrize("copies", [1, 3, 400])
def test_triangles_in_one_place_and_without_area_do_no_harm(copies: int) -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], dtype=np.float64)
    faces = np.array([[0, 1, 2], [0, 1, 3], [1, 1, 1]] * copies)
    engine = TreeEngine(vertices, faces, 1)
    rays = np.array([[0.2, 0.2, 1, 0, 0, -1], [3, 3, 1, 0, 0, -1], [0, 0, 1, 0, 0, 0]], dtype=np.float32)
    assert engine.first_hits(rays)[0].tolist() == [1.0, np.inf, np.inf]
    assert np.array_equal(engine.all_hits(rays)[0], np.zeros(copies))
    np.testing.assert_allclose(engine.nearest(np.array([[0.2, 0.2, 2], [3, 0, 0]], dtype=np.float32))[0], [2, 1])


def test_threads_change_nothing(rng: np.random.Generator) -> None:
    vertices, faces = soup(rng, 2000, 0.3)
    rays = rays_in(rng, np.array([[-6] * 3, [6] * 3]), 9000)
    one, four = TreeEngine(vertices, faces, 1), TreeEngine(vertices, faces, 4)
    for name, question in (("first_hits", rays), ("all_hits", rays), ("nearest", rays[:, :3].copy())):
        for first, second in zip(getattr(one, name)(question), getattr(four, name)(question), strict=True):
            assert np.array_equal(first, second), name


def test_a_scene_without_open3d_answers_like_one_with_it(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, building: Arrays
) -> None:
    vertices, faces = building[0] + [4e5, 5e6, 100], building[1]
    with_open3d = TriangleScene(vertices, faces)
    monkeypatch.setattr(raycast, "_has_open3d", lambda: False)
    without = TriangleScene(vertices, faces)
    origins = rng.uniform(with_open3d.bounds[0], with_open3d.bounds[1], (2000, 3))
    directions = rays_in(rng, with_open3d.bounds, 2000)[:, 3:].astype(np.float64)
    (found, normals), (expected, expected_normals) = (
        scene.first_hits(origins, directions) for scene in (without, with_open3d)
    )
    same = _same(found, expected)
    assert same.mean() > 0.999
    hit = np.isfinite(found)
    assert not normals[~hit].any()
    assert (np.einsum("ij,ij->i", normals[hit], directions[hit]) <= 0).all()
    assert (np.abs(normals[same] - expected_normals[same]).max(axis=1) < 1e-3).mean() > 0.995
    assert without.first_hits(np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0,)
