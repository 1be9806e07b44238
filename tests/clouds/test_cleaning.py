"""Cleaning drops what no scanner meant, counts it, and keeps the fringe of a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.clouds.cleaning import Dropped, clean_points
from sparse_convonet.clouds.coincidence import first_of_each_place, repeats_earlier
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud


def _room(rng: np.random.Generator, count: int = 20_000) -> np.ndarray:
    """Points on the six sides of a room of 8 x 5 x 3 m."""
    points = rng.random((count, 3))
    side = rng.integers(0, 6, count)
    points[np.arange(count), side % 3] = side // 3
    return points * [8.0, 5.0, 3.0]


def test_a_clean_cloud_comes_back_as_it_is(rng: np.random.Generator) -> None:
    cloud = PointCloud(_room(rng))
    kept, dropped = clean_points(cloud)
    assert kept is cloud and dropped == Dropped(0, 0, 0, 0) and dropped.total() == 0


def test_each_reason_is_counted_and_the_rest_keeps_its_order_colours_and_normals(rng: np.random.Generator) -> None:
    room = _room(rng)
    no_return = np.zeros((300, 3)) - 0.0
    not_finite = np.array([[np.nan, 0, 0], [0, np.inf, 0], [0, 0, -np.inf], [np.nan] * 3])
    far = np.array([[10_000.0, 0, 0], [0, 0, -10_000], [1e300, 1, 1]])
    points = np.concatenate([not_finite, room, no_return, far, room[:50]])
    number = np.arange(len(points))
    colours = np.stack([number % 256, number // 256 % 256, number // 65536], axis=1).astype(np.uint8)
    normals = np.tile(np.array([[0, 0, 1]], dtype=np.float32), (len(points), 1))
    given = points.copy()
    kept, dropped = clean_points(PointCloud(points, colours, normals))
    assert dropped == Dropped(not_finite=4, no_return=300, far=3, duplicates=50) and dropped.total() == 357
    assert np.array_equal(kept.points, room)
    assert kept.colours is not None and np.array_equal(kept.colours, colours[4 : 4 + len(room)])
    assert kept.normals is not None and len(kept.normals) == len(room)
    assert np.array_equal(points, given, equal_nan=True)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.05, 0.15])
def test_scattered_outliers_of_any_share_are_dropped_exactly(rng: np.random.Generator, share: float) -> None:
    room = _room(rng)
    outliers = rng.uniform(100, 10_000, (int(share * len(room)), 3)) * rng.choice([-1, 1], (int(share * len(room)), 3))
    kept, dropped = clean_points(PointCloud(np.concatenate([room, outliers])))
    assert np.array_equal(kept.points, room) and dropped.far == len(outliers)


def test_the_place_and_the_unit_of_the_cloud_do_not_matter(rng: np.random.Generator) -> None:
    cloud = np.concatenate([_room(rng), [[400.0, 0, 0], [0, 300, 0]]])
    for scale, shift in ((1.0, 0.0), (1000.0, 0.0), (1.0, 500_000.0), (0.01, -3.0)):
        assert clean_points(PointCloud(cloud * scale + shift))[1].far == 2


def test_the_sparse_end_of_a_corridor_and_another_wing_stay(rng: np.random.Generator) -> None:
    directions = rng.normal(size=(200_000, 3))
    reach = (np.array([40.0, 1.2, 1.5]) / np.abs(directions)).min(axis=1, keepdims=True)
    corridor = directions * reach  # as one scanner sees it: four in five points lie within 4 m, the ends 40 m away
    assert np.quantile(np.abs(corridor[:, 0]), 0.8) < 4
    kept, dropped = clean_points(PointCloud(corridor))
    assert dropped.far <= 20 and np.ptp(kept.points[:, 0]) > 76
    room = _room(rng)
    wing = room[: len(room) // 50] + [60.0, 0, 0]
    assert clean_points(PointCloud(np.concatenate([room, wing])))[1].far == 0


def test_repeated_points_are_found_as_by_comparing_rows(rng: np.random.Generator) -> None:
    points = rng.integers(-2, 3, (500, 3)) * 0.1
    seen: set[tuple[float, ...]] = set()
    expected = []
    for point in points:
        key = tuple(float(value) + 0.0 for value in point)
        expected.append(key in seen)
        seen.add(key)
    assert np.array_equal(repeats_earlier(points), expected)
    first, place = first_of_each_place(points)
    assert np.array_equal(first, np.flatnonzero(~np.array(expected))) and np.array_equal(points[first][place], points)
    assert repeats_earlier(np.array([[0.0, -0.0, 1], [-0.0, 0.0, 1]])).tolist() == [False, True]
    assert repeats_earlier(np.zeros((0, 3))).tolist() == []


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.eye(3), "expected at least 50 usable points, found 3 of 3; check the file"),
        (np.zeros((0, 3)), "expected at least 50 usable points, found 0 of 0"),
        (np.full((1000, 3), np.nan), "expected at least 50 usable points, found 0 of 1000"),
        (np.tile([[1.0, 2, 3]], (1000, 1)), r"found 1000 times the same point \[1.0, 2.0, 3.0\]"),
        (np.tile(np.eye(3), (100, 1)), "expected at least 50 usable points, found 0 of 300"),
    ],
)
def test_too_few_and_equal_points_are_refused_in_one_sentence(points: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        clean_points(PointCloud(points))
    assert "\n" not in str(caught.value)


def test_the_shared_scans_lose_only_repeated_points_and_the_rooms_outliers(shared_data: Path) -> None:
    pytest.importorskip("laspy", reason="laspy is not installed (extra las)")
    hall, dropped = clean_points(read_points(shared_data / "real" / "two_storey_hall.laz"))
    assert dropped == Dropped(0, 0, 0, 54_619) and len(hall) == 753_423
    room = read_points(shared_data / "real" / "lidar_room.pcd")
    kept, dropped = clean_points(room)
    assert 10 < dropped.far < 100 and dropped.not_finite == dropped.no_return == 0
    assert np.ptp(kept.points, axis=0)[2] == np.ptp(room.points, axis=0)[2]
