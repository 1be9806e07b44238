"""Points that scanners see of a scene: none through walls, as dense as asked for, with who saw them."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.data.scanner.visible_surface import SeenPoints, draw_seen
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.mesh.raycast import TriangleScene

WALL = 0.1  # half the thickness
STATION = np.array([[-2.0, 0.3, 1.4]])  # in the room at negative x


@pytest.fixture(scope="module")
def rooms() -> Scene:
    """Two closed rooms of 4 x 4 x 2.5 m beside each other; walls, floor and ceiling are 0.2 m thick."""
    assembly = Assembly()
    assembly.box((-4.2, -2.2, -0.2), (4.2, 2.2, 0.0))
    assembly.box((-4.2, -2.2, 2.5), (4.2, 2.2, 2.7))
    for x in (-4.2, -WALL, 4.0):
        assembly.box((x, -2.2, -0.1), (x + 0.2, 2.2, 2.6))
    for y in (-2.2, 2.0):
        assembly.box((-4.2, y, -0.1), (4.2, y + 0.2, 2.6))
    return assembly.finish(0.0, (0, 0, 0))


@pytest.fixture(scope="module")
def triangles(rooms: Scene) -> TriangleScene:
    return TriangleScene(*rooms.mesh())


def draw(
    rooms: Scene, triangles: TriangleScene, stations: np.ndarray, per_m2: float, box: np.ndarray | None = None
) -> SeenPoints:
    low, high = rooms.bounds if box is None else box
    return draw_seen(rooms, triangles, stations, per_m2, (low, high), np.random.default_rng(0))


def assert_poisson(count: int, expected: float) -> None:
    assert abs(count - expected) < 5 * np.sqrt(expected), (count, expected)


def test_nothing_of_the_other_room_is_seen_and_all_of_the_own_as_densely_as_asked(
    rooms: Scene, triangles: TriangleScene
) -> None:
    seen = draw(rooms, triangles, STATION, 60.0)
    assert (
        (seen.points >= [-4 - 1e-6, -2 - 1e-6, -1e-6]) & (seen.points <= [-WALL + 1e-6, 2 + 1e-6, 2.5 + 1e-6])
    ).all()
    assert (seen.scanners == STATION).all()
    assert ((STATION - seen.points) * seen.normals).sum(axis=1).min() > 0
    # Far down a side wall the view is flat, but never flatter than 3 degrees here but for slivers in the corners.
    floor, wall = seen.normals[:, 2] > 0.9, seen.normals[:, 0] < -0.9
    assert_poisson(int(floor.sum()), 60 * 3.9 * 4)
    assert_poisson(int(wall.sum()), 60 * 4 * 2.5)  # the wall between the rooms


def test_two_stations_see_both_rooms_each_its_own(rooms: Scene, triangles: TriangleScene) -> None:
    """A station is asked for a point by chance, near ones mostly, so a few points are asked of the wrong room twice."""
    stations = np.concatenate([STATION, STATION * [-1, 1, 1]])
    seen = draw(rooms, triangles, stations, 60.0)
    assert ((seen.points[:, 0] > 0) == (seen.scanners[:, 0] > 0)).all()
    halves = [int((seen.points[:, 0] * side > 0).sum()) for side in (-1, 1)]
    alone = len(draw(rooms, triangles, STATION, 60.0).points)
    assert all(0.6 * alone < half <= alone + 5 * np.sqrt(alone) for half in halves)


def test_what_a_scanner_sees_at_a_grazing_angle_only_is_not_there(rooms: Scene, triangles: TriangleScene) -> None:
    low = np.array([[-2.0, 0.0, 0.03]])  # 3 cm above the floor: cosine 0.05 is 0.6 m away
    floor = draw(rooms, triangles, low, 400.0, np.array([[-4, -2, -0.05], [-WALL, 2, 0.05]]))
    away = np.linalg.norm(floor.points[floor.normals[:, 2] > 0.9, :2] - low[0, :2], axis=1)
    assert 0.4 < away.max() <= 0.61


def test_a_box_restricts_what_is_drawn(rooms: Scene, triangles: TriangleScene) -> None:
    box = np.array([[-3.0, -1.0, -0.5], [-2.0, 1.0, 0.5]])
    seen = draw(rooms, triangles, STATION, 300.0, box)
    assert ((seen.points >= box[0]) & (seen.points <= box[1])).all()
    assert_poisson(len(seen.points), 300 * 2.0)


@pytest.mark.parametrize("stations", [np.array([[0.0, 0.0, 1.2]]), np.array([[40.0, 0.0, 1.2]])])
def test_where_no_surface_is_seen_there_are_no_points(
    rooms: Scene, triangles: TriangleScene, stations: np.ndarray
) -> None:
    """From within the wall, and from outside, of what lies inside."""
    box = np.array([[-3.9, -1.9, -0.05], [-0.2, 1.9, 2.55]])
    seen = draw(rooms, triangles, stations, 50.0, box)
    assert seen.points.shape == seen.normals.shape == seen.scanners.shape == (0, 3)


def test_points_join_in_order_and_select_as_their_rows() -> None:
    parts = [SeenPoints(*(np.full((count, 3), value + count) for value in (0.0, 10.0, 20.0))) for count in (2, 3)]
    joined = SeenPoints.joined(parts)
    assert joined.points[:, 0].tolist() == [2, 2, 3, 3, 3] and joined.scanners[:, 0].tolist() == [22, 22, 23, 23, 23]
    assert joined.select(np.array([4, 0])).normals[:, 0].tolist() == [13, 12]
