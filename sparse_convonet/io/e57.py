"""Read E57 files with pye57 (extra `e57`): all scans, each moved by its pose, merged into one cloud."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


def e57_chunks(path: Path, chunk_points: int | None, attributes: Sequence[str] = ()) -> Iterator[PointChunk]:
    """Points of all scans in the file's common frame, so many of a scan at a time (None: each scan at once).

    attributes: which of the file's other numbers of each point (intensity) are read, of the scans that have them.
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
            poses = [_pose_of(path, archive.get_header(index), index) for index in range(scans)]
            is_placed = any(pose is not None and pose.translation.any() for pose in poses)
            for index, pose in enumerate(poses):
                parts = _read_scan(path, pye57.libe57, archive, index, pose, chunk_points, attributes)
                for points, colours, others, share in parts:
                    count += len(points)
                    scanners = None
                    if is_placed and pose is not None:  # files in which all stand at the origin do not say where
                        scanners = np.broadcast_to(pose.translation, points.shape)
                    share = (index + share) / scans
                    yield PointChunk(points, colours, None, share, scanners=scanners, attributes=others)
    except (pye57.libe57.E57Exception, *_DAMAGE) as error:
        raise damaged(path, "a whole E57 file", error) from error
    require_points(path, count)
    logger.info("%s: merged %d scans", path, scans)


def coordinate_metadata(path: Path) -> str:
    """What the file says of its coordinate system (ASTM E2807, 8.3.2), usually WKT; nothing where it cannot be read."""
    if importlib.util.find_spec("pye57") is None:
        return ""
    pye57 = importlib.import_module("pye57")
    try:
        with pye57.E57(str(path)) as archive:
            root = archive.image_file.root()
            return str(root["coordinateMetadata"].value()) if root.isDefined("coordinateMetadata") else ""
    except (pye57.libe57.E57Exception, *_DAMAGE):  # its reader says what is wrong
        return ""


@dataclass(frozen=True)
class _Pose:
    """Of a scan in the file's frame.  rotation: None where it is not turned.  translation: (3,), of its scanner."""

    rotation: Rotation | None
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) in the scanner's frame -> (N, 3) in the file's."""
        if self.rotation is not None:
            # A single row would take another way through numpy and differ in the last digit from the same row among others.
            rows = np.repeat(points, 2, axis=0) if len(points) == 1 else points
            points = self.rotation.apply(rows)[: len(points)]
        return points + self.translation


def _pose_of(path: Path, header: Any, index: int) -> _Pose | None:
    """None where a scan has none; a missing part of it changes nothing.

    The quaternion's parts are taken by name: files may list them in any order.
    """
    if not header.has_pose():
        return None
    pose, rotation, translation = header["pose"], None, np.zeros(3)
    if pose.isDefined("rotation"):
        w, x, y, z = (float(pose["rotation"][name].value()) for name in "wxyz")
        if np.isfinite([w, x, y, z]).all() and any((w, x, y, z)):
            rotation = Rotation.from_quat([x, y, z, w])
        else:
            logger.warning(
                "%s: scan %d is turned by the quaternion %g %g %g %g, which is no rotation: taken as none",
                path, index, w, x, y, z,
            )  # fmt: skip
    if pose.isDefined("translation"):
        translation = np.array([float(pose["translation"][name].value()) for name in "xyz"])
    return _Pose(rotation, translation)


def _read_scan(
    path: Path,
    libe57: Any,
    archive: Any,
    index: int,
    pose: _Pose | None,
    chunk_points: int | None,
    attributes: Sequence[str],
) -> Iterator[tuple[np.ndarray, np.ndarray | None, dict[str, np.ndarray], float]]:
    """((N, 3) float64 posed points, (N, 3) uint8 colours or None, (N,) attributes, share read) of one scan, without invalid
    points."""
    header = archive.get_header(index)
    if not 0 <= header.point_count <= _POINTS_PER_BYTE * path.stat().st_size:
        raise unreadable(path, f"a number of points in scan {index} that fits the file", f"{header.point_count}")
    present = set(header.point_fields)
    axes = next((names for names in (_CARTESIAN, _SPHERICAL) if set(names) <= present), None)
    if axes is None:
        raise unreadable(path, f"Cartesian or spherical coordinates in scan {index}", ", ".join(sorted(present)))
    invalid = "cartesianInvalidState" if axes is _CARTESIAN else "sphericalInvalidState"
    others = [name for name in attributes if name in present and name not in (*axes, *_COLOURS, invalid)]
    names = [*axes, *(name for name in (*_COLOURS, invalid) if name in present), *others]
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
        if pose is not None:
            points = pose.apply(points)
        colours = None
        if has_colours:
            raw = _valid(values, _COLOURS, invalid)
            colours = _scale_colours(header, raw, _largest(raw) if largest is None else largest)
        yield points, colours, {name: _valid(values, [name], invalid)[:, 0] for name in others}, share


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
    """(n, k) of k columns, without the rows that the scanner calls invalid."""
    rows = np.stack([values[name] for name in names], axis=1)
    return rows[values[invalid] == 0] if invalid in values else rows


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
