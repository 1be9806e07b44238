"""Scans that a careless export, a broken scanner or ill will makes: refused in a sentence, or read and cleaned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_convonet.clouds.cleaning import Dropped, clean_points, describe
from sparse_convonet.coordinates import AXIS_LIMIT, BATCH_LIMIT, VoxelFrame, pack_keys, unpack_keys
from sparse_convonet.io.points import read_points
from sparse_convonet.structures import PointCloud

HEADER = "ply\nformat {} 1.0\n{}element vertex {}\nproperty float x\nproperty float y\nproperty float z\n{}end_header\n"


def scan(rng: np.random.Generator, count: int = 400) -> np.ndarray:
    """The floor and a wall of a room, to a tenth of a millimetre."""
    points = rng.uniform(0, 4, (count, 3)).round(4)
    points[: count // 2, 2] = 0
    points[count // 2 :, 0] = 0
    return points


def cleaned(points: np.ndarray, folder: Path) -> tuple[PointCloud, Dropped]:
    np.save(folder / "scan.npy", points)
    cloud, dropped = clean_points(read_points(folder / "scan.npy"))
    assert np.isfinite(cloud.points).all() and len(cloud) + dropped.total() == len(points)
    summary = describe(cloud)
    assert np.isfinite(summary.extent).all() and np.isfinite(summary.spacing)
    return cloud, dropped


@pytest.mark.parametrize("distance", [10_000.0, 1e9, 1e17, 1e19, 1e300, -1.7e308])
def test_a_few_outliers_go_however_far_away_they_are(tmp_path: Path, rng: np.random.Generator, distance: float) -> None:
    points = scan(rng)
    hostile = np.concatenate([points, [[distance, 0, 0], [0, distance, 1], [1, 2, distance]]])
    cloud, dropped = cleaned(hostile, tmp_path)
    assert np.array_equal(cloud.points, points) and dropped == Dropped(0, 0, 3, 0)


@pytest.mark.parametrize("centre", [1e9, -1e9, 1e12])
def test_coordinates_of_a_thousand_million_metres_stay_as_exact_as_doubles_are(
    tmp_path: Path, rng: np.random.Generator, centre: float
) -> None:
    points = scan(rng) + centre
    cloud, dropped = cleaned(points, tmp_path)
    assert dropped.far == 0 and np.isin(cloud.points, points).all()


def test_repeated_points_stay_once(tmp_path: Path, rng: np.random.Generator) -> None:
    points = scan(rng)
    cloud, dropped = cleaned(np.concatenate([points, points, points[:7]]), tmp_path)
    assert np.array_equal(cloud.points, points) and dropped.duplicates == len(points) + 7


def test_nan_and_infinity_in_any_place_cost_their_points_only(tmp_path: Path, rng: np.random.Generator) -> None:
    points = scan(rng)
    hostile = points.copy()
    for row, (column, value) in enumerate([(0, np.nan), (1, np.inf), (2, -np.inf), (0, -np.nan)]):
        hostile[row * 50, column] = value
    cloud, dropped = cleaned(hostile, tmp_path)
    assert dropped.not_finite == 4
    assert np.array_equal(cloud.points, np.delete(points, [0, 50, 100, 150], axis=0))


def test_nothing_but_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected at least 50 usable points, found 0 of 100"):
        cleaned(np.full((100, 3), np.nan), tmp_path)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 2)], ids=["plane", "line", "other line"])
def test_lines_and_planes_without_extent_in_an_axis_are_described(
    tmp_path: Path, rng: np.random.Generator, axes: tuple[int, ...]
) -> None:
    points = rng.uniform(0, 4, (300, 3))
    points[:, axes] = 1.25
    cloud, dropped = cleaned(points, tmp_path)
    assert dropped.total() == 0 and np.all(np.ptp(cloud.points, axis=0)[list(axes)] == 0)


def test_a_million_points_in_one_voxel_are_read(tmp_path: Path, rng: np.random.Generator) -> None:
    points = rng.uniform(0, 0.01, (1_000_000, 3)).astype(np.float32)
    cloud, dropped = cleaned(points, tmp_path)
    assert len(cloud) == len(points) - dropped.duplicates and dropped.far == 0


def test_a_million_times_one_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="points that differ"):
        cleaned(np.ones((1_000_000, 3), dtype=np.float32), tmp_path)


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "scan.ply"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("format", "comment \xff\x80 anything\nobj_info 7\nformat"),
        lambda text: text.replace("end_header", "property float unknown\nend_header").replace(" 3\n", " 3 1e30\n"),
        lambda text: text.replace("end_header", "property list uchar int tags\nend_header").replace(
            " 3\n", " 3 2 8 9\n"
        ),
        lambda text: text.replace("end_header", "element odd 1\nproperty int x\nend_header") + "7\n",
    ],
    ids=["crlf", "comments", "unknown property", "list on vertices", "unknown element"],
)
def test_what_the_format_allows_changes_no_point(tmp_path: Path, change: Callable[[str], str]) -> None:
    text = HEADER.format("ascii", "", 2, "") + "1 2 3\n-1 -2 3\n"
    assert read_points(written(tmp_path, change(text))).points.tolist() == [[1, 2, 3], [-1, -2, 3]]


@pytest.mark.parametrize("order", ["little", "big"])
def test_either_byte_order_gives_the_same_points(tmp_path: Path, rng: np.random.Generator, order: str) -> None:
    points = scan(rng).astype(np.float32)
    body = points.astype("<f4" if order == "little" else ">f4").tobytes()
    path = written(tmp_path, HEADER.format(f"binary_{order}_endian", "", len(points), "").encode() + body)
    assert np.array_equal(read_points(path).points, points)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        ("0", "expected at least one point, found none"),
        ("-1", "found the negative count"),
        ("3", "expected 3 rows of element 'vertex', found only 2: the file is truncated"),
        ("99999999999999999999", "found only 2: the file is truncated"),
        ("1e999", "PLY file header, found the line"),
        ("nan", "PLY file header, found the line"),
    ],
)
@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_counts_that_are_wrong_are_refused(tmp_path: Path, encoding: str, count: str, message: str) -> None:
    body = b"1 2 3\n4 5 6\n" if encoding == "ascii" else np.arange(6, dtype="<f4").tobytes()
    path = written(tmp_path, HEADER.format(encoding, "", count, "").encode() + body)
    with pytest.raises(ValueError, match=message):
        read_points(path)


def test_colours_out_of_their_range_are_refused_and_not_wrapped(tmp_path: Path) -> None:
    colours = "property uchar red\nproperty uchar green\nproperty uchar blue\n"
    for value in ("256", "-1", "1e30"):
        path = written(tmp_path, HEADER.format("ascii", "", 1, colours) + f"1 2 3 0 {value} 0\n")
        with pytest.raises(ValueError, match="expected 'green' of 0 to 255, found"):
            read_points(path)


@pytest.mark.parametrize("value", [AXIS_LIMIT, -AXIS_LIMIT - 1, 1 << 31, 1 << 40, -(1 << 62)])
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_voxels_out_of_range_are_an_error_and_not_another_voxel(axis: int, value: int) -> None:
    coordinates = torch.zeros((2, 4), dtype=torch.int64)
    coordinates[1, axis] = value
    with pytest.raises(ValueError, match=rf"found .*{abs(value)}.*; use larger voxels or remove far outliers"):
        pack_keys(coordinates)


@pytest.mark.parametrize("batch", [-1, BATCH_LIMIT, 1 << 40])
def test_batches_out_of_range_are_an_error(batch: int) -> None:
    with pytest.raises(ValueError, match="batch index: expected 0 to 63"):
        pack_keys(torch.tensor([[batch, 0, 0, 0]]))


def test_the_outermost_voxels_have_keys_of_their_own() -> None:
    edges = torch.tensor([-AXIS_LIMIT, -1, 0, AXIS_LIMIT - 1])
    coordinates = torch.cartesian_prod(torch.tensor([0, BATCH_LIMIT - 1]), edges, edges, edges)
    keys = pack_keys(coordinates)
    assert torch.equal(unpack_keys(keys), coordinates) and len(keys.unique()) == len(keys)
    assert torch.equal(keys, keys.sort().values)  # by batch, then x, y, z


def test_points_a_thousand_million_metres_apart_have_no_voxel_keys() -> None:
    voxels = VoxelFrame(np.zeros(3), 0.05).to_voxels(np.array([[0.0, 0, 0], [1e9, 0, 0]]))
    coordinates = torch.from_numpy(np.concatenate([np.zeros((2, 1)), np.floor(voxels)], axis=1)).to(torch.int64)
    with pytest.raises(ValueError, match="use larger voxels"):
        pack_keys(coordinates)
