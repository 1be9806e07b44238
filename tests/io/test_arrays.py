"""Clouds as numpy arrays: .npz and .npy, never pickles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud

FAR = np.array([[500000.1250001, -0.1, 3.0], [500000.25, np.nan, -4.0]])


@pytest.mark.parametrize("key", ["points", "xyz"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_points_of_either_name_come_back_exactly(tmp_path: Path, key: str, save) -> None:
    save(tmp_path / "a.npz", **{key: FAR, "colors": [[0.0, 0.5, 1.0], [1, 1, 1]], "normals": [[0, 0, 2.0], [1, 0, 0]]})
    cloud = read_points(tmp_path / "a.npz")
    assert np.array_equal(cloud.points, FAR, equal_nan=True)
    assert cloud.colours is not None and cloud.colours.tolist() == [[0, 128, 255], [255, 255, 255]]
    assert cloud.normals is not None and cloud.normals.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_what_is_written_is_read_back_exactly(tmp_path: Path) -> None:
    colours = np.array([[0, 128, 255], [1, 1, 1]], dtype=np.uint8)
    write_points(tmp_path / "a.npz", PointCloud(FAR, colours))
    cloud = read_points(tmp_path / "a.npz")
    assert np.array_equal(cloud.points, FAR, equal_nan=True)
    assert cloud.colours is not None and np.array_equal(cloud.colours, colours) and cloud.normals is None


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2", "<i4"])
def test_arrays_of_any_number_type_are_read(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3).astype(dtype))
    cloud = read_points(tmp_path / "a.npy")
    assert cloud.points.tolist() == [[0, 1, 2], [3, 4, 5]] and cloud.points.dtype == np.float64


def test_six_columns_are_points_and_colours(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.5, 1, 2, 255, 0, 7]]))
    cloud = read_points(tmp_path / "a.npy")
    assert cloud.points.tolist() == [[0.5, 1, 2]]
    assert cloud.colours is not None and cloud.colours.tolist() == [[255, 0, 7]]


class _Harmful:
    """A pickle that would run code when loaded."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("harm_was_done"),))


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_pickles_are_refused_and_not_run(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    harmful = np.array([[_Harmful()] * 3], dtype=object)
    if name == "a.npz":
        np.savez(tmp_path / name, points=harmful)
    else:
        np.save(tmp_path / name, harmful, allow_pickle=True)
    with pytest.raises(ValueError, match="found pickled objects or garbage, which are not loaded"):
        read_points(tmp_path / name)
    assert not Path("harm_was_done").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vertices": FAR}, "expected an array 'points' or 'xyz', found vertices"),
        ({"points": FAR[:, :2]}, r"of shape \(N, 3\) or more columns, found shape \(2, 2\) of float64"),
        ({"points": np.array([["a", "b", "c"]])}, "expected an array of numbers"),
        ({"points": np.zeros((0, 3))}, "at least one point, found none"),
        ({"points": FAR, "normals": np.ones((1, 3))}, r"normals of shape \(2, 3\), one per point, found \(1, 3\)"),
    ],
)
def test_wrong_arrays_are_refused_with_the_cause(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_points(tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_truncated_and_garbage_files_are_refused(tmp_path: Path, name: str, rng: np.random.Generator) -> None:
    path = tmp_path / name
    points = rng.random((100, 3))
    (np.save if name == "a.npy" else np.savez)(path, points)
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:20], b"garbage" * 9):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or truncated|garbage"):
            read_points(path)


def test_a_file_with_the_other_suffix_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FAR)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="rename it to .npy"):
        read_points(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", points=FAR)
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(ValueError, match="rename it to .npz"):
        read_points(tmp_path / "b.npy")


@pytest.mark.parametrize("name", ["scanners", "sensor_position"])
def test_scanners_come_back_one_for_each_point_or_one_for_all(
    tmp_path: Path, rng: np.random.Generator, name: str
) -> None:
    points, places = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    for given in (places, places[0]):
        np.savez(tmp_path / "a.npz", **{"points": points, name: given})  # type: ignore[arg-type]
        scanners = read_points(tmp_path / "a.npz").scanners
        assert scanners is not None and np.array_equal(scanners, np.broadcast_to(given, (20, 3)))
    for wrong in (places[:19], places[:, :2], np.zeros((20, 3), dtype=bool), np.array("here")):
        np.savez(tmp_path / "a.npz", **{"points": points, name: wrong})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"a\.npz: expected scanners of shape \(20, 3\), one per point, or \(3,\)"):
            read_points(tmp_path / "a.npz")


def test_scanners_that_were_written_come_back(tmp_path: Path, rng: np.random.Generator) -> None:
    cloud = PointCloud(rng.normal(size=(20, 3)), scanners=rng.normal(size=(20, 3)))
    write_points(tmp_path / "a.npz", cloud)
    scanners = read_points(tmp_path / "a.npz").scanners
    assert scanners is not None and np.array_equal(scanners, cloud.scanners)  # type: ignore[arg-type]
