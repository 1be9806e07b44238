"""The spool: all inputs in their order, bit by bit, written once, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.out_of_core.points import spool as module
from sparse_convonet.out_of_core.points.spool import Spool, chunks_of, spool_points
from sparse_convonet.structures import PointCloud


def write(path: Path, rng: np.random.Generator, count: int, coloured: bool = True) -> Path:
    """A scan in an empty part of the world, with colours or without."""
    colours = rng.integers(0, 256, (count, 3)).astype(np.uint8) if coloured else None
    write_points(path, PointCloud(rng.normal(size=(count, 3)), colours))
    return path


@pytest.mark.parametrize("chunk_points", [1, 7, 1000])
def test_all_inputs_stand_in_the_spool_as_read_points_gives_them(
    tmp_path: Path, rng: np.random.Generator, chunk_points: int
) -> None:
    inputs = [write(tmp_path / f"{n}{suffix}", rng, 40) for n, suffix in enumerate((".las", ".ply", ".xyz", ".laz"))]
    spool = spool_points(inputs, tmp_path / "work", chunk_points=chunk_points)
    clouds = [read_points(path) for path in inputs]
    points = np.concatenate([cloud.points for cloud in clouds])
    colours = np.concatenate([cloud.colours for cloud in clouds])  # type: ignore[misc]
    assert spool.count == 160 and spool.columns == ("colour",)
    assert np.array_equal(np.concatenate([part for _, part in chunks_of(spool, 33)]), points)
    for start, stop in ((0, 160), (35, 125), (40, 80), (50, 50), (159, 160)):
        assert np.array_equal(spool.points(start, stop), points[start:stop])
        assert np.array_equal(spool.values("colour", start, stop), colours[start:stop])


@pytest.mark.parametrize("scale", [1, 257])
def test_the_range_of_las_colours_is_that_of_the_whole_file(
    tmp_path: Path, rng: np.random.Generator, scale: int
) -> None:
    laspy = pytest.importorskip("laspy")
    records = laspy.LasData(laspy.LasHeader(version="1.2", point_format=2))
    records.x, records.y, records.z = rng.random((3, 50))
    records.red, records.green, records.blue = rng.integers(0, 100, (3, 50)).astype(np.uint16)
    records.red[49] = 200 * scale  # only the last chunk tells it
    records.write(str(tmp_path / "a.las"))
    spool = spool_points([tmp_path / "a.las"], tmp_path / "work", chunk_points=10)
    assert np.array_equal(spool.values("colour", 0, 50), read_points(tmp_path / "a.las").colours)  # type: ignore[arg-type]


def test_one_input_without_colours_leaves_all_without(tmp_path: Path, rng: np.random.Generator) -> None:
    inputs = [write(tmp_path / "a.ply", rng, 20), write(tmp_path / "b.ply", rng, 20, coloured=False)]
    spool = spool_points(inputs, tmp_path / "work")
    assert spool.count == 40 and spool.columns == ()
    assert (tmp_path / "work" / module.COLOURS).stat().st_size < 10


def test_a_finished_spool_is_not_read_again_and_an_unfinished_one_is(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.ply", rng, 100)
    first = spool_points([path], tmp_path / "work").points(0, 100)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_chunks", refuse)
        assert np.array_equal(spool_points([path], tmp_path / "work").points(0, 100), first)
        (tmp_path / "work" / module.CONTENT).unlink()  # as a process leaves that is killed before the last step
        with pytest.raises(RuntimeError, match="read again"):
            spool_points([path], tmp_path / "work")
        with pytest.raises(FileNotFoundError):
            Spool.open(tmp_path / "work")
    assert np.array_equal(spool_points([path], tmp_path / "work").points(0, 100), first)


def test_a_damaged_input_leaves_no_spool(tmp_path: Path, rng: np.random.Generator) -> None:
    good, bad = write(tmp_path / "a.ply", rng, 50), write(tmp_path / "b.las", rng, 50)
    bad.write_bytes(bad.read_bytes()[:-10])
    with pytest.raises(ValueError, match="b.las: expected 50 points, found .* truncated"):
        spool_points([good, bad], tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


def test_other_inputs_and_changed_ones_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    first, second = write(tmp_path / "a.ply", rng, 50), write(tmp_path / "b.ply", rng, 50)
    spool_points([first], tmp_path / "work")
    for inputs, seed in (([second], 0), ([first, second], 0), ([first], 1)):
        with pytest.raises(ValueError, match="expected the points of .*, found those of other files"):
            spool_points(inputs, tmp_path / "work", seed=seed)
    os.utime(first, ns=(1, 1))
    with pytest.raises(ValueError, match="of other versions of them"):
        spool_points([first], tmp_path / "work")
    with pytest.raises(ValueError, match="inputs: expected at least one file, found none"):
        spool_points([], tmp_path / "work")


def test_progress_rises_to_one_over_all_inputs(tmp_path: Path, rng: np.random.Generator) -> None:
    inputs = [write(tmp_path / f"{n}.las", rng, 50) for n in range(3)]
    shares: list[float] = []
    spool_points(inputs, tmp_path / "work", chunk_points=10, progress=lambda stage, share: shares.append(share))
    assert len(shares) == 15 and shares == sorted(shares) and shares[-1] == pytest.approx(1)


def test_a_spool_that_lost_bytes_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    spool_points([write(tmp_path / "a.ply", rng, 50)], tmp_path / "work")
    (tmp_path / "work" / module.POINTS).write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match="expected 1200 bytes, found 100"):
        Spool.open(tmp_path / "work")


@pytest.mark.parametrize("chunk_points", [1, 7, 1000])
def test_scanners_stand_in_the_spool_as_read_points_gives_them(
    tmp_path: Path, rng: np.random.Generator, chunk_points: int
) -> None:
    inputs = [write(tmp_path / "a.ply", rng, 30), tmp_path / "b.npz", write(tmp_path / "c.ply", rng, 20)]
    places = rng.normal(size=(40, 3))
    places[::3] = np.nan
    write_points(inputs[1], PointCloud(rng.normal(size=(40, 3)), scanners=places))
    spool = spool_points(inputs, tmp_path / "work", chunk_points=chunk_points)
    assert spool.columns == ("scanner",)
    expected = np.concatenate([np.full((30, 3), np.nan), places, np.full((20, 3), np.nan)])
    for start, stop in ((0, 90), (25, 35), (29, 71), (50, 50), (89, 90)):
        np.testing.assert_array_equal(spool.values("scanner", start, stop), expected[start:stop])
    stations = [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0)]  # said by the user: whatever the files say
    named = spool_points(inputs, tmp_path / "named", chunk_points=chunk_points, stations=stations)
    np.testing.assert_array_equal(named.values("scanner", 10, 75), np.repeat(stations, (30, 40, 20), axis=0)[10:75])
    with pytest.raises(ValueError, match="another --seed, --station, --trajectory or --columns"):
        spool_points(inputs, tmp_path / "named", chunk_points=chunk_points)
