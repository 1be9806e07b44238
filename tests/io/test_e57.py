"""E57: poses applied, scans merged, invalid points left out, damage refused."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sparse_convonet.io.points import read_points

pye57 = pytest.importorskip("pye57", reason="pye57 is not installed (extra e57)")


def _write(path: Path, scans: list[dict], poses: list[tuple[Rotation, list[float]]]) -> None:
    with pye57.E57(str(path), mode="w") as archive:
        for scan, (rotation, translation) in zip(scans, poses, strict=True):
            x, y, z, w = rotation.as_quat()
            archive.write_scan_raw(scan, rotation=np.array([w, x, y, z]), translation=np.array(translation))


def _scan(points: np.ndarray) -> dict:
    return {f"cartesian{axis}": np.ascontiguousarray(points[:, index]) for index, axis in enumerate("XYZ")}


def _points(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(-1000, 1000, (count, 3)) / 128  # exact in float32, in which pye57 stores them


def test_scans_are_moved_by_their_poses_and_merged(tmp_path: Path, rng: np.random.Generator) -> None:
    first, second = _points(rng, 100), _points(rng, 50)
    poses = [
        (Rotation.from_euler("z", 90, degrees=True), [500_000.125, 5_400_000.5, 100.0]),
        (Rotation.from_euler("xyz", [10, 20, 30], degrees=True), [-3.0, 0.0, 1.5]),
    ]
    _write(tmp_path / "a.e57", [_scan(first), _scan(second)], poses)
    cloud = read_points(tmp_path / "a.e57")
    expected = [rotation.apply(part) + move for part, (rotation, move) in zip((first, second), poses, strict=True)]
    assert cloud.points.dtype == np.float64 and cloud.colours is None
    assert np.abs(cloud.points - np.concatenate(expected)).max() < 1e-8
    # Each scanner stands at the origin of its own frame.
    assert cloud.scanners is not None
    np.testing.assert_array_equal(cloud.scanners, np.repeat([move for _, move in poses], (100, 50), axis=0))


def test_scans_of_which_none_was_moved_have_no_known_scanner(tmp_path: Path, rng: np.random.Generator) -> None:
    scan, still, moved = _scan(_points(rng, 60)), [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]
    _write(tmp_path / "a.e57", [scan, scan], [(Rotation.identity(), still)] * 2)
    assert read_points(tmp_path / "a.e57").scanners is None
    _write(tmp_path / "b.e57", [scan, scan], [(Rotation.identity(), still), (Rotation.identity(), moved)])
    scanners = read_points(tmp_path / "b.e57").scanners  # the first station of a project is often its origin
    assert scanners is not None and np.array_equal(scanners, np.repeat([still, moved], 60, axis=0))


def test_a_pose_that_is_no_rotation_turns_nothing_and_is_told(
    tmp_path: Path, rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    points = _points(rng, 60)
    with pye57.E57(str(tmp_path / "a.e57"), mode="w") as archive:
        archive.write_scan_raw(_scan(points), rotation=np.zeros(4), translation=np.array([1.0, 2.0, 3.0]))
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(read_points(tmp_path / "a.e57").points, points + [1.0, 2.0, 3.0])
    said = [record.message for record in caplog.records]
    assert len(said) == 1 and "a.e57: scan 0 is turned by the quaternion 0 0 0 0, which is no rotation" in said[0]


def test_colours_come_back_and_invalid_points_do_not(tmp_path: Path, rng: np.random.Generator) -> None:
    points, colours = _points(rng, 100), rng.integers(0, 256, (100, 3)).astype(np.uint8)
    invalid = (np.arange(100) % 3 == 0).astype(np.int8)
    scan = _scan(points) | {f"color{name}": colours[:, i].copy() for i, name in enumerate(("Red", "Green", "Blue"))}
    scan["cartesianInvalidState"] = invalid
    _write(tmp_path / "a.e57", [scan], [(Rotation.identity(), [0.0, 0.0, 0.0])])
    cloud = read_points(tmp_path / "a.e57")
    assert np.array_equal(cloud.points, points[invalid == 0])
    assert cloud.colours is not None and np.array_equal(cloud.colours, colours[invalid == 0])


def test_garbage_and_truncated_files_are_refused_and_stay(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "a.e57"
    _write(path, [_scan(_points(rng, 5000))], [(Rotation.identity(), [0.0, 0.0, 0.0])])
    content = path.read_bytes()
    for damaged in (b"garbage" * 200, content[:100], content[: len(content) // 2], content[:1024] + b"\0" * 20_000):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="expected an? .*E57 file") as caught:
            read_points(path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == damaged


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.e57").write_bytes(b"ASTM-E57")
    monkeypatch.setitem(sys.modules, "pye57", None)
    with pytest.raises(ValueError, match=r"the package pye57, .* pip install 'pye57>="):
        read_points(tmp_path / "a.e57")
