"""Ball pivoting and alpha shapes: their vertices are the points, their faces look out."""

from __future__ import annotations

import numpy as np
import open3d
import pytest
from scipy.spatial import ConvexHull

from sparse_convonet.baselines.reconstruction import reconstruct_baseline
from sparse_convonet.config.baselines import AlphaShapeSettings, BallPivotingSettings, BaselineSettings
from sparse_convonet.mesh.topology import face_areas, is_watertight, mesh_statistics
from sparse_convonet.structures import Mesh, PointCloud
from tests.baselines.spheres import VOLUME, moved, signed_volume, sphere


def _rows(points: np.ndarray) -> set[tuple[float, ...]]:
    return {tuple(row) for row in points}


def _directions_cancel(mesh: Mesh) -> bool:
    """Whether every edge is run through as often in one direction as in the other."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    keys = edges.min(axis=1) * len(mesh.vertices) + edges.max(axis=1)
    _, edge = np.unique(keys, return_inverse=True)
    return not np.bincount(edge, weights=np.where(edges[:, 0] < edges[:, 1], 1, -1)).any()


@pytest.mark.parametrize("settings", [BallPivotingSettings(), BallPivotingSettings(normals="estimated")])
def test_balls_join_all_points_of_a_sphere_to_one_closed_surface_facing_out(settings: BallPivotingSettings) -> None:
    cloud = sphere()
    mesh = reconstruct_baseline(cloud, settings).mesh
    statistics = mesh_statistics(mesh)
    assert statistics.watertight and statistics.euler_number == 2 and statistics.components == 1
    assert _rows(mesh.vertices) == _rows(cloud.points)
    assert signed_volume(mesh) == pytest.approx(VOLUME, rel=0.01)


def test_points_that_stand_twice_change_nothing() -> None:
    cloud = sphere(1000)
    twice = cloud.select(np.concatenate([np.arange(1000), np.arange(50)]))
    for settings in (BallPivotingSettings(), AlphaShapeSettings(alpha_spacings=1e6)):
        expected, found = (reconstruct_baseline(each, settings).mesh for each in (cloud, twice))
        assert np.array_equal(expected.vertices, found.vertices)
        assert np.array_equal(expected.faces, found.faces)


def test_balls_too_small_for_any_three_points_give_an_empty_mesh() -> None:
    mesh = reconstruct_baseline(sphere(500), BallPivotingSettings(radius_spacings=(1e-3,))).mesh
    assert mesh.vertices.shape == (0, 3) and mesh.faces.shape == (0, 3)


def test_with_any_alpha_the_alpha_shape_is_the_convex_hull() -> None:
    points = np.random.default_rng(1).integers(-(2**20), 2**20, size=(400, 3)) / 2**20  # moved without rounding
    mesh = reconstruct_baseline(PointCloud(points), AlphaShapeSettings(alpha_spacings=1e9)).mesh
    hull = ConvexHull(points)
    assert is_watertight(mesh.faces, len(mesh.vertices))
    assert _rows(mesh.vertices) == _rows(points[hull.vertices])
    assert signed_volume(mesh) == pytest.approx(hull.volume, rel=1e-9)


@pytest.mark.parametrize("alpha_spacings", [2.0, 4.0, 8.0])
def test_alpha_shapes_are_closed_and_have_the_area_that_open3d_finds(alpha_spacings: float) -> None:
    points = np.random.default_rng(2).normal(size=(2000, 3))
    mesh = reconstruct_baseline(PointCloud(points), AlphaShapeSettings(alpha_spacings=alpha_spacings)).mesh
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    alpha = alpha_spacings * np.median(cloud.compute_nearest_neighbor_distance())
    other = open3d.geometry.TriangleMesh.create_from_point_cloud_alpha_shape(cloud, alpha)
    assert len(mesh.faces) == len(other.triangles)
    assert face_areas(mesh).sum() == pytest.approx(other.get_surface_area(), rel=1e-6)
    assert _directions_cancel(mesh)
    assert signed_volume(mesh) > 0


def test_a_solid_filled_with_points_has_its_own_volume_and_looks_out() -> None:
    points = np.random.default_rng(3).random((5000, 3))
    mesh = reconstruct_baseline(PointCloud(points), AlphaShapeSettings(alpha_spacings=4.0)).mesh
    assert 0.85 < signed_volume(mesh) < 1


def test_alpha_below_every_tetrahedron_gives_an_empty_mesh() -> None:
    result = reconstruct_baseline(sphere(500), AlphaShapeSettings(alpha_spacings=0.01))
    assert result.mesh.vertices.shape == (0, 3) and result.mesh.faces.shape == (0, 3)
    assert result.normals_from == "not used"


@pytest.mark.parametrize("settings", [BallPivotingSettings(), AlphaShapeSettings()])
def test_a_scan_a_thousand_kilometres_away_gives_the_same_mesh_there(settings: BaselineSettings) -> None:
    shift = np.array([1_000_000.0, -3_000_000.0, 2_000_000.0])
    here = reconstruct_baseline(sphere(1000, noise=0.01), settings).mesh
    there = reconstruct_baseline(moved(sphere(1000, noise=0.01), shift), settings).mesh
    assert len(here.faces) > 500
    assert np.array_equal(there.faces, here.faces)
    assert np.array_equal(there.vertices - shift, here.vertices)


@pytest.mark.parametrize(
    ("points", "count"), [(np.random.default_rng(0).random((50, 3)) * [1, 1, 0], 50), (np.eye(4)[:, :3] * [1, 1, 0], 3)]
)
def test_alpha_shapes_of_a_plane_are_refused(points: np.ndarray, count: int) -> None:
    sentence = (
        "alpha shape: expected points in space, found 50 points on one plane"
        if count == 50
        else "expected at least 4 different points, found 3 among 4"
    )
    with pytest.raises(ValueError, match=sentence):
        reconstruct_baseline(PointCloud(points), AlphaShapeSettings())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="ball pivoting: expected at least one radius, found none"):
        BallPivotingSettings(radius_spacings=())
    with pytest.raises(ValueError, match="radius_spacings: expected a positive number, found -1"):
        BallPivotingSettings(radius_spacings=(2.0, -1.0))
    with pytest.raises(ValueError, match="alpha_spacings: expected a positive number, found inf"):
        AlphaShapeSettings(alpha_spacings=float("inf"))
