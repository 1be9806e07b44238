"""Surroundings of a crop: all of it in the core, a little around, and ever less farther away."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.scanner.visible_surface import SeenPoints, draw_seen
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.surroundings import SUBCELL_VOXELS, Surroundings, WatchedScene, draw_core, thin_scan
from sparse_convonet.mesh.raycast import TriangleScene

VOXEL_M = 0.1
AROUND = Surroundings(core=20.0, reach=120.0, sparse=0.2, even=40.0)


def test_density_is_that_of_the_core_then_even_then_falls_with_the_square() -> None:
    distance = np.array([0.0, 20.0, 20.001, 40.0, 80.0, 120.0])
    np.testing.assert_allclose(AROUND.density(distance, 3.0), [3, 3, 0.2, 0.2, 0.05, 0.2 / 9])
    np.testing.assert_allclose(AROUND.density(distance, 0.1)[:4], 0.1)  # no denser outside than inside


def floor_of(points_per_voxel: float, rng: np.random.Generator, edge_m: float = 30.0) -> SeenPoints:
    count = rng.poisson(points_per_voxel * (edge_m / VOXEL_M) ** 2)
    points = np.concatenate([rng.uniform(-edge_m / 2, edge_m / 2, (count, 2)), np.full((count, 1), 0.05)], axis=1)
    scanners = points + [0, 0, 1.0]
    return SeenPoints(points, np.tile(np.array([0, 0, 1], dtype=np.float32), (count, 1)), scanners)


def rings(seen: SeenPoints, edges: list[float]) -> np.ndarray:
    """Points per voxel of floor in the square rings between distances in voxels."""
    distance = np.abs(seen.points[:, :2]).max(axis=1) / VOXEL_M
    areas = np.diff((2 * np.array(edges)) ** 2)
    return np.asarray(np.histogram(distance, bins=edges)[0] / areas)


def subcells(seen: SeenPoints) -> np.ndarray:
    """The cube of SUBCELL_VOXELS that holds each point, counted from the corner of the reach."""
    voxels = (seen.points - CENTRE) / VOXEL_M + AROUND.reach
    return np.floor(voxels / SUBCELL_VOXELS).astype(np.int64)


CENTRE = np.array([0.0, 0.0, 0.05])


def test_around_the_core_of_a_scan_one_point_stays_in_each_subcell(rng: np.random.Generator) -> None:
    scan = floor_of(0.5, rng)
    thinned = thin_scan(scan, CENTRE, VOXEL_M, AROUND)
    distance = np.abs(scan.points - CENTRE).max(axis=1) / VOXEL_M
    inner = np.abs(thinned.points - CENTRE).max(axis=1) / VOXEL_M <= 20
    np.testing.assert_array_equal(thinned.points[inner], scan.points[distance <= 20])
    outside = subcells(thinned.select(~inner))
    expected = np.unique(subcells(scan.select((distance > 20) & (distance <= 120))), axis=0)
    np.testing.assert_array_equal(np.unique(outside, axis=0), expected)
    assert len(outside) == len(expected) > 1000
    np.testing.assert_allclose(thinned.scanners - thinned.points, np.tile([0, 0, 1.0], (len(thinned.points), 1)))


def test_a_scan_without_points_near_the_centre_gives_none(rng: np.random.Generator) -> None:
    assert len(thin_scan(floor_of(1.0, rng), np.array([500.0, 0, 0]), VOXEL_M, AROUND).points) == 0


def test_a_core_is_drawn_as_densely_as_asked_for_and_the_pool_lies_around(rng: np.random.Generator) -> None:
    assembly = Assembly()
    assembly.box((-15, -15, -0.2), (15, 15, 0))
    scene = assembly.finish(0.0, (0, 0, 0))
    triangles = TriangleScene(*scene.mesh())
    stations = np.array([[x, y, 2.0] for x in (-10.0, 0.0, 10.0) for y in (-10.0, 0.0, 10.0)])
    pool = draw_seen(scene, triangles, stations, 80.0, (scene.bounds[0], scene.bounds[1]), rng)
    watched = WatchedScene(scene, triangles, stations, pool, 80.0)
    made = draw_core(watched, np.zeros(3), VOXEL_M, 3.0, AROUND, rng)
    found = rings(made, [0.0, 20.0, 40.0, 120.0])
    assert found[0] == pytest.approx(3.0, rel=0.1) and found[1] == pytest.approx(0.2, rel=0.1)
    assert 0 < found[2] < 0.1
    assert np.abs(made.points).max() <= 120 * VOXEL_M and np.isin(made.scanners[:, 0], [-10, 0, 10]).all()
