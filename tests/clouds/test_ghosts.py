"""Ghosts: what rays from elsewhere passed through goes, and nothing else, in one piece and in any parts."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.clouds.ghosts import CloudParts, find_ghosts, without_ghosts
from sparse_convonet.structures import PointCloud
from tests.walked_room import WALKED, walked_room


@pytest.fixture(scope="module")
def two_scans() -> tuple[PointCloud, np.ndarray]:
    return walked_room(200_000)


def test_a_walker_goes_but_for_the_feet_and_all_else_stays_the_thin_post_too(two_scans) -> None:
    cloud, of_walker = two_scans
    kept, ghosts = without_ghosts(cloud)
    assert len(kept) + len(ghosts) == len(cloud)
    gone = ~np.isin(cloud.points[:, 0], kept.points[:, 0])
    assert not (gone & ~of_walker).any()
    above_feet = of_walker & (cloud.points[:, 2] > 0.2)
    assert above_feet.sum() > 800 and gone[above_feet].mean() > 0.95
    post = np.linalg.norm(cloud.points[:, :2] - [1.0, -1.0], axis=1) < 0.1
    assert (post & (cloud.points[:, 2] > 0.1)).sum() > 100  # it was there to be mistaken


def test_one_viewpoint_or_unknown_ones_tell_of_no_ghost(two_scans) -> None:
    cloud, _ = two_scans
    alone = cloud.select(np.arange(len(cloud) // 2))
    assert without_ghosts(alone)[0] is alone
    blind = PointCloud(cloud.points)
    assert without_ghosts(blind)[0] is blind and len(without_ghosts(blind)[1]) == 0
    assert cloud.scanners is not None
    half = np.where(cloud.scanners[:, :1] < 0, cloud.scanners, np.nan)  # the second station is not known
    kept, ghosts = without_ghosts(PointCloud(cloud.points, scanners=half))
    walker = np.abs(ghosts.points[:, :2] - WALKED[1]) < 0.3
    assert len(ghosts) > 100 and walker.all()  # it is still seen through from the first


@pytest.mark.parametrize(("scale", "shift"), [(0.001, (0, 0, 0)), (1.0, (500_000.0, 5_400_000.0, 300.0))])
def test_units_and_origin_change_nothing(two_scans, scale: float, shift: tuple[float, float, float]) -> None:
    cloud, _ = two_scans
    assert cloud.scanners is not None
    moved = PointCloud(cloud.points / scale + shift, scanners=cloud.scanners / scale + shift)
    expected, found = without_ghosts(cloud)[1], without_ghosts(moved, scale)[1]
    assert abs(len(found) - len(expected)) < 0.02 * len(expected)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 0, 1), (0.6, 0.6, 0.5)], ids=["x", "z", "aslant"])
def test_scans_that_miss_each_other_by_4_cm_lose_nothing_but_the_walker(
    two_scans, direction: tuple[float, float, float]
) -> None:
    cloud, of_walker = two_scans
    assert cloud.scanners is not None
    missed_by = 0.04 * np.array(direction) / np.linalg.norm(direction)
    shift = np.where(cloud.scanners[:, :1] > 0, missed_by, 0.0)
    points = cloud.points + shift
    kept, _ = without_ghosts(PointCloud(points, scanners=cloud.scanners + shift))
    gone = ~np.isin(points[:, 0], kept.points[:, 0])
    assert not (gone & ~of_walker).any() and gone[of_walker & (cloud.points[:, 2] > 0.2)].mean() > 0.95


def test_parts_and_order_change_nothing(two_scans, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, _ = two_scans
    low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
    whole = find_ghosts(CloudParts(cloud), low, high, 1.0)
    shuffled = cloud.select(np.random.default_rng(1).permutation(len(cloud)))
    monkeypatch.setattr("sparse_convonet.clouds.ghosts._PART_POINTS", 70_001)
    assert CloudParts(shuffled).parts == 6
    assert np.array_equal(find_ghosts(CloudParts(shuffled), low, high, 1.0).keys, whole.keys)
    assert len(whole.keys) > 50


def test_a_long_walk_of_the_scanner_becomes_a_bounded_number_of_viewpoints(
    two_scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud, of_walker = two_scans
    assert cloud.scanners is not None
    steps = np.random.default_rng(2).uniform(-0.4, 0.4, (len(cloud), 3))  # rays that are a little wrong, as of a walk
    walked = PointCloud(cloud.points, scanners=cloud.scanners + steps)
    monkeypatch.setattr("sparse_convonet.clouds.ghosts._MOST_VIEWPOINTS", 3)
    monkeypatch.setattr("sparse_convonet.clouds.ghosts._VIEWPOINT_M", 0.25)
    kept, ghosts = without_ghosts(walked)
    gone = ~np.isin(cloud.points[:, 0], kept.points[:, 0])
    assert gone[of_walker].mean() > 0.8 and (gone & ~of_walker).sum() < 20


def test_a_scan_larger_than_cells_can_be_counted_keeps_all() -> None:
    points = np.array([[0.0, 0, 0], [30_000.0, 0, 0], [1, 1, 1]])
    cloud = PointCloud(points, scanners=points + 1)
    assert without_ghosts(cloud)[0] is cloud
