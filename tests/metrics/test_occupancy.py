"""Intersection over union in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.metrics.occupancy import iou


def test_iou_of_overlapping_intervals_is_their_ratio():
    axis = np.arange(100)
    assert iou(axis < 60, axis >= 40) == 20 / 100
    assert iou(axis < 50, axis < 50) == 1.0
    assert iou(axis < 50, axis >= 50) == 0.0
    assert iou(axis < 60, axis < 30) == iou(axis < 30, axis < 60) == 0.5


def test_two_empty_sets_agree_and_an_empty_prediction_scores_zero():
    none = np.zeros(5, dtype=bool)
    assert iou(none, none) == 1.0
    assert iou(none, ~none) == 0.0


def test_iou_of_nested_balls_is_the_ratio_of_their_volumes():
    points = np.random.default_rng(0).uniform(-1, 1, (200_000, 3))
    radius = np.linalg.norm(points, axis=1)
    assert abs(iou(radius < 0.5, radius < 1.0) - 0.125) < 0.003


def test_logits_and_unequal_shapes_are_refused():
    with pytest.raises(ValueError, match="predicted: expected bool occupancies, found float64; threshold"):
        iou(np.zeros(3), np.zeros(3, dtype=bool))
    with pytest.raises(ValueError, match=r"one shape, found \(3,\) and \(4,\)"):
        iou(np.zeros(3, dtype=bool), np.zeros(4, dtype=bool))
