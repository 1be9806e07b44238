"""LAS and LAZ by laspy: scale, offset, colours, and damage."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.structures import PointCloud

laspy = pytest.importorskip("laspy", reason="laspy is not installed (extra las)")
pytest.importorskip("lazrs", reason="lazrs is not installed (extra las)")

OFFSET = np.array([500_000.0, 5_400_000.0, 100.0])
SUFFIXES = [".las", ".laz"]


def _write(path: Path, points: np.ndarray, colours: np.ndarray | None, version: str = "1.2", kind: int = 2) -> None:
    header = laspy.LasHeader(version=version, point_format=kind)
    header.scales, header.offsets = np.full(3, 0.001), OFFSET
    records = laspy.LasData(header)
    records.x, records.y, records.z = points.T
    if colours is not None:
        records.red, records.green, records.blue = colours.T
    records.write(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("version", "kind"), [("1.2", 2), ("1.4", 7)])
def test_offsets_of_500_km_survive_to_the_files_resolution(
    tmp_path: Path, rng: np.random.Generator, suffix: str, version: str, kind: int
) -> None:
    points = OFFSET + rng.integers(-20_000, 20_000, (1000, 3)) * 0.001
    path = tmp_path / f"scan{suffix}"
    _write(path, points, None, version, kind)
    cloud = read_points(path)
    assert cloud.points.dtype == np.float64 and np.abs(cloud.points - points).max() < 1e-8
    assert cloud.colours is None  # the format has the fields, but they are all black


@pytest.mark.parametrize("factor", [1, 256, 257])
def test_colours_of_8_and_16_bits_become_8_bits(tmp_path: Path, rng: np.random.Generator, factor: int) -> None:
    colours = rng.integers(0, 256, (200, 3))
    colours[0] = 255
    _write(tmp_path / "scan.las", OFFSET + rng.random((200, 3)), colours * factor)
    cloud = read_points(tmp_path / "scan.las")
    assert cloud.colours is not None and np.array_equal(cloud.colours, colours)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back_to_a_tenth_of_a_millimetre(
    tmp_path: Path, rng: np.random.Generator, suffix: str
) -> None:
    cloud = PointCloud(OFFSET + rng.random((500, 3)) * 50, rng.integers(0, 256, (500, 3)).astype(np.uint8))
    write_points(tmp_path / f"a{suffix}", cloud)
    found = read_points(tmp_path / f"a{suffix}")
    assert np.abs(found.points - cloud.points).max() <= 0.5001e-4
    assert found.colours is not None and cloud.colours is not None
    assert np.array_equal(found.colours, cloud.colours)


def test_non_finite_points_cannot_be_written_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.las"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="expected finite coordinates for LAS, found NaN or inf"):
        write_points(path, PointCloud(np.full((3, 3), np.nan)))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, rng: np.random.Generator, suffix: str, share: float) -> None:
    path = tmp_path / f"a{suffix}"
    _write(path, OFFSET + rng.random((120_000, 3)), None)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="truncated") as caught:
        read_points(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"garbage" * 50, b"LASF", b"LASF" + b"\xff" * 400, b"LASF" + b"\0" * 400])
def test_garbage_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected a.* LAS file"):
        read_points(path)


def test_an_empty_cloud_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "a.las", np.zeros((0, 3)), None)
    with pytest.raises(ValueError, match="expected at least one point, found none"):
        read_points(tmp_path / "a.las")


@pytest.mark.parametrize(("suffix", "missing"), [(".las", "laspy"), (".laz", "laspy"), (".laz", "lazrs")])
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, missing: str
) -> None:
    path = tmp_path / f"a{suffix}"
    _write(path, OFFSET + np.zeros((3, 3)), None)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=rf"the package {missing}, .* pip install 'laspy"):
        read_points(path)


def test_the_shared_hall_is_read_whole(shared_data: Path) -> None:
    cloud = read_points(shared_data / "real" / "two_storey_hall.laz")
    assert len(cloud) == 808_042 and cloud.points.dtype == np.float64
    assert np.allclose(np.ptp(cloud.points, axis=0), [28.62, 9.52, 20.26], atol=0.01)
    assert np.abs(cloud.points * 100 - np.rint(cloud.points * 100)).max() < 1e-6  # whole centimetres
