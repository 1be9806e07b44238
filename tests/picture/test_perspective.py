"""Pinhole pictures: a point of the mesh is seen where its camera says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh

from sparse_convonet.picture.perspective import PerspectiveCamera, ball_of, direction_of, render, views_around
from sparse_convonet.structures import Mesh

UP = np.array([0.0, 1.0, 0.0])


def ball_at(place: tuple[float, float, float], radius: float) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return Mesh(np.asarray(ball.vertices) + place, np.asarray(ball.faces))


def joined(first: Mesh, second: Mesh) -> Mesh:
    return Mesh(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + len(first.vertices)]),
    )


def test_a_ball_is_seen_where_the_camera_projects_it_and_as_large() -> None:
    mesh = joined(ball_at((0.4, 0.3, -0.2), 0.05), ball_at((-0.4, -0.3, 0.2), 0.05))
    for camera in views_around(mesh, 5, 200, np.random.default_rng(0), UP):
        picture = render(mesh, camera, UP)
        dark = np.argwhere(picture[..., 0] < 222)[:, ::-1] + 0.5  # columns and rows
        places = camera.project(np.array([(0.4, 0.3, -0.2), (-0.4, -0.3, 0.2)]))
        nearest = np.linalg.norm(dark[:, None] - places[None, :, :2], axis=-1).argmin(axis=1)
        for number in range(2):
            mine = dark[nearest == number]
            assert np.abs(mine.mean(axis=0) - places[number, :2]).max() < 0.7
            radius = camera.intrinsics[0, 0] * 0.05 / places[number, 2]
            cosine = 1 / np.hypot(1, np.linalg.norm(places[number, :2] - 100) / camera.intrinsics[0, 0])
            assert len(mine) == pytest.approx(math.pi * radius**2 / cosine, rel=0.1)  # an ellipse off the axis


def test_up_is_up_right_is_right_and_what_is_nearer_hides_what_is_behind() -> None:
    camera = PerspectiveCamera.around(np.zeros(3), np.array([0.0, 0.0, 2.0]), UP, 0.5, 100)  # from +z: x to the right
    column, row, depth = camera.project(np.array([(0.1, 0.2, 0.0), (0.0, 0.0, 0.3)])).T
    assert (
        column[0] > 50 > row[0]
        and column[1] == pytest.approx(50)
        and row[1] == pytest.approx(50)
        and depth[1] < depth[0]
    )
    small, large = ball_at((0, 0, 0.3), 0.05), ball_at((0, 0, -0.1), 0.3)
    middle = render(joined(small, large), camera, UP)[50, 50]
    assert np.array_equal(middle, render(small, camera, UP)[50, 50])


def test_the_ball_around_a_mesh_fills_the_picture_and_no_more() -> None:
    mesh = ball_at((3.0, 1.0, -2.0), 0.7)
    centre, radius = ball_of(mesh)
    assert centre == pytest.approx((3, 1, -2), abs=0.01) and radius == pytest.approx(0.7, rel=0.01)
    for camera in views_around(mesh, 3, 64, np.random.default_rng(1), UP):
        dark = render(mesh, camera, UP)[..., 0] < 254
        rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
        assert rows.min() <= 1 and rows.max() >= 62 and columns.min() <= 1 and columns.max() >= 62
        assert not dark[0, 0] and not dark[-1, -1]


@pytest.mark.parametrize("axis", range(3))
def test_directions_rise_above_the_level_plane(axis: int) -> None:
    up = np.eye(3)[axis]
    for turn in (0.0, 2.0):
        direction = direction_of(turn, 0.4, up)
        assert np.linalg.norm(direction) == pytest.approx(1) and direction @ up == pytest.approx(math.sin(0.4))


def test_nothing_cannot_be_shown() -> None:
    with pytest.raises(ValueError, match="expected a mesh with faces, found none"):
        ball_of(Mesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)))
