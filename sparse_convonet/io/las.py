"""Read and write LAS and LAZ files with laspy (extra `las`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.io.las_checks import check_header, checked_chunks
from sparse_convonet.io.las_units import declared_units
from sparse_convonet.io.point_chunk import CHUNK_POINTS, NamedNumbers, PointChunk
from sparse_convonet.runtime.refusals import damaged, require_package, require_points, unreadable
from sparse_convonet.structures import LeftOut, PointCloud

_PARALLEL_CHUNK_POINTS = 500_000  # ten times what is usual
_NOISE_CLASSES = (7, 18)  # low points and high noise
_PLACES_AND_COLOURS = {"X", "Y", "Z", "red", "green", "blue"}
_SCALE_M = 1e-4  # the step at which coordinates are stored: a tenth of a millimetre


def las_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """Points with the file's scale and offset applied, so many at a time (None: as reading is fastest).

    Withheld points and noise are left out and counted; the unit is what the file's coordinate system declares, the times
    are those of GPS where the format has them.
    Of LAZ at least one chunk of the file is in memory, usually 50,000 points.  Raises ValueError for a damaged or
    truncated file, and for one that holds nothing else than what is left out.
    """
    units, kept = None, 0
    for records, done, count in _records(path, chunk_points):
        rows, left_out = _wanted(records)
        points = _points(records)
        if done == 0:
            units = declared_units(path, float(np.abs(points[:, :2]).max()))
        if units is not None and units.height_factor != 1:
            points[:, 2] *= units.height_factor
        colours = None
        if {"red", "green", "blue"} <= set(records.point_format.dimension_names):
            colours = np.stack([np.asarray(records[name]) for name in ("red", "green", "blue")], axis=1)
        times = np.asarray(records.gps_time) if "gps_time" in records.point_format.dimension_names else None
        if left_out.total():
            points, colours = points[rows], None if colours is None else colours[rows]
            times = None if times is None else times[rows]
        names = [name for name in records.point_format.dimension_names if name not in _PLACES_AND_COLOURS]
        kept += len(points)
        step = chunk_points or max(1, len(points))
        for start in range(0, max(1, len(points)), step):
            part = slice(start, start + step)
            share = (done + len(records) * min(1.0, part.stop / max(1, len(points)))) / count
            some = None if colours is None else colours[part]
            unit = None if units is None else units.across
            marked = left_out if start == 0 else LeftOut()
            when = None if times is None else times[part]
            others = NamedNumbers(names, partial(_column, records, rows, part))
            yield PointChunk(
                points[part], some, None, share, count, unit=unit, left_out=marked, times=when, attributes=others
            )
    if kept == 0:
        raise ValueError(
            f"{path}: expected points that are neither withheld nor noise (classes 7 and 18), found none of {count}; "
            "clear their flags if they are meant"
        )


def _column(records: Any, rows: np.ndarray, part: slice, name: str) -> np.ndarray:
    """One of the numbers of laspy's records, of a part of the rows that stay."""
    return np.asarray(records[name])[rows][part]


def _points(records: Any) -> np.ndarray:
    """(n, 3) float64."""
    points = np.empty((len(records), 3))
    with np.errstate(over="ignore", invalid="ignore"):  # of scales that are damaged: not finite, as cleaning finds
        for axis, name in enumerate("xyz"):
            points[:, axis] = records[name]
    return points


def _wanted(records: Any) -> tuple[np.ndarray, LeftOut]:
    """(n,) bool, which records stay, and how many do not: withheld ones, and noise."""
    withheld = np.asarray(records.withheld) != 0
    noise = np.isin(np.asarray(records.classification), _NOISE_CLASSES) & ~withheld
    return ~withheld & ~noise, LeftOut(withheld=int(withheld.sum()), noise=int(noise.sum()))


def _records(path: Path, chunk_points: int | None) -> Iterator[tuple[Any, int, int]]:
    """laspy's records of about so many points each, how many were read before them, and how many there are."""
    laspy = require_package("laspy", "las", "reading .las and .laz")
    if path.suffix.lower() == ".laz":
        require_package("lazrs", "las", "reading .laz")
    check_header(path)
    with ExitStack() as stack:
        with _naming_damage(path, laspy):
            # Further records behind the points may name any length, and hold nothing that is needed.
            reader = stack.enter_context(laspy.open(path, read_evlrs=False))
            expected = int(reader.header.point_count)
            compressed = expected > 0 and reader.header.are_points_compressed  # none: the table was not looked at
            chunks, misfit = checked_chunks(path, reader.header) if compressed else ([], None)
        if misfit is not None:
            raise unreadable(path, *misfit)
        require_points(path, expected)
        sizes = np.array([count for count, _ in chunks])
        if chunk_points is not None and np.any(sizes > _PARALLEL_CHUNK_POINTS):
            reader.laz_backend = [laspy.LazBackend.Lazrs]  # the parallel one holds whole chunks of the file
            sizes = sizes[:0]
        read = 0
        for wanted in _portions(sizes, expected, chunk_points or CHUNK_POINTS):
            with _naming_damage(path, laspy):
                records = reader.read_points(wanted)
            if len(records) != wanted:
                raise unreadable(path, f"{expected} points", f"only {read + len(records)}: the file is truncated")
            yield records, read, expected
            read += wanted


def _portions(sizes: np.ndarray, expected: int, at_most: int) -> Iterator[int]:
    """How many points to read at a time: whole chunks of the file, (C,) points each, as far as at_most allows.

    What a chunk gives that is damaged would otherwise depend on where reading begins.
    """
    if len(sizes) == 0:
        sizes = np.full(-(-expected // at_most), at_most)
    ends = np.minimum(np.cumsum(sizes), expected)
    read = 0
    while read < expected:
        fitting, following = np.searchsorted(ends, [read + at_most, read], side="right")
        end = int(ends[max(fitting - 1, following)])
        yield end - read
        read = end


@contextmanager
def _naming_damage(path: Path, laspy: Any) -> Iterator[None]:
    try:
        yield
    except (OSError, MemoryError):
        raise
    except (
        laspy.errors.LaspyException,
        ValueError,
        RuntimeError,
        IndexError,
        KeyError,
        EOFError,
        OverflowError,
    ) as error:
        raise damaged(path, "a whole LAS file", error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of lazrs; no Exception, and no module has it
            raise
        raise damaged(path, "a whole LAS file", error) from error


def write_las(path: Path, cloud: PointCloud) -> None:
    """Format 1.2 with colours where the cloud has them; coordinates in steps of 0.1 mm; normals are left out."""
    laspy = require_package("laspy", "las", f"writing {path.suffix}")
    if path.suffix.lower() == ".laz":
        require_package("lazrs", "las", "writing .laz")
    if not np.all(np.isfinite(cloud.points)):
        raise ValueError(f"{path}: expected finite coordinates for LAS, found NaN or inf; clean the cloud first")
    header = laspy.LasHeader(version="1.2", point_format=0 if cloud.colours is None else 2)
    header.scales = np.full(3, _SCALE_M)
    header.offsets = np.floor(cloud.points.min(axis=0)) if len(cloud) else np.zeros(3)
    records = laspy.LasData(header)
    records.x, records.y, records.z = cloud.points.T
    if cloud.colours is not None:
        wide = cloud.colours.astype(np.uint16) * 257  # 255 becomes 65535
        records.red, records.green, records.blue = wide.T
    with path.open("wb") as file:
        records.write(file, do_compress=path.suffix.lower() == ".laz")
