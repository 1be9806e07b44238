"""Shares of points near a mesh: against brute force, for triangles far smaller and far larger than the distances."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_convonet.metrics import coverage
from sparse_convonet.metrics.coverage import shares_within
from tests.oracles.nearest import distance_to_mesh

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # points (N, 3), vertices (V, 3), faces (F, 3)


def scattered_triangles(seed: int, count: int, sizes: tuple[float, float], points: int) -> Arrays:
    """Triangles with edges of all sizes between two, some needles, some without area; points around them."""
    rng = np.random.default_rng(seed)
    smallest, largest = np.log(sizes)
    size = np.exp(rng.uniform(smallest, largest, (count, 1, 1)))
    corners = rng.uniform(-1, 1, (count, 1, 3)) + rng.normal(size=(count, 3, 3)) * size
    kind = rng.integers(0, 8, count)
    corners[kind == 0, 2] = (corners[kind == 0, 0] * 2 + corners[kind == 0, 1]) / 3 + 1e-7  # a needle
    corners[kind == 1, 2] = (corners[kind == 1, 0] + corners[kind == 1, 1]) / 2  # no area, or hardly
    corners[kind == 2, 2] = corners[kind == 2, 1]
    corners[kind == 3] = np.round(corners[kind == 3], 1)  # on the borders of cells
    near = corners[rng.integers(0, count, points)].mean(axis=1) + rng.normal(scale=0.2, size=(points, 3))
    return near, corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def assert_equal_to_brute_force(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Between any two successive distances of the points to the mesh, exactly the nearer ones are within."""
    true = np.sort([distance_to_mesh(point, vertices, faces) for point in points])
    apart = np.flatnonzero(np.diff(true) > 1e-9)
    between = (true[apart] + true[apart + 1]) / 2
    for some in (between[:1], between[::3], between[-1:], between[::-5]):
        if len(some):
            expected = [float((true <= distance).mean()) for distance in some]
            assert list(shares_within(points, vertices, faces, some)) == expected


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 25),
    smallest=st.sampled_from([0.001, 0.05, 1.0]),
    ratio=st.sampled_from([1.5, 30.0, 1000.0]),
    shift=st.sampled_from([0.0, -300.5, 5.0e6]),
)
def test_shares_equal_brute_force_whatever_the_triangles(
    seed: int, count: int, smallest: float, ratio: float, shift: float
) -> None:
    points, vertices, faces = scattered_triangles(seed, count, (smallest, smallest * ratio), points=12)
    if shift:  # what is left after the shift is a scene of its own, which the oracle sees moved back
        points, vertices = points + shift, vertices + shift
        local = [distance_to_mesh(point - shift, vertices - shift, faces) for point in points]
        middle = float(np.median(local)) + 1e-7
        if np.abs(np.array(local) - middle).min() > 1e-8:
            assert shares_within(points, vertices, faces, [middle]) == (float((np.array(local) <= middle).mean()),)
        return
    assert_equal_to_brute_force(points, vertices, faces)


def test_large_triangles_are_found_at_distances_a_thousand_times_smaller() -> None:
    rng = np.random.default_rng(5)
    fine = trimesh.creation.icosphere(subdivisions=3, radius=0.05)
    wall = np.array([[-10.0, -10, 0.3], [10, -9, 0.5], [-9, 10, 0.4]])
    vertices = np.concatenate([np.asarray(fine.vertices), wall])
    faces = np.concatenate([np.asarray(fine.faces), [[len(fine.vertices) + n for n in range(3)]]])
    share = rng.dirichlet((1, 1, 1), size=2000)
    normal = np.cross(wall[1] - wall[0], wall[2] - wall[0])
    height = rng.uniform(-0.02, 0.02, (2000, 1))
    points = share @ wall + height * normal / np.linalg.norm(normal)
    expected = tuple(float((np.abs(height) <= distance).mean()) for distance in (0.002, 0.01))
    assert shares_within(points, vertices, faces, (0.002, 0.01)) == expected


def test_shares_come_in_the_order_of_the_distances() -> None:
    points, vertices, faces = scattered_triangles(3, 20, (0.05, 1.0), points=200)
    one_by_one = [shares_within(points, vertices, faces, [distance])[0] for distance in (0.3, 0.0, 0.05, 0.1)]
    assert list(shares_within(points, vertices, faces, (0.3, 0.0, 0.05, 0.1))) == one_by_one
    assert one_by_one[0] > one_by_one[3] > one_by_one[2] > one_by_one[1] == 0


@pytest.mark.parametrize("name", ["_MOST_CELLS", "_ENTRIES_PER_FACE"])
def test_the_tree_of_boxes_answers_the_same_where_a_grid_would_be_too_large(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, vertices, faces = scattered_triangles(7, 200, (0.01, 1.0), points=300)
    points[::100] = np.nan
    by_grid = shares_within(points, vertices, faces, (0.02, 0.1))
    monkeypatch.setattr(coverage, name, 0)
    monkeypatch.setattr(coverage, "_SPARE_ENTRIES", 10)
    assert coverage._grid(vertices, faces, 0.1) is None
    assert shares_within(points, vertices, faces, (0.02, 0.1)) == by_grid


def test_points_far_away_or_not_finite_are_near_nothing() -> None:
    _, vertices, faces = scattered_triangles(1, 20, (0.1, 0.2), points=1)
    points = np.array([vertices[0], vertices[1], [np.nan, 0, 0], [0, np.inf, 0], [0, 0, -1e300], [1e12, 0, 0]])
    assert shares_within(points, vertices, faces, (0.01,)) == (2 / 6,)


def test_an_infinite_vertex_and_a_mesh_without_faces_are_refused() -> None:
    points, vertices, faces = scattered_triangles(1, 3, (0.1, 0.2), points=4)
    vertices[0, 0] = np.inf
    with pytest.raises(ValueError, match="expected finite numbers"):
        shares_within(points, vertices, faces, (0.1,))
    with pytest.raises(ValueError, match="at least one face, found none"):
        shares_within(points, vertices, faces[:0], (0.1,))
    with pytest.raises(ValueError, match=r"indices from 0 to 2, found 0 to 8"):
        shares_within(points, np.zeros((3, 3)), faces, (0.1,))
    with pytest.raises(ValueError, match=r"distances of at least 0, found \[0.1, -1.0\]"):
        shares_within(points, vertices, faces, [0.1, -1.0])
