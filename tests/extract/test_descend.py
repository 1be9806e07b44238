"""The published refinement: vertices come nearer to the threshold, faces turn to the gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from sparse_convonet.extract.descend import descend
from sparse_convonet.structures import Mesh

RADIUS, SLOPE = 0.3, 20.0


def logits(points: torch.Tensor) -> torch.Tensor:
    """Of a ball; occupancy is 1/2 on its surface."""
    return SLOPE * (RADIUS - points.norm(dim=1))


def bumpy(rng: np.random.Generator) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    return Mesh(
        np.asarray(ball.vertices) * (1 + 0.02 * rng.normal(size=(len(ball.vertices), 1))), np.asarray(ball.faces)
    )


def off_surface(mesh: Mesh) -> float:
    """How much the distances of the faces' middles from that of the ball differ."""
    return float(np.linalg.norm(mesh.vertices[mesh.faces].mean(axis=1), axis=1).std())


def off_normal(mesh: Mesh) -> float:
    shape = mesh.to_trimesh()
    outward = shape.triangles_center / np.linalg.norm(shape.triangles_center, axis=1, keepdims=True)
    return float((1 - np.einsum("ij,ij->i", shape.face_normals, outward)).mean())


@pytest.mark.parametrize("bends", [True, False])
def test_bumps_are_smoothed_towards_the_threshold(bends: bool, rng: np.random.Generator) -> None:
    mesh = bumpy(rng)
    better = descend(mesh, logits, 60, threshold=0.5, learning_rate=1e-4, rng=np.random.default_rng(0), bends=bends)
    assert np.array_equal(better.faces, mesh.faces)
    assert off_normal(better) < 0.7 * off_normal(mesh) and off_surface(better) < 0.9 * off_surface(mesh)
    assert 0 < np.abs(better.vertices - mesh.vertices).max() < 60 * 1e-3


def test_another_threshold_has_another_surface(rng: np.random.Generator) -> None:
    mesh = bumpy(rng)
    threshold = 0.2
    target = RADIUS - np.log(threshold / (1 - threshold)) / SLOPE  # a larger ball
    better = descend(mesh, logits, 200, threshold=threshold, learning_rate=1e-3, rng=np.random.default_rng(0))
    before, after = (np.abs(np.linalg.norm(each.vertices, axis=1) - target).mean() for each in (mesh, better))
    assert after < 0.15 * before


def test_the_same_points_of_faces_give_the_same_mesh_and_no_step_changes_nothing(rng: np.random.Generator) -> None:
    mesh = bumpy(rng)
    one, other = (
        descend(mesh, logits, 3, threshold=0.5, learning_rate=1e-4, rng=np.random.default_rng(seed)) for seed in (1, 1)
    )
    assert np.array_equal(one.vertices, other.vertices)
    assert descend(mesh, logits, 0, threshold=0.5, learning_rate=1e-4, rng=rng) is mesh
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64))
    assert descend(empty, logits, 3, threshold=0.5, learning_rate=1e-4, rng=rng) is empty
