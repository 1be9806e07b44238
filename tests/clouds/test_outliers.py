"""Outliers: what is strewn through space goes where there is much of it; far, thin, and cluttered parts of scans stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.clouds import outliers
from sparse_convonet.clouds.cleaning import clean_points
from sparse_convonet.clouds.coincidence import are_at
from sparse_convonet.clouds.even_spread import spread_evenly
from sparse_convonet.clouds.outliers import find_outliers, without_outliers
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud

ROOM = np.array([6.0, 5.0, 3.0])


def room(per_m2: float, rng: np.random.Generator, noise: float = 0.005) -> np.ndarray:
    """Points of the six sides of a room, with noise of 5 mm or as said."""
    parts = []
    for axis in range(3):
        others = [each for each in range(3) if each != axis]
        for side in (0.0, ROOM[axis]):
            points = np.empty((int(per_m2 * np.prod(ROOM[others])), 3))
            points[:, others] = rng.uniform(0, ROOM[others], (len(points), 2))
            points[:, axis] = side
            parts.append(points)
    points = np.concatenate(parts)
    return points + rng.normal(0, noise, points.shape)


def strewn(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.15, ROOM - 0.15, (count, 3))


# A room of 90 m3 with fewer strewn points than a thousand has too few cells of air to tell.
@pytest.mark.parametrize(
    ("per_m2", "cell_m", "share"),
    [(300, 0.1, 0.15), (1000, 0.05, 0.03), (1000, 0.05, 0.15), (5000, 0.05, 0.03), (5000, 0.05, 0.15)],
)
def test_what_is_strewn_goes_and_what_is_surface_stays(per_m2: int, cell_m: float, share: float) -> None:
    rng = np.random.default_rng(0)
    real = room(per_m2, rng)
    mess = strewn(int(share * len(real)), rng)
    points = np.concatenate([real, mess])
    kept, taken = without_outliers(PointCloud(points))
    assert len(kept) + len(taken) == len(points)
    gone = ~np.isin(points[:, 0], kept.points[:, 0])
    apart = np.minimum(mess, ROOM - mess).min(axis=1) > 2 * cell_m  # what is nearer has a surface around it
    assert gone[len(real) :][apart].mean() > 0.97 and gone[len(real) :].mean() > 0.6
    assert gone[: len(real)].mean() < 0.01
    assert np.array_equal(points[gone], taken.points)  # in their order


def test_what_is_said_of_the_points_goes_with_them() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([room(500, rng), strewn(4000, rng)])
    cloud = PointCloud(points, (points % 1 * 255).astype(np.uint8), points + 1.0)
    kept, taken = without_outliers(cloud)
    assert len(taken) > 3000
    for each in (kept, taken):
        assert each.colours is not None and each.normals is not None
        assert np.array_equal(each.colours, (each.points % 1 * 255).astype(np.uint8))
        assert np.array_equal(each.normals, each.points + 1.0)


def test_few_are_left_in_and_a_scan_without_any_is_the_same_object() -> None:
    rng = np.random.default_rng(2)
    real = room(1000, rng)
    for mess in (0, len(real) // 100):
        cloud = PointCloud(np.concatenate([real, strewn(mess, rng)]))
        kept, taken = without_outliers(cloud)
        assert kept is cloud and len(taken) == 0


@pytest.mark.parametrize(("per_m2", "noise"), [(3000, 0.005), (5000, 0.025), (20_000, 0.025)])
def test_specks_go_however_few_where_surfaces_are_dense(per_m2: int, noise: float) -> None:
    rng = np.random.default_rng(12)
    pane = rng.uniform((2.0, 0.5, 0.5), (4.0, 0.5, 2.5), (300, 3)) + rng.normal(0, noise / 2, (300, 3))  # glass
    turn = rng.uniform(0, 2 * np.pi, int(0.4 * per_m2 * 2 * np.pi * 0.005))
    cord = np.column_stack([3 + 0.005 * np.cos(turn), 1 + 0.005 * np.sin(turn), rng.uniform(2.6, 3, len(turn))])
    real = np.concatenate([room(per_m2, rng, noise), pane, cord])
    for count in (100, 1500):
        mess = strewn(count, rng)
        taken = without_outliers(PointCloud(np.concatenate([real, mess])))[1]
        gone = np.isin(np.concatenate([real, mess])[:, 0], taken.points[:, 0])
        apart = np.minimum(mess, ROOM - mess).min(axis=1) > 0.1 + 3 * noise
        apart &= np.minimum(mess, ROOM - mess).min(axis=1) < 0.4  # the blocks beside it hold dense surfaces
        assert gone[len(real) :][apart].mean() > 0.8
        assert gone[: len(real)].mean() < 0.001 and gone[len(real) - len(pane) - len(cord) : len(real)].mean() < 0.2


def test_no_specks_where_dense_things_stand_in_a_thin_scan() -> None:
    rng = np.random.default_rng(13)
    thin = rng.uniform((2.0, 1.5, 0.2), (4.0, 3.5, 2.2), (150, 3))  # a plant, say
    for dense, usual in ((300_000, 400), (100_000, 100), (20_000, 200)):
        ball = rng.normal(size=(dense, 3))
        ball *= 0.4 / np.linalg.norm(ball, axis=1, keepdims=True)
        scan = np.concatenate([room(usual, rng, 0.03), ball + (1.0, 2.5, 1.2), thin])
        assert len(without_outliers(PointCloud(scan))[1]) == 0


def test_a_wall_a_hundred_times_as_thin_stays() -> None:
    rng = np.random.default_rng(3)
    near = room(2000, rng)
    far = np.concatenate(
        [rng.uniform([10, 0, 0], [10, 40, 8], (6400, 3)), rng.uniform([7, 0, 0], [10, 40, 0], (2400, 3))]
    )
    far += rng.normal(0, 0.01, far.shape)
    scan = np.concatenate([near, far])
    assert len(without_outliers(PointCloud(scan))[1]) == 0
    mess = np.concatenate([strewn(len(near) // 5, rng), rng.uniform([6.5, 0.5, 0.5], [9.5, 39.5, 7.5], (15_000, 3))])
    taken = without_outliers(PointCloud(np.concatenate([scan, mess])))[1]
    assert np.isin(mess[:, 0], taken.points[:, 0]).mean() > 0.9
    assert np.isin(far[:, 0], taken.points[:, 0]).mean() < 0.05


def trees(rng: np.random.Generator) -> np.ndarray:
    """Six crowns, each a ball of leaves on a trunk, in a row beside the room."""
    parts = []
    for x in range(10, 34, 4):
        leaves = rng.normal(size=(4500, 3))
        leaves *= 2.5 * rng.random((4500, 1)) ** (1 / 3) / np.linalg.norm(leaves, axis=1, keepdims=True)
        angle, height = rng.uniform(0, 2 * np.pi, 500), rng.uniform(0, 4, 500)
        trunk = np.column_stack([0.2 * np.cos(angle), 0.2 * np.sin(angle), height])
        parts += [leaves + [x, 3.0, 5.6], trunk + [x, 3.0, 0.0]]
    return np.concatenate(parts)


def noisy_hall(rng: np.random.Generator) -> np.ndarray:
    """25 x 20 x 8 m seen from one place, whose noise grows with the range: the far walls are thin and thick."""
    size, eye = np.array([25.0, 20.0, 8.0]), np.array([5.0, 4.0, 1.6])
    ray = rng.normal(size=(400_000, 3))
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ranges = np.where(ray > 0, (size - eye) / ray, -eye / ray).min(axis=1)
    return np.asarray(eye + ray * (ranges + rng.normal(size=len(ray)) * (0.02 + 0.003 * ranges))[:, None])


def dense_thing_in_a_noisy_room(rng: np.random.Generator) -> np.ndarray:
    """A ball of 1 m with 100,000 points per square metre, in a room with 400 and noise of 3 cm."""
    ball = rng.normal(size=(300_000, 3))
    ball *= 0.5 / np.linalg.norm(ball, axis=1, keepdims=True)
    thin = room(400, rng)
    return np.concatenate([ball + [3.0, 2.5, 1.2], thin + rng.normal(0, 0.03, thin.shape)])


def park(rng: np.random.Generator) -> np.ndarray:
    """Ten crowns, thin, anywhere above open ground, each on a trunk: nothing else is before the ground."""
    ground = rng.uniform(0, 40, (200_000, 3)) * (1, 1, 0) + rng.normal(0, 0.01, (200_000, 3))
    parts = [ground]
    for x, y in rng.uniform(2, 38, (10, 2)):
        leaves = rng.normal(size=(1500, 3))
        leaves *= rng.random((1500, 1)) ** (1 / 3) / np.linalg.norm(leaves, axis=1, keepdims=True)
        angle, height = rng.uniform(0, 2 * np.pi, 300), rng.uniform(0, 3, 300)
        trunk = np.column_stack([0.2 * np.cos(angle), 0.2 * np.sin(angle), height])
        parts += [leaves * (2.5, 2.5, 3.0) + (x, y, 5.0), trunk + (x, y, 0.0)]
    return np.concatenate(parts)


def furnished_room_around_a_dense_thing(rng: np.random.Generator) -> np.ndarray:
    """20,000 points of a room, with noise of 2 cm, and more of a ball in it: most of the thin ones are the room."""
    scene = make_room(4, FurnitureLibrary.load().split("val"))
    thin = scene.sample_surface(20_000, rng)[0] + rng.normal(0, 0.02, (20_000, 3))
    ball = rng.normal(size=(30_000, 3))
    return np.concatenate([thin, 0.3 * ball / np.linalg.norm(ball, axis=1, keepdims=True) + thin.mean(axis=0)])


def test_what_is_thin_and_on_no_plane_but_somewhere_stays() -> None:
    rng = np.random.default_rng(9)
    house = room(1500, rng)
    scans = [np.concatenate([house, trees(rng)]), noisy_hall(rng), dense_thing_in_a_noisy_room(rng)]
    for scan in [*scans, park(rng), furnished_room_around_a_dense_thing(rng)]:
        assert len(without_outliers(PointCloud(scan))[1]) == 0


def test_what_is_crowded_in_what_fills_the_air_is_a_thing() -> None:
    rng = np.random.default_rng(10)
    side = np.array([60.0, 60.0, 60.0])
    walls = rng.uniform(0, side, (60_000, 3))
    sides = rng.integers(6, size=len(walls))
    walls[np.arange(len(walls)), sides // 2] = (sides % 2) * 60.0
    drops, thing = rng.uniform(2, 58, (6000, 3)), rng.uniform(30, 31, (3000, 3))
    even = spread_evenly(np.concatenate([drops, thing]), walls)
    assert even[: len(drops)].mean() > 0.98 and not even[len(drops) :].any()


@pytest.mark.parametrize("times", [2, 3, 5])
def test_points_that_are_repeated_count_once(times: int) -> None:
    rng = np.random.default_rng(11)
    points = np.concatenate([room(1000, rng), strewn(10_000, rng)])
    once = without_outliers(PointCloud(points))[1]
    repeated = without_outliers(PointCloud(np.repeat(points, times, axis=0)))[1]
    assert len(once) > 9000
    found = np.unique(repeated.points, axis=0)
    assert len(repeated) == times * len(found) and abs(len(found) - len(once)) < 0.02 * len(once)


@pytest.mark.parametrize(("scale", "shift"), [(0.001, (0, 0, 0)), (0.3048, (0, 0, 0)), (1.0, (5e5, 5.4e6, 300.0))])
def test_units_and_origin_change_little(scale: float, shift: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(4)
    points = np.concatenate([room(800, rng), strewn(10_000, rng)])
    expected = len(without_outliers(PointCloud(points))[1])
    assert expected > 9000
    found = len(without_outliers(PointCloud(points / scale + shift), scale)[1])
    assert abs(found - expected) < 0.02 * expected


def test_parts_change_nothing_nor_do_fewer_cells_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    points = np.concatenate([room(1000, rng), strewn(15_000, rng)])
    points = points[rng.permutation(len(points))]
    low, high = points.min(axis=0), points.max(axis=0)

    def found(part: int) -> np.ndarray:
        return find_outliers(lambda: np.array_split(points, range(part, len(points), part)), low, high, 1.0)

    expected = found(len(points))
    assert are_at(points, expected).sum() > 13_000
    monkeypatch.setattr(outliers, "_PENDING_CELLS", 1000)
    monkeypatch.setattr(outliers, "_PART", 777)
    assert np.array_equal(found(7919), expected)
    monkeypatch.setattr(outliers, "_MOST_CELLS", 40_000)  # then cells are larger, in whatever parts
    assert np.array_equal(found(7919), found(len(points)))
    assert not np.array_equal(found(7919), expected) and are_at(points, found(7919)).sum() > 10_000


def test_nothing_is_told_of_few_points_one_place_huge_extents_or_a_scatter_alone() -> None:
    rng = np.random.default_rng(6)
    apart = np.concatenate([room(300, rng), [[1e7, 0, 0]]])  # too many cells along an axis
    for points in (
        np.zeros((0, 3)),
        np.zeros((100, 3)),
        rng.uniform(0, 1, (10, 3)),
        apart,
        rng.uniform(0, 9, (5000, 3)),
    ):
        cloud = PointCloud(points)
        kept, taken = without_outliers(cloud)
        assert kept is cloud and len(taken) == 0


@pytest.mark.parametrize(
    "name", ["two_storey_hall.laz", "lidar_room.pcd", "stair_hall_scan.npz", "apartment_pair.npz", "roma_court_2cm.laz"]
)
def test_real_scans_lose_nothing_but_leaves(shared_data: Path, name: str) -> None:
    cloud, _ = clean_points(read_points(shared_data / "real" / name))
    lost = len(without_outliers(cloud)[1])
    assert lost <= (0.001 * len(cloud) if name == "roma_court_2cm.laz" else 0)  # leaves that were hardly seen
    rng = np.random.default_rng(0)
    for share in (0.2, 0.05):  # leaves and eaves of the court had gone by chance
        thinned = cloud.select(rng.random(len(cloud)) < share)
        assert without_outliers(thinned)[0] is thinned


def test_a_real_scan_in_the_rain_loses_the_rain(shared_data: Path) -> None:
    rng = np.random.default_rng(7)
    cloud, _ = clean_points(read_points(shared_data / "real" / "two_storey_hall.laz"))
    ends = cloud.points[rng.integers(len(cloud), size=len(cloud) // 5)]
    start = np.median(cloud.points, axis=0)
    drops = start + (ends - start) * rng.uniform(0.2, 0.95, (len(ends), 1))
    kept = without_outliers(PointCloud(np.concatenate([cloud.points, drops])))[0]
    gone = ~np.isin(drops[:, 0], kept.points[:, 0])
    assert gone.mean() > 0.6  # others are beside surfaces, or dense where all rays begin
    assert len(kept) - (~gone).sum() > 0.98 * len(cloud)
