"""Where a moving scanner was: tables of times and places, and the points of LAS files matched with them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.io.trajectory import Trajectory, read_trajectory
from sparse_convonet.structures import PointCloud

TIMES = np.array([10.0, 11.0, 12.0])
PLACES = np.array([[0.0, 0, 1], [2, 0, 1], [2, 4, 1]])


def written(folder: Path, text: str) -> Path:
    path = folder / "way.txt"
    path.write_text(text, encoding="utf-8")
    return path


def timed_las(path: Path, points: np.ndarray, times: np.ndarray) -> Path:
    laspy = pytest.importorskip("laspy")
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales, header.offsets = np.full(3, 1e-4), np.zeros(3)
    records = laspy.LasData(header)
    records.x, records.y, records.z = points.T
    records.gps_time = times
    records.write(path)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "10 0 0 1\n11 2 0 1\n12 2 4 1\n",
        "12,2,4,1\n10,0,0,1\n11,2,0,1\n",  # in any order
        "%time x y z qx qy qz qw\n10 0 0 1 0 0 0 1\n11 2 0 1 0 0 0 1\n12 2 4 1 0 0 0 1\n",
        "frame;name;X_m;Y_m;Z_m;GPS Time\n1;a;0;0;1;10\n2;b;2;0;1;11\n3;c;2;4;1;12\n",
        "# a walk\n# time x y z\n10\t0\t0\t1\n11\t2\t0\t1\n12\t2\t4\t1\n",
        "%time,field.header.seq,field.pose.position.x,field.pose.position.y,field.pose.position.z\n"
        "10,7,0,0,1\n11,8,2,0,1\n12,9,2,4,1\n",
        "#timestamp tx ty tz\n10 0 0 1\n11 2 0 1\n12 2 4 1\n",
        "sec,nanosec,x,y,z\n9,1000000000,0,0,1\n11,0,2,0,1\n11,1000000000,2,4,1\n",
    ],
    ids=["plain", "commas", "named", "words", "comment", "rosbag", "tum", "ros"],
)
def test_tables_are_read_by_their_names_or_as_t_x_y_z(text: str, tmp_path: Path) -> None:
    found = read_trajectory(written(tmp_path, text))
    assert np.array_equal(found.times, TIMES) and np.array_equal(found.places, PLACES)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 2 3\n4 5 6\n", "found 3 columns in line 1, '1 2 3'"),
        ("x y z w\n0 0 1 5\n", "found columns x, y, z, w"),
        ("%time,seq,lat,lon\n10,1,0,0\n", "found columns %time, seq, lat, lon"),
        ("time,x,y,z\n2026-01-01T10:00:00,0,0,1\n", "found columns time, x, y, z"),
        ("10 0 0 1\n11 2 zero 1\n", "found 'zero' in line 2"),
        ("10 0 0 1\n11 2 1\n12 0 0 1\n", "found 3 columns in line 2, '11 2 1'"),
        ("10 0 0 1\n11 2 nan 1\n", "found NaN or infinite numbers in row 2"),
        ("time x y z\n", "found no line of numbers"),
        ("", "found an empty file"),
        ("1\x000\x00 0 0 1", "found binary data, or text in UTF-16"),
        ("some words of no meaning, and\nmore of them here\n", "found 'more'"),
    ],
)
def test_other_text_is_refused_in_one_sentence(text: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=rf"way.txt: expected a trajectory, text in UTF-8 .*, {re.escape(found)}; export"
    ):
        read_trajectory(written(tmp_path, text))


def test_places_lie_on_the_way_and_are_unknown_where_the_scanner_was_lost() -> None:
    way = Trajectory(
        Path("way.txt"), np.array([0.0, 2.0, 20.0, 40.0]), np.array([[0.0, 0, 0], [2, 0, 0], [2, 6, 0], [2, 6, 0.1]])
    )
    found = way.places_at(np.array([1.0, 2.0, 10.0, 30.0, -0.5, -2.0, 40.9, 42.0, np.nan]))
    assert np.allclose(found[[0, 1, 3]], np.array([[1, 0, 0], [2, 0, 0], [2, 6, 0.05]]))  # it stood from 20 to 40
    assert np.allclose(found[[4, 6]], np.array([[0, 0, 0], [2, 6, 0.1]]))
    assert np.isnan(found[[2, 5, 7, 8]]).all()


def test_points_of_las_get_the_place_at_their_time_whole_and_in_chunks(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    points, times = rng.uniform(0, 5, (1000, 3)).round(4), rng.uniform(9.5, 13.5, 1000)
    path, way = timed_las(tmp_path / "a.las", points, times), Trajectory(tmp_path / "way.txt", TIMES, PLACES)
    cloud = read_points(path, trajectory=way)
    assert cloud.scanners is not None and np.array_equal(cloud.scanners, way.places_at(times), equal_nan=True)
    known = np.isfinite(cloud.scanners[:, 0])
    assert np.array_equal(known, times <= 13.0) and 0 < known.sum() < 1000
    parts = list(read_chunks(path, chunk_points=77, trajectory=way))
    joined = np.concatenate([part.scanners for part in parts if part.scanners is not None])
    assert len(parts) > 5 and np.array_equal(joined, cloud.scanners, equal_nan=True)
    assert read_points(path).scanners is None


def test_points_without_times_and_times_of_another_clock_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    points, way = rng.uniform(0, 5, (100, 3)), Trajectory(tmp_path / "way.txt", TIMES, PLACES)
    write_points(tmp_path / "a.npz", PointCloud(points))
    with pytest.raises(ValueError, match="expected points with the time of each, found none; give LAS or LAZ"):
        read_points(tmp_path / "a.npz", trajectory=way)
    path = timed_las(tmp_path / "b.las", points, np.linspace(400_000, 400_100, 100))
    with pytest.raises(
        ValueError, match=r"expected times within 10\.000 to 12\.000 s.*found 400000\.000 to 400100\.000"
    ):
        read_points(path, trajectory=way)
