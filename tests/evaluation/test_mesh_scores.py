"""Scores of whole meshes: closed forms, a slow oracle, and the rules of the published protocol."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.evaluation.mesh_scores import UNIT_THRESHOLDS, Truth, score_mesh
from sparse_convonet.evaluation.predictors import empty_mesh
from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.metrics.surface import SurfaceSamples, sample_mesh
from sparse_convonet.structures import Mesh

SAMPLES = 20_000


def ball(radius: float, subdivisions: int = 4) -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(np.array(shape.vertices), np.array(shape.faces, dtype=np.int64))


def plate(height: float, low: float = -0.5, high: float = 0.5) -> Mesh:
    corners = [(low, height, low), (high, height, low), (high, height, high), (low, height, high)]
    return Mesh(np.array(corners), np.array([[0, 2, 1], [0, 3, 2]]))


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_concentric_balls_are_apart_by_their_radii_and_share_the_smaller_ones_volume() -> None:
    small, large = ball(0.3), ball(0.32)
    queries = np.random.default_rng(1).uniform(-0.5, 0.5, (50_000, 3))
    truth = Truth(sample_mesh(large, 200_000, rng()), queries, np.linalg.norm(queries, axis=1) < 0.32)
    scores = score_mesh(small, truth, (0.019, 0.025), rng(), samples=200_000)
    assert scores.accuracy == pytest.approx(0.02, abs=5e-4)
    assert scores.completeness == pytest.approx(0.02, abs=5e-4)
    assert scores.chamfer_l1 == pytest.approx(0.02, abs=5e-4)
    assert scores.normal_consistency > 0.999
    assert scores.f_scores[0] < 0.05 and scores.f_scores[1] == 1.0
    assert scores.iou is not None
    # An icosphere of 5120 faces has 0.3 % less volume than the ball; four standard deviations of the queries.
    inside = (4 / 3 * np.pi * 0.32**3) * 50_000
    assert scores.iou == pytest.approx((0.3 / 0.32) ** 3, abs=0.004 + 4 * np.sqrt(0.25 / inside))


def test_shifted_plates_are_apart_by_the_shift() -> None:
    truth = Truth(sample_mesh(plate(0.0), SAMPLES, rng()))
    scores = score_mesh(plate(0.012), truth, UNIT_THRESHOLDS, rng(), samples=SAMPLES)
    # To the nearest sample, not the nearest point of the plane: at most the spacing of the samples more.
    spacing = 1 / np.sqrt(SAMPLES)
    assert 0.012 <= scores.accuracy < np.hypot(0.012, spacing)
    assert 0.012 <= scores.completeness < np.hypot(0.012, spacing)
    assert scores.normal_consistency == pytest.approx(1.0) and scores.iou is None
    assert scores.f_scores[0] == 0.0 and scores.f_scores[2] > 0.99


def test_an_empty_mesh_scores_as_published() -> None:
    queries = np.zeros((3, 3))
    truth = Truth(sample_mesh(ball(0.3), 100, rng()), queries, np.array([True, True, False]))
    scores = score_mesh(empty_mesh(), truth, UNIT_THRESHOLDS, rng())
    assert (scores.iou, scores.accuracy, scores.completeness) == (
        0.0,
        pytest.approx(np.sqrt(3)),
        pytest.approx(np.sqrt(3)),
    )
    assert scores.normal_consistency == -1.0 and scores.f_scores == (0.0, 0.0, 0.0)


def test_inside_by_winding_numbers_is_inside_by_counting_rays() -> None:
    lamp = trimesh.creation.icosphere(subdivisions=3, radius=0.2).apply_translation((0.2, 0.3, 0))
    room = trimesh.util.concatenate([trimesh.creation.box((0.9, 0.02, 0.7)), lamp])
    mesh = Mesh(np.array(room.vertices), np.array(room.faces, dtype=np.int64))
    queries = np.random.default_rng(2).uniform(-0.55, 0.55, (20_000, 3))
    direction = np.array([0.36, 0.48, 0.8])
    rays, _ = TriangleScene(mesh.vertices, mesh.faces).all_hits(queries, np.tile(direction, (len(queries), 1)))
    inside = np.bincount(rays, minlength=len(queries)) % 2 == 1
    truth = Truth(sample_mesh(mesh, 1000, rng()), queries, inside)
    scores = score_mesh(mesh, truth, UNIT_THRESHOLDS, rng(), samples=1000)
    assert inside.sum() > 300 and scores.iou == 1.0


def test_room_samples_behind_the_walls_are_left_out_where_the_rule_holds() -> None:
    truth = Truth(sample_mesh(plate(0.0, -0.3, 0.3), SAMPLES, rng()))
    wide = plate(0.0, -0.5, 0.5)
    with_rule = score_mesh(wide, truth, UNIT_THRESHOLDS, rng(), cut_at_walls=True, samples=SAMPLES)
    without = score_mesh(wide, truth, UNIT_THRESHOLDS, rng(), samples=SAMPLES)
    assert with_rule.accuracy < 0.01 < 0.05 < without.accuracy
    assert with_rule.f_scores[0] > 0.99 > without.f_scores[0]


def test_room_samples_left_by_the_walls_are_drawn_with_replacement_as_published() -> None:
    truth = Truth(sample_mesh(plate(0.0, -0.3, 0.3), SAMPLES, rng()))
    wide = plate(0.0, -0.35, 0.35)  # most samples stay: the first so many of twice as many would all be distinct
    found = score_mesh(wide, truth, UNIT_THRESHOLDS, rng(), cut_at_walls=True, samples=SAMPLES)
    # Drawn with replacement, 1 - exp(-share) of the kept ones are there; distances grow with the spacing of the samples.
    density = SAMPLES / 0.6**2
    kept = 2 * SAMPLES * (0.614 / 0.7) ** 2
    distinct = kept * (1 - np.exp(-SAMPLES / kept)) / 0.614**2
    assert found.completeness == pytest.approx(0.5 / np.sqrt(distinct), rel=0.02)
    assert found.completeness > 1.05 * 0.5 / np.sqrt(density)


def test_a_mesh_that_the_walls_cut_away_scores_as_an_empty_one() -> None:
    truth = Truth(sample_mesh(plate(0.0, -0.3, 0.3), 100, rng()))
    scores = score_mesh(plate(-0.5), truth, UNIT_THRESHOLDS, rng(), cut_at_walls=True, samples=100)
    assert scores.accuracy == pytest.approx(np.sqrt(3)) and scores.normal_consistency == -1.0


def test_inside_by_winding_numbers_and_by_counting_rays_differ_where_parts_overlap() -> None:
    other = trimesh.creation.box((0.4, 0.4, 0.4)).apply_translation((0.1, 0.07, 0.03))
    both = trimesh.util.concatenate([trimesh.creation.box((0.4, 0.4, 0.4)), other])
    mesh = Mesh(np.array(both.vertices), np.array(both.faces, dtype=np.int64))
    twice = np.array([[0.05, 0.01, 0.02]])  # in both boxes: a ray leaves two surfaces, an even number
    hits, _ = TriangleScene(mesh.vertices, mesh.faces).all_hits(twice, np.array([[0.36, 0.48, 0.8]]))
    truth = Truth(sample_mesh(mesh, 100, rng()), twice, np.array([True]))
    assert len(hits) == 2
    assert score_mesh(mesh, truth, UNIT_THRESHOLDS, rng(), samples=100).iou == 1.0


def slow_scores(predicted: SurfaceSamples, truth: SurfaceSamples, threshold: float) -> tuple[float, ...]:
    """Pair by pair: accuracy, completeness, normal consistency, F."""
    distance = np.sqrt(((predicted.points[:, None] - truth.points[None]) ** 2).sum(axis=2))
    forth, back = distance.argmin(axis=1), distance.argmin(axis=0)
    aligned = [abs(predicted.normals[row] @ truth.normals[forth[row]]) for row in range(len(forth))]
    returned = [abs(truth.normals[row] @ predicted.normals[back[row]]) for row in range(len(back))]
    precision, recall = (distance.min(axis=1) <= threshold).mean(), (distance.min(axis=0) <= threshold).mean()
    f_score = 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)
    consistency = (np.mean(aligned) + np.mean(returned)) / 2
    return float(distance.min(axis=1).mean()), float(distance.min(axis=0).mean()), float(consistency), float(f_score)


@pytest.mark.parametrize("pair", range(20))
def test_scores_equal_a_slow_oracle(pair: int) -> None:
    random = np.random.default_rng(pair)
    first = trimesh.creation.icosphere(subdivisions=1, radius=0.3).apply_scale(random.uniform(0.5, 1.2, 3))
    second = trimesh.creation.box(random.uniform(0.2, 0.8, 3)).apply_translation(random.uniform(-0.1, 0.1, 3))
    predicted, truth = (Mesh(np.array(each.vertices), np.array(each.faces, dtype=np.int64)) for each in (first, second))
    truth_samples = sample_mesh(truth, 400, np.random.default_rng(pair))
    scores = score_mesh(predicted, Truth(truth_samples), (0.05,), np.random.default_rng(99), samples=400)
    drawn = sample_mesh(predicted, 400, np.random.default_rng(99))
    expected = slow_scores(drawn, truth_samples, 0.05)
    found = (scores.accuracy, scores.completeness, scores.normal_consistency, scores.f_scores[0])
    assert found == pytest.approx(expected, abs=1e-6)
