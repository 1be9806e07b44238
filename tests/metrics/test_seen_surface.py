"""Scores on the seen surface, where geometry gives the answer."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.metrics.seen_surface import seen_surface_scores, station_rays
from sparse_convonet.structures import Mesh
from tests.metrics.boxes import box, joined, without

TRUTH = box([-2, -2, 0], [2, 2, 2.5])
STATIONS = np.array([[0.0, 0.0, 1.25], [1.0, 0.5, 1.25]])
RAYS = station_rays(STATIONS, 40_000, np.random.default_rng(0))


def test_the_truth_scores_perfectly_against_itself():
    scores = seen_surface_scores(TRUTH, TRUTH, *RAYS)
    assert scores.accuracy_m < 1e-6 and scores.completeness_m < 1e-6
    assert scores.f_score == 1.0 and scores.hole_share == 0.0 and scores.rays == 40_000


def test_a_room_larger_by_a_shell_is_off_by_its_thickness():
    larger = box([-2.03, -2.03, -0.03], [2.03, 2.03, 2.53])
    scores = seen_surface_scores(larger, TRUTH, *RAYS)
    assert abs(scores.completeness_m - 0.03) < 1e-5
    assert 0.03 <= scores.accuracy_m < 0.031  # a little more in the corners
    assert scores.f_score > 0.999 and scores.hole_share == 0.0
    assert seen_surface_scores(larger, TRUTH, *RAYS, thresholds_m=[0.02]).f_score == 0.0


def test_several_thresholds_are_scored_at_once_and_the_first_one_decides():
    larger = box([-2.03, -2.03, -0.03], [2.03, 2.03, 2.53])
    scores = seen_surface_scores(larger, TRUTH, *RAYS, thresholds_m=[0.05, 0.025, 0.01])
    assert [each.threshold_m for each in scores.at] == [0.05, 0.025, 0.01]
    assert scores.at[0].f_score == scores.f_score > 0.999 and scores.at[1].f_score == scores.at[2].f_score == 0
    with pytest.raises(ValueError, match="at least one threshold in metres, found none"):
        seen_surface_scores(larger, TRUTH, *RAYS, thresholds_m=[])


def test_rays_through_a_missing_ceiling_are_holes_by_their_solid_angle():
    open_above = without(TRUTH, lambda centre: centre[:, 2] > 2.4)
    scores = seen_surface_scores(open_above, TRUTH, *RAYS)
    truth_points = RAYS[0], RAYS[1]
    reach = 1.25 / np.maximum(truth_points[1][:, 2], 1e-9)
    landing = truth_points[0] + reach[:, None] * truth_points[1]
    expected = ((truth_points[1][:, 2] > 0) & (np.abs(landing[:, :2]) < 2).all(axis=1)).mean()
    assert 0.1 < expected < 0.5
    assert abs(scores.hole_share - expected) < 1e-3
    assert scores.precision == 1.0 and scores.accuracy_m < 1e-6
    assert scores.recall < 1 - 0.8 * expected


def test_a_wall_in_the_back_room_counts_as_a_hole_only_where_it_lies_far_behind():
    near, far = (box([-2, -2, 0], [2 + depth, 2, 2.5]) for depth in (0.15, 1.0))
    assert seen_surface_scores(near, TRUTH, *RAYS).hole_share < 0.25
    straight = np.zeros((10, 3)) + [0, 0, 1.25], np.tile([1.0, 0, 0], (10, 1))
    assert seen_surface_scores(near, TRUTH, *straight).hole_share == 0.0
    assert seen_surface_scores(far, TRUTH, *straight).hole_share == 1.0


def test_what_no_ray_sees_does_not_count():
    attic = box([-2, -2, 5], [2, 2, 6])
    both = joined(TRUTH, attic)
    assert seen_surface_scores(both, TRUTH, *RAYS).f_score == 1.0
    assert seen_surface_scores(TRUTH, both, *RAYS).f_score == 1.0


def test_rays_beyond_the_range_or_into_nothing_are_dropped():
    scores = seen_surface_scores(TRUTH, TRUTH, *RAYS, max_range_m=2.0)
    origins, directions = RAYS
    to_sides = np.where(directions > 0, np.array([2, 2, 2.5]) - origins, origins - [-2, -2, 0]) / np.abs(directions)
    assert scores.rays == (to_sides.min(axis=1) <= 2.0).sum()
    half = without(TRUTH, lambda centre: centre[:, 2] > 2.4)
    assert seen_surface_scores(TRUTH, half, *RAYS).rays < 40_000


def test_an_empty_prediction_is_all_hole():
    nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    scores = seen_surface_scores(nothing, TRUTH, *RAYS)
    assert scores.hole_share == 1.0 and scores.f_score == 0.0 and np.isinf(scores.chamfer_m)
    with pytest.raises(ValueError, match="at least one face, found none"):
        seen_surface_scores(TRUTH, nothing, *RAYS)


def test_stations_that_see_nothing_of_the_truth_are_refused():
    with pytest.raises(ValueError, match="found none of 1; are the stations inside"):
        seen_surface_scores(TRUTH, TRUTH, np.array([[9.0, 9, 9]]), np.array([[1.0, 0, 0]]))


def test_rays_are_shared_evenly_between_stations():
    origins, directions = station_rays(STATIONS, 1001, np.random.default_rng(0))
    np.testing.assert_array_equal(origins, np.repeat(STATIONS, 500, axis=0))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-12)
    with pytest.raises(ValueError, match="found 1 rays and 2 stations"):
        station_rays(STATIONS, 1, np.random.default_rng(0))
