"""Samples turned, tilted, mirrored and stretched: what training sees of a scene more than once."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from sparse_convonet.structures import TrainingSample

_TILT_RAD = math.radians(0.7)  # standard deviation about each level axis: scans are levelled by hand


def augmented(sample: TrainingSample, rng: np.random.Generator) -> TrainingSample:
    """Turn about the mean point: about z by any angle, out of level by about a degree; mirror in x with
    probability 1/2; scale by up to 10 %."""
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * rng.uniform(0.9, 1.1)
    turn[:, 0] *= rng.choice([-1.0, 1.0])
    turn = turn @ Rotation.from_rotvec([*rng.normal(0, _TILT_RAD, 2), 0]).as_matrix()
    centre = sample.points_world.mean(axis=0)

    def move(points: np.ndarray) -> np.ndarray:
        return ((points - centre) @ turn.T + centre).astype(np.float32)

    return replace(
        sample,
        points_world=move(sample.points_world),
        queries_world=move(sample.queries_world),
        hints=None if sample.hints is None else _turned(sample.hints, turn),
        around_world=None if sample.around_world is None else move(sample.around_world),
        around_hints=None if sample.around_hints is None else _turned(sample.around_hints, turn),
    )


def _turned(hints: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Pairs of unit vectors (N, 6) turned, mirrored and stretched by a matrix (3, 3); zeros stay zeros."""
    vectors = hints.reshape(-1, 3) @ turn.T
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors.reshape(-1, 6).astype(np.float32)
