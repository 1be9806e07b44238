"""Cleaning a spool drops the points that cleaning the cloud drops, with the same counts and errors."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_convonet.clouds import even_spread
from sparse_convonet.clouds.cleaning import Dropped, Sought, clean_points
from sparse_convonet.clouds.ghosts import without_ghosts
from sparse_convonet.clouds.outliers import without_outliers
from sparse_convonet.clouds.summary import describe
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core.points.build_store import build_store
from sparse_convonet.out_of_core.points.clean_spool import CleanSpool, clean_spool
from sparse_convonet.out_of_core.points.describe_store import describe_store
from sparse_convonet.out_of_core.points.spool import spool_points
from sparse_convonet.out_of_core.points.stored_cells import StoredCells
from sparse_convonet.structures import PointCloud
from tests.walked_room import walked_room


def spool_and_clean(points: np.ndarray, folder: Path, chunk_points: int) -> CleanSpool:
    write_points(folder / "a.npz", PointCloud(points))
    spool = spool_points([folder / "a.npz"], folder / "spool", chunk_points=chunk_points)
    return clean_spool(spool, chunk_points=chunk_points)


def require_same(points: np.ndarray, chunk_points: int, cell_points: int = 20) -> Dropped | None:
    """Both ways of cleaning and describing agree, or refuse in the same sentence; what was dropped."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            expected, dropped = clean_points(PointCloud(points))
        except ValueError as error:
            with pytest.raises(ValueError, match="^" + re.escape(str(error)) + "$"):
                build_store(spool_and_clean(points, folder, chunk_points), folder, {}, chunk_points=chunk_points)
            return None
        clean = spool_and_clean(points, folder, chunk_points)
        found = build_store(
            clean, folder, {}, chunk_points=chunk_points, cell_points=cell_points, part_points=5 * cell_points
        )
        assert found == dropped
        cells = StoredCells.load(folder)
        rows = np.sort(cells.rows(0, int(cells.begins[-1])), order="index")
        assert np.array_equal(rows["point"], expected.points)
        streamed, whole = describe_store(cells, clean), describe(expected)
        assert np.array_equal(streamed.extent, whole.extent)
        assert replace(streamed, extent=whole.extent) == whole
        return dropped


def room(rng: np.random.Generator, count: int) -> np.ndarray:
    points = rng.uniform([0, 0, 0], [6, 4, 3], (count, 3))
    points[: count // 2, 2] = 0
    return points


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_hostile_clouds_are_cleaned_and_described_alike(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    points = room(rng, data.draw(st.integers(1, 400)))
    extremes = st.sampled_from([0.0, -0.0, 1e4, -1e9, 1e18, 1e30, np.nan, np.inf, -np.inf, 1e300, 5e-324, -1e-40])
    for _ in range(data.draw(st.integers(0, 4))):
        value = data.draw(extremes)
        rows = rng.random(len(points)) < data.draw(st.sampled_from([0.01, 0.1, 0.5, 1.0]))
        way = data.draw(st.integers(0, 4))
        with np.errstate(all="ignore"):
            if way == 0:
                points[rows] = value
            elif way == 1:
                points[rows, data.draw(st.integers(0, 2))] = value
            elif way == 2:
                points[rows] = points[0]
            elif way == 3:
                points[rows] += value
            else:
                points = np.concatenate([points, points[rows]])
    with np.errstate(all="ignore"):
        require_same(points, data.draw(st.sampled_from([1, 7, 50, 10_000])))


@pytest.mark.parametrize("chunk_points", [97, 10_000])
def test_every_reason_is_counted_alike(rng: np.random.Generator, chunk_points: int) -> None:
    points = room(rng, 3000)
    points[rng.choice(3000, 20, replace=False), 1] = np.nan
    far = np.array([10_000.0, 0, 0]) + rng.random((5, 3))
    wing = np.array([40.0, 0, 0]) + rng.random((200, 3))  # small, but of more than a hundredth of the points
    points = np.concatenate([points, far, np.zeros((150, 3)), wing, points[:300], [[1e20, 0, 0]]])
    dropped = require_same(rng.permutation(points), chunk_points)
    assert dropped is not None and dropped.no_return == 150 and dropped.far == 6
    assert dropped.not_finite > 20 and dropped.duplicates > 290


def test_samples_of_large_clouds_are_the_same(rng: np.random.Generator) -> None:
    points = np.round(room(rng, 230_001), 2)  # more than are looked at for the up axis, and many repeat
    points[5] = 30_000.0
    dropped = require_same(points, 50_000, 5000)
    assert dropped is not None and dropped.far == 1 and dropped.duplicates > 10_000


@pytest.mark.parametrize(
    "points",
    [
        np.full((60, 3), np.nan),
        np.full((60, 3), 7.0),
        np.full((60, 3), 1e30),
        np.repeat(np.arange(90.0).reshape(30, 3), 5, axis=0),
        np.concatenate([np.full((150, 3), 1.0), np.arange(120.0).reshape(40, 3)]),
    ],
    ids=["not finite", "one place", "too large", "repeated", "few beside no return"],
)
def test_clouds_without_surface_are_refused_in_the_same_sentence(points: np.ndarray) -> None:
    assert require_same(points, 50) is None


def test_rows_are_those_of_the_spool(tmp_path: Path, rng: np.random.Generator) -> None:
    points = room(rng, 500)
    points[::7] = np.nan
    clean = spool_and_clean(points, tmp_path, 30)
    index = np.concatenate([index for index, _ in clean.chunks(41)])
    assert np.array_equal(index, np.flatnonzero(np.arange(500) % 7))
    assert np.array_equal(np.concatenate([part for _, part in clean.chunks(41)]), points[index])
    assert clean.count == len(index) and np.array_equal(clean.low, points[index].min(axis=0))


@pytest.mark.parametrize("chunk_points", [7919, 1 << 19])
def test_ghosts_are_found_in_any_parts_and_repeats_do_not_count(tmp_path: Path, chunk_points: int) -> None:
    cloud, _ = walked_room(60_000)
    again = cloud.select(
        np.concatenate([np.arange(len(cloud)), np.arange(0, len(cloud), 7)])
    )  # scanned twice, it seems
    write_points(tmp_path / "a.npz", again)
    taken: list[PointCloud] = []

    def take_ghosts(points: PointCloud) -> PointCloud:
        kept, ghosts = without_ghosts(points)
        taken.append(ghosts)
        return kept

    expected, dropped = clean_points(again, take_ghosts)
    spool = spool_points([tmp_path / "a.npz"], tmp_path / "spool", chunk_points=chunk_points)
    clean = clean_spool(spool, chunk_points=chunk_points, sought=Sought(ghosts=True))
    assert build_store(clean, tmp_path, {}) == dropped and dropped.ghosts > 300 and dropped.duplicates > 10_000
    cells = StoredCells.load(tmp_path)
    rows = np.sort(cells.rows(0, int(cells.begins[-1])), order="index")
    assert np.array_equal(rows["point"], expected.points)
    assert np.array_equal(np.concatenate([part.points for part in clean.removed_parts()]), taken[0].points)


@pytest.mark.parametrize("chunk_points", [7919, 1 << 19])
def test_outliers_go_after_the_ghosts_in_any_parts(
    tmp_path: Path, chunk_points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(even_spread, "_BESIDE", 0.7)  # there are none in the walked room: they would be ghosts
    cloud, _ = walked_room(60_000)
    assert cloud.scanners is not None
    rng = np.random.default_rng(0)
    low, high = np.array([5.0, -6.0, 0.0]), np.array([17.0, 6.0, 3.0])  # a hall beside, where no ray passed
    walls = rng.uniform(low, high, (150_000, 3))
    sides = rng.integers(6, size=len(walls))
    walls[np.arange(len(walls)), sides // 2] = np.stack([low, high], axis=1).reshape(-1)[sides]
    beside = np.concatenate([walls, rng.uniform(low, high, (24_000, 3))])
    mess = PointCloud(beside, scanners=np.full(beside.shape, np.nan))
    points, scanners = np.concatenate([cloud.points, mess.points]), np.concatenate([cloud.scanners, mess.scanners])
    shuffled = rng.permutation(len(points))
    strewn = PointCloud(points[shuffled], scanners=scanners[shuffled])
    write_points(tmp_path / "a.npz", strewn)
    removed: list[PointCloud] = []

    def taking(without):
        def take(points: PointCloud) -> PointCloud:
            kept, taken = without(points)
            removed.append(taken)
            return kept

        return take

    expected, dropped = clean_points(strewn, taking(without_ghosts), taking(without_outliers))
    spool = spool_points([tmp_path / "a.npz"], tmp_path / "spool", chunk_points=chunk_points)
    clean = clean_spool(spool, chunk_points=chunk_points, sought=Sought(ghosts=True, outliers=True))
    assert build_store(clean, tmp_path, {}) == dropped and dropped.ghosts > 300 and dropped.outliers > 10_000
    cells = StoredCells.load(tmp_path)
    rows = np.sort(cells.rows(0, int(cells.begins[-1])), order="index")
    assert np.array_equal(rows["point"], expected.points)
    found = np.concatenate([part.points for part in clean.removed_parts()])
    assert np.array_equal(found, np.concatenate([each.points for each in removed]))
