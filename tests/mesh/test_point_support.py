"""What points say of vertices, against sums over all points in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.mesh.point_support import OBSERVED_VOXELS, PointSupport, SupportingPoints

NAMES = ("count", "nearest", "offset", "spread", "lean", "others")


def _slow(points: np.ndarray, vertices: np.ndarray, normals: np.ndarray) -> PointSupport:
    """The same, pair by pair, as its docstring says."""
    ways = points[None] - vertices[:, None]  # (V, N, 3)
    distance = np.linalg.norm(ways, axis=2)
    along = np.einsum("vnc,vc->vn", ways, normals)
    weights = np.where(
        (distance <= OBSERVED_VOXELS) & (np.abs(along) <= 0.75), (1 - (distance / OBSERVED_VOXELS) ** 2) ** 2, 0
    )
    total = weights.sum(axis=1)
    mean = np.divide((weights * along).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
    square = np.divide((weights * along**2).sum(axis=1), total, out=np.zeros(len(total)), where=total > 0)
    nearest = np.where(weights > 0, distance, np.inf).min(axis=1)
    across = (ways - along[..., None] * normals[:, None]) * weights[..., None]
    lean = np.divide(np.linalg.norm(across.sum(axis=1), axis=1), total, out=np.zeros(len(total)), where=total > 0)
    all_near = np.where(distance <= OBSERVED_VOXELS, (1 - (distance / OBSERVED_VOXELS) ** 2) ** 2, 0).sum(axis=1)
    others = np.divide(all_near - total, all_near, out=np.zeros(len(total)), where=total > 0)
    return PointSupport(total, nearest, mean, np.sqrt(np.maximum(square - mean**2, 0)), lean, others)


def _scene(rng: np.random.Generator, count: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points about a level square at -10 to 20, and vertices on it, some of them beyond all points."""
    points = np.c_[rng.uniform(-10, 20, (count, 2)), rng.normal(0.2, 0.4, count)]
    vertices = np.c_[rng.uniform(-14, 24, (200, 2)), rng.normal(0, 0.2, 200)]
    normals = np.array([0, 0, 1.0]) + rng.normal(0, 0.1, (200, 3))
    return points, vertices, (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)


def test_it_is_what_all_pairs_give(rng: np.random.Generator) -> None:
    points, vertices, normals = _scene(rng)
    found, expected = SupportingPoints(points).support(vertices, normals), _slow(points, vertices, normals)
    assert 20 < np.count_nonzero(~expected.observed) < 180
    assert len(SupportingPoints(points)._points) == len(points)  # none is thinned
    assert (found.observed == expected.observed).all()
    for name in NAMES:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_points_far_away_and_their_order_make_no_difference(rng: np.random.Generator) -> None:
    points, vertices, normals = _scene(rng)
    few = vertices[(np.abs(vertices[:, :2] - 5) < 3).all(axis=1)]
    far = np.concatenate([points, rng.uniform(30, 40, (500, 3))])
    near = points[(np.abs(points[:, :2] - 5) < 3 + 3 * OBSERVED_VOXELS).all(axis=1)]
    assert len(near) < len(points)
    for name in NAMES:
        of_far, of_near = (
            getattr(SupportingPoints(each).support(few, normals[: len(few)]), name) for each in (far, near)
        )
        assert (of_far == of_near).all(), name


def test_a_dense_scan_is_thinned_and_counts_as_much(rng: np.random.Generator) -> None:
    points, vertices, normals = _scene(rng, count=150_000)
    supporting = SupportingPoints(points)
    assert len(supporting._points) < 40_000
    found, expected = supporting.support(vertices, normals), _slow(points, vertices, normals)
    inside = expected.count > 50
    assert inside.sum() > 50
    np.testing.assert_allclose(found.count[inside].mean(), expected.count[inside].mean(), rtol=0.03)
    np.testing.assert_allclose(found.spread[inside].mean(), expected.spread[inside].mean(), rtol=0.03)
    assert np.abs(found.offset - expected.offset)[inside].max() < 0.25


def test_the_other_face_of_a_thin_wall_does_not_count(rng: np.random.Generator) -> None:
    front = np.c_[rng.uniform(0, 10, (400, 2)), np.zeros(400)]
    points = np.concatenate([front, front - (0, 0, 0.8)])
    vertices, normals = np.full((1, 3), (5.0, 5.0, 0.0)), np.array([[0, 0, 1.0]], np.float32)
    found = SupportingPoints(points).support(vertices, normals)
    assert found.spread[0] == pytest.approx(0.0, abs=1e-6)
    assert found.count[0] == pytest.approx(_slow(front, vertices, normals).count[0], rel=1e-5)
    between = SupportingPoints(front).support(vertices + (0, 0, 0.8), normals)  # as near, but of another surface
    assert not between.observed[0] and found.observed[0]


def test_points_lean_where_the_scan_ends_and_not_within_it(rng: np.random.Generator) -> None:
    points = np.c_[rng.uniform(0, 10, (20_000, 2)), np.zeros(20_000)]
    points = points[points[:, 0] <= 5]
    vertices = np.array([[2.5, 5.0, 0.0], [5.0, 5.0, 0.0], [6.0, 5.0, 0.0]])
    found = SupportingPoints(points).support(vertices, np.tile(np.array([0, 0, 1], np.float32), (3, 1)))
    # Of (1 - r^2 / 4)^2 on half a disc of radius 2: the mean of x is 2 * (16 / 105) * 2^3 / (pi / 3 * 2^2 / 2).
    assert found.lean == pytest.approx([0.0, 2 * (8 / 105) * 2**3 / (np.pi / 3 * 2**2 / 2), 1.27], abs=0.06)
    assert (found.others == 0).all()


def test_points_of_another_surface_nearby_are_a_share(rng: np.random.Generator) -> None:
    floor = np.c_[rng.uniform(0, 10, (4000, 2)), np.zeros(4000)]
    board = np.c_[rng.uniform(0, 10, (4000, 2)), np.full(4000, 1.0)]
    vertices = np.c_[rng.uniform(2, 8, (500, 2)), np.zeros(500)]
    normals = np.tile(np.array([0, 0, 1], np.float32), (500, 1))
    found = SupportingPoints(np.concatenate([floor, board])).support(vertices, normals)
    # The integral of (1 - (r^2 + h^2) / 4)^2 over a plane at height h is pi * 4 / 3 * (1 - h^2 / 4)^3.
    assert found.others.mean() == pytest.approx(0.75**3 / (1 + 0.75**3), abs=0.03)
    assert (SupportingPoints(floor).support(vertices, normals).others == 0).all()


def test_without_points_nothing_was_observed() -> None:
    found = SupportingPoints(np.zeros((0, 3))).support(
        np.zeros((3, 3)), np.tile(np.array([0, 0, 1], np.float32), (3, 1))
    )
    assert not found.observed.any()
    assert (found.count == 0).all()
