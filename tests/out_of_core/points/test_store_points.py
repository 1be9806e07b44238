"""The point store against the clean cloud in memory: what is where, in what order, how many, and what is resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparse_convonet.clouds.cleaning import clean_points, describe
from sparse_convonet.clouds.cloud_places import CloudPlaces
from sparse_convonet.coordinates import VoxelFrame, up_rotation
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.out_of_core.points import store_points as module
from sparse_convonet.out_of_core.points import voxel_counts
from sparse_convonet.out_of_core.points.build_store import build_store
from sparse_convonet.out_of_core.points.clean_spool import clean_spool
from sparse_convonet.out_of_core.points.octree import plan_octree
from sparse_convonet.out_of_core.points.point_store import place_store
from sparse_convonet.out_of_core.points.spool import spool_points
from sparse_convonet.out_of_core.points.store_points import PointStore, store_points
from sparse_convonet.out_of_core.points.voxel_counts import count_voxels, occupied_cells
from sparse_convonet.out_of_core.tiles.plan_tiles import StoreDensity
from sparse_convonet.plan.plan import CloudDensity, choose_voxel_size
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import room_points

EVERY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scan(rng: np.random.Generator, count: int = 3000, coloured: bool = True) -> PointCloud:
    """A room far from the origin, in centimetres' steps, so that some points repeat."""
    points = rng.uniform([0, 0, 0], [8, 5, 3], (count, 3))
    points[: count // 2, 2] = 0
    points = np.round(points, 2) + np.array([1000.0, -2000.0, 50.0])
    colours = rng.integers(0, 256, (count, 3)).astype(np.uint8) if coloured else None
    return PointCloud(
        np.concatenate([points, points[:50]]), None if colours is None else np.resize(colours, (count + 50, 3))
    )


def store_of(
    cloud: PointCloud, folder: Path, up: str = "z", scale: float = 1.0, cell_points: int = 40, part_points: int = 300
) -> PointStore:
    """The store of a cloud, of many small cells and parts."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    write_points(folder / "a.npz", cloud)
    clean = clean_spool(spool_points([folder / "a.npz"], folder / "spool"))
    build_store(clean, folder, {}, chunk_points=701, cell_points=cell_points, part_points=part_points)
    return place_store(folder, up, scale)


def in_world(cloud: PointCloud, up: str, scale: float) -> np.ndarray:
    return (cloud.points * scale) @ up_rotation(up).T


@EVERY
@given(data=st.data())
def test_within_gives_the_points_of_the_box_in_the_order_of_the_scan(tmp_path: Path, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    up, scale = data.draw(st.sampled_from("xyz")), data.draw(st.sampled_from([1.0, 0.001, 0.3]))
    cloud = scan(rng, coloured=data.draw(st.booleans()))
    store = store_of(cloud, tmp_path, up, scale)
    kept, _ = clean_points(cloud)
    world = in_world(kept, up, scale)
    assert store.count == len(kept)
    assert np.array_equal(store.low, world.min(axis=0)) and np.array_equal(store.high, world.max(axis=0))
    for _ in range(10):
        low, high = np.sort(world[rng.integers(0, len(world), 2)], axis=0)  # ends at points: they decide
        if data.draw(st.booleans()):
            high = high + rng.random(3) * scale
        mask = np.all((world >= low) & (world < high), axis=1)
        found = store.within(low, high)
        assert np.array_equal(found.points_world, world[mask])
        assert store.count_within(low, high) >= mask.sum()
        assert (found.colours is None) == (kept.colours is None)
        if found.colours is not None and kept.colours is not None:
            assert found.colours.dtype == np.uint8 and np.array_equal(found.colours, kept.colours[mask])
    everything = store.within(np.full(3, -np.inf), np.full(3, np.inf))
    assert np.array_equal(everything.points_world, world)


def test_parts_hold_each_point_once_and_are_of_bounded_size(tmp_path: Path, rng: np.random.Generator) -> None:
    cloud = scan(rng)
    store = store_of(cloud, tmp_path)
    parts = list(store.parts())
    assert len(parts) > 5 and max(len(part.points_world) for part in parts) <= 300 + 40
    found = np.concatenate([np.hstack([part.points_world, part.colours]) for part in parts])  # type: ignore[list-item]
    kept, _ = clean_points(cloud)
    expected = np.hstack([kept.points, kept.colours])  # type: ignore[list-item]
    assert np.array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


def test_cells_hold_at_most_what_they_should_unless_points_share_a_tiny_place(rng: np.random.Generator) -> None:
    crowd = np.array([0.5, 0.5, 0.5]) + rng.random((500, 3)) * 1e-9
    points = np.concatenate([rng.random((2000, 3)) * [100, 50, 3], crowd])
    low, high = points.min(axis=0), points.max(axis=0)
    tree, counts = plan_octree(lambda: iter(np.array_split(points, 7)), low, high, 30)
    leaves = tree.leaves_of(points)
    assert np.array_equal(np.bincount(leaves, minlength=len(counts)), counts)
    assert counts.sum() == len(points) and (counts > 30).sum() == 1 and counts.max() >= 500
    assert len(counts) < 40 * len(points) / 30  # siblings are merged where they are few


def test_most_points_in_one_voxel_are_stored_and_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    room = rng.random((30_000, 3)) * [6, 4, 3]
    crowd = np.array([3.1, 2.1, 1.1]) + rng.random((70_000, 3)) * 0.01
    store = store_of(PointCloud(np.concatenate([room, crowd])), tmp_path, cell_points=2000, part_points=20_000)
    assert store.count == 100_000 and max(len(part.points_world) for part in store.parts()) <= 22_000
    cells, voxels, points = count_voxels(store, VoxelFrame(np.zeros(3), 0.5), 2)
    assert points.max() >= 70_000 and points.sum() == store.count and voxels.max() <= 8
    assert np.array_equal(cells[points.argmax()], [3, 2, 1])
    found = occupied_cells(store, 0.5)
    assert found.counts.sum() == store.count and found.counts.max() >= 70_000


@EVERY
@given(data=st.data())
def test_voxels_are_counted_as_in_memory(tmp_path: Path, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    store = store_of(scan(rng, coloured=False), tmp_path, data.draw(st.sampled_from("xyz")))
    world = store.within(np.full(3, -np.inf), np.full(3, np.inf)).points_world
    size = data.draw(st.floats(0.05, 3.0))
    stride = data.draw(st.integers(1, 12))
    frame = VoxelFrame.around(world, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voxel_counts, "_BLOCK_POINTS", data.draw(st.sampled_from([300, 1000, 10_000])))
        found = occupied_cells(store, size)
        cells, voxels, points = count_voxels(store, frame, stride)
    in_memory = CloudPlaces(world).occupied(size)
    for one, other in zip(astuple(found), astuple(in_memory), strict=True):
        assert np.array_equal(one, other)
    index = np.floor(frame.snap_to_voxels(world)).astype(np.int64)
    expected, per_cell = np.unique(index // stride, axis=0, return_counts=True)
    assert np.array_equal(cells, expected) and np.array_equal(points, per_cell)
    assert np.array_equal(voxels, np.unique(np.unique(index, axis=0) // stride, axis=0, return_counts=True)[1])


@pytest.mark.parametrize("stride", [2, 4, 6, 16])
def test_the_coarse_cells_of_a_plan_are_those_of_its_stride(
    tmp_path: Path, rng: np.random.Generator, stride: int
) -> None:
    store = store_of(scan(rng), tmp_path)
    density = StoreDensity(store, stride)
    found = density.coarse_cells(0.3)
    expected = count_voxels(store, density.frame(0.3), stride)
    assert found.stride == stride and density.voxels(0.3) == expected[1].sum()
    assert all(map(np.array_equal, (found.cells, found.voxels, found.points), expected))


def test_voxels_too_small_for_their_keys_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    store = store_of(scan(rng), tmp_path)
    with pytest.raises(ValueError, match="voxel coordinates: expected values in .* use larger voxels"):
        occupied_cells(store, 1e-6)


@pytest.mark.parametrize("up", ["z", "x"])
def test_the_same_voxel_size_is_chosen_on_disk_and_in_memory(tmp_path: Path, up: str) -> None:
    cloud = PointCloud(room_points(30_000) * 2)
    store = store_of(cloud, tmp_path, up, 0.5, cell_points=700, part_points=5000)
    clean, _ = clean_points(cloud)
    on_disk = choose_voxel_size(StoreDensity(store, 16))
    in_memory = choose_voxel_size(CloudDensity(in_world(clean, up, 0.5)))
    assert on_disk == in_memory
    assert 0.03 <= on_disk.voxel_size_m <= 0.06


def test_files_become_a_store_with_the_summary_and_counts_of_the_cloud(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    first, second = scan(rng), scan(rng)
    second = PointCloud(second.points + [3.0, 0, 0], second.colours)
    inputs = [tmp_path / "a.ply", tmp_path / "b.las"]
    for path, cloud in zip(inputs, (first, second), strict=True):
        write_points(path, cloud)
    clouds = [read_points(path) for path in inputs]
    joined = PointCloud(
        np.concatenate([cloud.points for cloud in clouds]),
        np.concatenate([cloud.colours for cloud in clouds]),  # type: ignore[misc]
    )
    kept, dropped = clean_points(joined)
    expected = describe(kept)
    stages: list[str] = []
    store, summary, found, read = store_points(
        inputs, tmp_path / "work", progress=lambda stage, share: stages.append(stage)
    )
    assert found == dropped and dropped.duplicates >= 100 and read == len(joined)
    assert str(summary) == str(expected) and np.array_equal(summary.extent, expected.extent)
    assert (summary.spacing, summary.up_confidence) == (expected.spacing, expected.up_confidence)
    assert list(dict.fromkeys(stages)) == ["read points", "clean", "sort points", "describe"]
    everything = store.within(np.full(3, -np.inf), np.full(3, np.inf))
    assert np.array_equal(everything.points_world, in_world(kept, expected.up, 1.0))
    assert np.array_equal(everything.colours, kept.colours)  # type: ignore[arg-type]
    left = {path.name for path in (tmp_path / "work").iterdir()}
    assert left == {
        "points.raw", "cells.npz", "content.json", "summary.json", "world.json", "removed.ply", "sought.json",
    }  # fmt: skip


def test_a_finished_store_is_opened_and_seen_with_another_axis_and_scale(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_points(tmp_path / "a.ply", scan(rng))
    first, *_ = store_points([tmp_path / "a.ply"], tmp_path / "work", up="z")
    for name in ("spool_points", "build_store", "describe_store"):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done again"))
    second, *_ = store_points([tmp_path / "a.ply"], tmp_path / "work", up="x", scale=0.5)
    assert np.array_equal(second.high, np.array([-first.low[2], first.high[1], first.high[0]]) * 0.5)
    reopened = PointStore.open(tmp_path / "work")
    assert np.array_equal(reopened.low, second.low) and reopened.count == first.count
    write_points(tmp_path / "b.ply", scan(rng))
    with pytest.raises(ValueError, match="expected the points of b.ply, found those of other files"):
        store_points([tmp_path / "b.ply"], tmp_path / "work")


@pytest.mark.parametrize("killed_in", ["clean_spool", "build_store", "describe_store", "_save_summary", "place_store"])
def test_what_a_killed_run_has_finished_is_kept(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    write_points(tmp_path / "a.las", scan(rng))
    expected, summary, dropped, _ = store_points([tmp_path / "a.las"], tmp_path / "undisturbed")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    done: list[str] = []

    def noting(name: str) -> Callable:
        run = getattr(module, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            done.append(name)
            return run(*arguments, **named)

        return noted

    with monkeypatch.context() as patch:
        patch.setattr(module, killed_in, stop)
        with pytest.raises(KeyboardInterrupt):
            store_points([tmp_path / "a.las"], tmp_path / "work")
    with monkeypatch.context() as patch:
        for name in ("build_store", "describe_store"):
            patch.setattr(module, name, noting(name))
        store, again, found, _ = store_points([tmp_path / "a.las"], tmp_path / "work")
    assert (found, str(again)) == (dropped, str(summary))
    for part, other in zip(store.parts(), expected.parts(), strict=True):
        assert np.array_equal(part.points_world, other.points_world)
    assert ("build_store" in done) == (killed_in in ("clean_spool", "build_store"))
    assert ("describe_store" in done) == (killed_in != "place_store")


def test_units_are_checked_only_without_a_scale(tmp_path: Path, rng: np.random.Generator) -> None:
    cloud = scan(rng)
    write_points(tmp_path / "a.ply", PointCloud(cloud.points * 1000))
    with pytest.raises(ValueError, match="looks like millimetres; run again with --scale 0.001"):
        store_points([tmp_path / "a.ply"], tmp_path / "work")
    with pytest.raises(FileNotFoundError, match="expected a finished point store, found none"):
        PointStore.open(tmp_path / "work")
    store, *_ = store_points([tmp_path / "a.ply"], tmp_path / "work", scale=0.001)
    assert np.ptp([store.low, store.high], axis=0).max() < 10
    with pytest.raises(ValueError, match="up axis: expected x, y, z, -x, -y, -z, found 'w'"):
        store_points([tmp_path / "a.ply"], tmp_path / "other", up="w")


def test_a_store_that_lost_bytes_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = store_of(scan(rng), tmp_path).cells.folder
    (folder / "points.raw").write_bytes(b"\0" * 35)
    with pytest.raises(ValueError, match="points.raw: expected .* bytes of points, found 35"):
        PointStore.open(folder)


@pytest.mark.parametrize("name", ["two_storey_hall.laz", "lidar_room.pcd"])
def test_real_scans_are_stored_as_they_are_cleaned(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / "real" / name
    if not path.is_file():
        pytest.skip(f"no file {path}")
    store, summary, dropped, read = store_points([path], tmp_path)
    cloud = read_points(path)
    kept, expected = clean_points(cloud)
    assert dropped == expected and read == len(cloud) and str(summary) == str(describe(kept))
    everything = store.within(np.full(3, -np.inf), np.full(3, np.inf))
    assert np.array_equal(everything.points_world, in_world(kept, summary.up, 1.0))
    assert (everything.colours is None) == (kept.colours is None)


@pytest.mark.parametrize("name", ["content.json", "summary.json", "cells.npz"])
@pytest.mark.parametrize("damage", ["empty", "half", "other"])
def test_damaged_work_and_that_of_another_version_is_refused_by_name(
    tmp_path: Path, rng: np.random.Generator, name: str, damage: str
) -> None:
    write_points(tmp_path / "a.npz", PointCloud(rng.normal(size=(200, 3))))
    store_points([tmp_path / "a.npz"], tmp_path / "work", up="z", scale=1.0)
    path = tmp_path / "work" / name
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "other": b"{}"}[damage])
    with pytest.raises(ValueError, match=f"{name}: expected what this version leaves .*; remove the folder .* and run"):
        store_points([tmp_path / "a.npz"], tmp_path / "work", up="z", scale=1.0)
