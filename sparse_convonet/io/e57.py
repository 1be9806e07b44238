"""Read E57 files with pye57 (extra `e57`): all scans, each moved by its pose, merged into one cloud."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sparse_convonet.io.point_chunk import PointChunk
from sparse_convonet.runtime.refusals import damaged, require_package, require_points, unreadable

_POINTS_PER_BYTE = 8  # each takes at least a bit
# What pye57 raises for names that are no text and parts that are of another kind.
_DAMAGE = (UnicodeDecodeError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
_SIGNATURE = b"ASTM-E57"
_CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
_SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
_COLOURS = ("colorRed", "colorGreen", "colorBlue")

logger = logging.getLogger(__name__)


def e57_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """Points of all scans in the file's common frame, so many of a scan at a time (None: each scan at once).

    A scan without points gives an empty chunk, which tells whether it has colours.  Raises ValueError for a damaged file.
    """
    pye57 = require_package("pye57", "e57", "reading .e57")
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise unreadable(path, "an E57 file (first bytes 'ASTM-E57')", "other bytes")
    count = 0
    try:
        with pye57.E57(str(path)) as archive:
            scans = archive.scan_count
            stations = _stations(archive)
            for index in range(scans):
                for points, colours, share in _read_scan(path, pye57.libe57, archive, index, chunk_points):
                    count += len(points)
                    place = stations[index]
                    scanners = None if place is None else np.broadcast_to(place, points.shape)
                    yield PointChunk(points, colours, None, (index + share) / scans, scanners=scanners)
    except (pye57.libe57.E57Exception, *_DAMAGE) as error:
        raise damaged(path, "a whole E57 file", error) from error
    require_points(path, count)
    logger.info("%s: merged %d scans", path, scans)


def _stations(archive: Any) -> list[np.ndarray | None]:
    """(3,) where the scanner of each scan stood, in the file's frame; None where that is not known.

    It is the origin of a scan's own frame.  Files in which no scan was moved do not say where it stood.
    """
    places: list[np.ndarray | None] = []
    for index in range(archive.scan_count):
        header = archive.get_header(index)
        places.append(_apply_pose(np.zeros((1, 3)), header["pose"])[0] if header.has_pose() else None)
    is_placed = any(place is not None and np.isfinite(place).all() and place.any() for place in places)
    return places if is_placed else [None] * len(places)


def _read_scan(
    path: Path, libe57: Any, archive: Any, index: int, chunk_points: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None, float]]:
    """((N, 3) float64 posed points, (N, 3) uint8 colours or None, share read) of one scan, without invalid points."""
    header = archive.get_header(index)
    if not 0 <= header.point_count <= _POINTS_PER_BYTE * path.stat().st_size:
        raise unreadable(path, f"a number of points in scan {index} that fits the file", f"{header.point_count}")
    present = set(header.point_fields)
    axes = next((names for names in (_CARTESIAN, _SPHERICAL) if set(names) <= present), None)
    if axes is None:
        raise unreadable(path, f"Cartesian or spherical coordinates in scan {index}", ", ".join(sorted(present)))
    invalid = "cartesianInvalidState" if axes is _CARTESIAN else "sphericalInvalidState"
    names = [*axes, *(name for name in (*_COLOURS, invalid) if name in present)]
    has_colours = set(_COLOURS) <= present
    largest = None
    if has_colours and chunk_points is not None and "colorLimits" not in header.scan_fields:
        parts = _read_columns(libe57, archive, header, [name for name in names if name not in axes], chunk_points)
        largest = float(np.max([_largest(_valid(values, _COLOURS, invalid)) for values, _ in parts]))
    for values, share in _read_columns(libe57, archive, header, names, chunk_points):
        points = _valid(values, axes, invalid)
        if axes is _SPHERICAL:
            distance, azimuth, elevation = points.T
            planar = distance * np.cos(elevation)
            points = np.stack(
                [planar * np.cos(azimuth), planar * np.sin(azimuth), distance * np.sin(elevation)], axis=1
            )
        if header.has_pose():
            points = _apply_pose(points, header["pose"])
        colours = None
        if has_colours:
            raw = _valid(values, _COLOURS, invalid)
            colours = _scale_colours(header, raw, _largest(raw) if largest is None else largest)
        yield points, colours, share


def _read_columns(
    libe57: Any, archive: Any, header: Any, names: Sequence[str], chunk_points: int | None
) -> Iterator[tuple[dict[str, np.ndarray], float]]:
    """Columns of a scan by name, (n,) float64 each and good until the next, and the share read; once where empty."""
    count = header.point_count
    capacity = min(chunk_points or count, count)
    values = {name: np.zeros(capacity, dtype=np.float64) for name in names}
    if count == 0:
        yield values, 1.0
        return
    buffers = libe57.VectorSourceDestBuffer()
    for name, array in values.items():
        buffers.append(libe57.SourceDestBuffer(archive.image_file, name, array, capacity, True, True))
    reader = header.points.reader(buffers)
    done = 0
    while done < count:
        read = reader.read()
        if read == 0 and done:
            return
        done += max(read, 1)
        yield {name: array[:read] for name, array in values.items()}, min(1.0, done / count)
        if capacity == count:  # all at once
            return


def _valid(values: dict[str, np.ndarray], names: Sequence[str], invalid: str) -> np.ndarray:
    """(n, 3) of three columns, without the rows that the scanner calls invalid."""
    rows = np.stack([values[name] for name in names], axis=1)
    return rows[values[invalid] == 0] if invalid in values else rows


def _apply_pose(points: np.ndarray, pose: Any) -> np.ndarray:
    """(N, 3) in the scanner's frame -> (N, 3) in the file's; a missing part of the pose changes nothing.

    The quaternion's parts are taken by name: files may list them in any order.
    """
    if pose.isDefined("rotation"):
        w, x, y, z = (float(pose["rotation"][name].value()) for name in "wxyz")
        if not (np.isfinite([w, x, y, z]).all() and any((w, x, y, z))):
            logger.warning(
                "a pose turns by the quaternion %g %g %g %g, which is no rotation: taken as none", w, x, y, z
            )
            w, x, y, z = 1.0, 0.0, 0.0, 0.0
        # A single row would take another way through numpy and differ in the last digit from the same row among others.
        rows = np.repeat(points, 2, axis=0) if len(points) == 1 else points
        points = Rotation.from_quat([x, y, z, w]).apply(rows)[: len(points)]
    if pose.isDefined("translation"):
        points = points + np.array([float(pose["translation"][name].value()) for name in "xyz"])
    return points


def _largest(colours: np.ndarray) -> float:
    return float(colours.max(initial=-np.inf))


def _scale_colours(header: Any, colours: np.ndarray, largest: float) -> np.ndarray:
    """(N, 3) of the limits that the file names (usually 0 to 255, some 0 to 65535) -> (N, 3) uint8.

    largest: of all colours of the scan, for files that name no limits.
    """
    highest = 255.0
    if "colorLimits" in header.scan_fields:
        highest = float(header["colorLimits"]["colorRedMaximum"].value())
    elif largest > 255:
        highest = 65535.0
    return np.clip(np.rint(colours * (255.0 / max(highest, 1.0))), 0, 255).astype(np.uint8)
