"""Distances between surfaces: against brute force, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.metrics.surface import (
    SurfaceSamples,
    compare_samples,
    coverage,
    nearest_distance,
    sample_mesh,
    samples_of_cloud,
    without_outside,
)
from sparse_convonet.structures import Mesh, PointCloud
from tests.oracles.nearest import distance_to_mesh, nearest_index


def as_mesh(surface: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(surface.vertices, dtype=np.float64), np.asarray(surface.faces, dtype=np.int64))


def plane(height: float, size: float = 1.0) -> Mesh:
    corners = np.array([[0, 0, height], [size, 0, height], [size, size, height], [0, size, height]], dtype=float)
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def test_distances_to_random_triangles_match_brute_force():
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-1, 1, (30, 3))
    faces = rng.permuted(np.tile(np.arange(30), (40, 1)), axis=1)[:, :3]
    points = rng.uniform(-2, 2, (60, 3))
    expected = [distance_to_mesh(point, vertices, faces) for point in points]
    np.testing.assert_allclose(nearest_distance(points, vertices, faces), expected, atol=1e-5)


def test_distances_far_from_the_origin_lose_nothing():
    mesh = as_mesh(trimesh.creation.icosphere(subdivisions=2))
    points = np.random.default_rng(0).uniform(-2, 2, (200, 3))
    shift = np.array([5_000_000.0, -300_000.0, 100.0])
    near = nearest_distance(points, mesh.vertices, mesh.faces)
    far = nearest_distance(points + shift, mesh.vertices + shift, mesh.faces)
    np.testing.assert_allclose(far, near, atol=1e-5)
    assert len(nearest_distance(np.zeros((0, 3)), mesh.vertices, mesh.faces)) == 0


def test_concentric_spheres_are_apart_by_the_difference_of_their_radii():
    rng = np.random.default_rng(0)
    inner, outer = (as_mesh(trimesh.creation.icosphere(subdivisions=4, radius=radius)) for radius in (1.0, 1.2))
    scores = compare_samples(sample_mesh(inner, 50_000, rng), sample_mesh(outer, 50_000, rng), 0.15)
    assert abs(scores.accuracy - 0.2) < 2e-3 and abs(scores.completeness - 0.2) < 2e-3
    assert abs(scores.chamfer_l1 - 0.2) < 2e-3
    assert scores.normal_consistency > 0.998
    assert scores.precision == scores.recall == scores.f_score == 0.0
    assert compare_samples(sample_mesh(inner, 5000, rng), sample_mesh(outer, 5000, rng), 0.25).f_score == 1.0


def test_sample_scores_match_brute_force_pair_by_pair():
    rng = np.random.default_rng(1)
    sets = []
    for _ in range(2):
        normals = rng.normal(size=(70, 3))
        sets.append(SurfaceSamples(rng.random((70, 3)), normals / np.linalg.norm(normals, axis=1, keepdims=True)))
    predicted, truth = sets

    def one_way(queries, samples):
        nearest = [nearest_index(point, samples.points) for point in queries.points]
        distances = [float(np.linalg.norm(queries.points[i] - samples.points[j])) for i, j in enumerate(nearest)]
        aligned = [abs(float(queries.normals[i] @ samples.normals[j])) for i, j in enumerate(nearest)]
        return np.array(distances), np.mean(aligned)

    to_truth, normals_to_truth = one_way(predicted, truth)
    to_predicted, normals_to_predicted = one_way(truth, predicted)
    scores = compare_samples(predicted, truth, 0.1)
    np.testing.assert_allclose(
        [scores.accuracy, scores.completeness, scores.precision, scores.recall, scores.normal_consistency],
        [
            to_truth.mean(),
            to_predicted.mean(),
            (to_truth <= 0.1).mean(),
            (to_predicted <= 0.1).mean(),
            (normals_to_truth + normals_to_predicted) / 2,
        ],
        rtol=1e-12,
    )


def test_half_a_plane_is_accurate_but_incomplete():
    rng = np.random.default_rng(0)
    whole = plane(0.0)
    half = Mesh(whole.vertices * [0.5, 1, 1], whole.faces)
    scores = compare_samples(sample_mesh(half, 40_000, rng), sample_mesh(whole, 40_000, rng), 0.02)
    assert scores.precision == 1.0 and scores.accuracy < 0.005
    assert abs(scores.recall - 0.52) < 0.01
    assert abs(scores.completeness - 0.125) < 0.005  # half of it lies 0.25 away in the mean
    assert abs(scores.f_score - 2 * 0.52 / 1.52) < 0.01


def test_distances_as_published_are_in_tenths_of_the_box():
    rng = np.random.default_rng(0)
    scores = compare_samples(sample_mesh(plane(0.0), 2000, rng), sample_mesh(plane(0.3), 2000, rng), 0.01)
    published = scores.in_tenths_of(2.0)
    assert published.chamfer_l1 == pytest.approx(5 * scores.chamfer_l1)
    assert published.f_score == scores.f_score and published.normal_consistency == scores.normal_consistency


def test_an_empty_prediction_scores_as_published():
    truth = sample_mesh(plane(0.0), 100, np.random.default_rng(0))
    empty = SurfaceSamples(np.zeros((0, 3)), np.zeros((0, 3)))
    scores = compare_samples(empty, truth, 0.01)
    assert scores.accuracy == scores.completeness == np.sqrt(3)
    assert scores.normal_consistency == -1 and scores.f_score == 0
    with pytest.raises(ValueError, match="samples of the truth, found none"):
        compare_samples(truth, empty, 0.01)


def test_samples_are_uniform_by_area_and_carry_the_normals_of_their_triangles():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 0, 8]], dtype=float)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]]))  # areas 0.5 and 4.5
    samples = sample_mesh(mesh, 20_000, np.random.default_rng(0))
    small = samples.points[:, 2] < 1
    assert abs(small.mean() - 0.1) < 0.01
    np.testing.assert_allclose(samples.normals[small], np.tile([0, 0, 1.0], (small.sum(), 1)), atol=1e-9)
    np.testing.assert_allclose(np.abs(samples.normals[~small][:, 1]), 1.0, atol=1e-9)
    again = sample_mesh(mesh, 20_000, np.random.default_rng(0))
    np.testing.assert_array_equal(samples.points, again.points)


def test_meshes_without_area_are_refused():
    with pytest.raises(ValueError, match="some area, found 0 faces"):
        sample_mesh(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)), 10, np.random.default_rng(0))
    with pytest.raises(ValueError, match="some area, found 1 faces"):
        sample_mesh(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 10, np.random.default_rng(0))


def test_samples_outside_the_walls_of_the_truth_are_left_out_but_not_those_above():
    truth = SurfaceSamples(np.array([[0.0, 0, 0], [1, 1, 1]]), np.zeros((2, 3)))
    points = np.array([[0.5, 0.5, 0.5], [1.006, 0.5, 0.5], [1.008, 0.5, 0.5], [0.5, 9.0, 0.5], [0.5, -0.008, 0.5]])
    kept = without_outside(SurfaceSamples(points, np.zeros((5, 3))), truth)
    np.testing.assert_array_equal(kept.points, points[[0, 1, 3]])


def test_coverage_is_the_share_of_points_near_the_mesh():
    mesh = plane(0.0)
    heights = np.linspace(0.005, 0.995, 100)
    points = np.column_stack([np.full((100, 2), 0.5), heights])
    assert coverage(points, mesh.vertices, mesh.faces, 0.3) == 0.3
    with pytest.raises(ValueError, match="at least one point, found none"):
        coverage(np.zeros((0, 3)), mesh.vertices, mesh.faces, 0.3)


def test_squares_and_single_directions_are_told_apart(rng: np.random.Generator) -> None:
    truth = SurfaceSamples(np.array([(0.0, 0, 0), (1, 0, 0)]), np.array([(0.0, 0, 1), (0, 0, 1)]))
    predicted = SurfaceSamples(np.array([(0.0, 0, 0.1)]), np.array([(0.0, 0.6, 0.8)]))
    scores = compare_samples(predicted, truth, 0.2)
    assert (scores.accuracy, scores.accuracy_squared) == (pytest.approx(0.1), pytest.approx(0.01))
    assert scores.completeness_squared == pytest.approx((0.01 + 1.01) / 2)
    assert scores.chamfer_l2 == pytest.approx((0.01 + 0.51) / 2)
    assert scores.normals_accuracy == scores.normals_completeness == pytest.approx(0.8)
    tenths = scores.in_tenths_of(1.0)
    assert tenths.chamfer_l2 == pytest.approx(100 * scores.chamfer_l2)
    nothing = compare_samples(SurfaceSamples(np.zeros((0, 3)), np.zeros((0, 3))), truth, 0.2)
    assert (nothing.chamfer_l2, nothing.normals_accuracy, nothing.normals_completeness) == (pytest.approx(3), -1, -1)


def test_clouds_are_samples_as_they_are() -> None:
    cloud = PointCloud(np.eye(3), normals=np.array([(0, 0, 2), (0, 0, 0), (1, 0, 0)], dtype=np.float32))
    found = samples_of_cloud(cloud)
    assert np.array_equal(found.points, np.eye(3)) and np.array_equal(found.normals[0], (0, 0, 1))
    assert np.isnan(found.normals[1]).all() and np.isnan(samples_of_cloud(PointCloud(np.eye(3))).normals).all()
    for points in (np.zeros((0, 3)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="expected finite points"):
            samples_of_cloud(PointCloud(points))
