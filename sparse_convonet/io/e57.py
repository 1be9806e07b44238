"""Read E57 files with pye57 (extra `e57`): all scans, each moved by its pose, merged into one cloud."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sparse_convonet.io.refusals import damaged, require_package, require_points, unreadable
from sparse_convonet.structures import PointCloud

_POINTS_PER_BYTE = 8  # each takes at least a bit
# What pye57 raises for names that are no text and parts that are of another kind.
_DAMAGE = (UnicodeDecodeError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
_SIGNATURE = b"ASTM-E57"
_CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
_SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
_COLOURS = ("colorRed", "colorGreen", "colorBlue")

logger = logging.getLogger(__name__)


def read_e57(path: Path) -> PointCloud:
    """Points of all scans in the file's common frame; colours where every scan has them."""
    pye57 = require_package("pye57", "e57", "reading .e57")
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise unreadable(path, "an E57 file (first bytes 'ASTM-E57')", "other bytes")
    try:
        with pye57.E57(str(path)) as archive:
            scans = [_read_scan(path, pye57.libe57, archive, index) for index in range(archive.scan_count)]
    except (pye57.libe57.E57Exception, *_DAMAGE) as error:
        raise damaged(path, "a whole E57 file", error) from error
    require_points(path, sum(len(points) for points, _ in scans))
    logger.info("%s: merged %d scans", path, len(scans))
    colours = [colour for _, colour in scans if colour is not None]
    return PointCloud(
        np.concatenate([points for points, _ in scans]),
        np.concatenate(colours) if len(colours) == len(scans) else None,
    )


def _read_scan(path: Path, libe57: Any, archive: Any, index: int) -> tuple[np.ndarray, np.ndarray | None]:
    """((N, 3) float64 posed points, (N, 3) uint8 colours or None) of one scan, without its invalid points."""
    header = archive.get_header(index)
    if not 0 <= header.point_count <= _POINTS_PER_BYTE * path.stat().st_size:
        raise unreadable(path, f"a number of points in scan {index} that fits the file", f"{header.point_count}")
    present = set(header.point_fields)
    axes = next((names for names in (_CARTESIAN, _SPHERICAL) if set(names) <= present), None)
    if axes is None:
        raise unreadable(path, f"Cartesian or spherical coordinates in scan {index}", ", ".join(sorted(present)))
    invalid = "cartesianInvalidState" if axes is _CARTESIAN else "sphericalInvalidState"
    names = [*axes, *(name for name in (*_COLOURS, invalid) if name in present)]
    values = {name: np.zeros(header.point_count, dtype=np.float64) for name in names}
    buffers = libe57.VectorSourceDestBuffer()
    for name, array in values.items():
        buffers.append(libe57.SourceDestBuffer(archive.image_file, name, array, header.point_count, True, True))
    read = header.points.reader(buffers).read() if header.point_count else 0
    kept = np.arange(header.point_count) < read
    if invalid in values:
        kept &= values[invalid] == 0
    points = np.stack([values[name][kept] for name in axes], axis=1)
    if axes is _SPHERICAL:
        distance, azimuth, elevation = points.T
        planar = distance * np.cos(elevation)
        points = np.stack([planar * np.cos(azimuth), planar * np.sin(azimuth), distance * np.sin(elevation)], axis=1)
    if header.has_pose():
        points = _apply_pose(points, header["pose"])
    if not set(_COLOURS) <= present:
        return points, None
    colours = np.stack([values[name][kept] for name in _COLOURS], axis=1)
    return points, _scale_colours(header, colours)


def _apply_pose(points: np.ndarray, pose: Any) -> np.ndarray:
    """(N, 3) in the scanner's frame -> (N, 3) in the file's; a missing part of the pose changes nothing.

    The quaternion's parts are taken by name: files may list them in any order.
    """
    if pose.isDefined("rotation"):
        w, x, y, z = (float(pose["rotation"][name].value()) for name in "wxyz")
        points = Rotation.from_quat([x, y, z, w]).apply(points)
    if pose.isDefined("translation"):
        points = points + np.array([float(pose["translation"][name].value()) for name in "xyz"])
    return points


def _scale_colours(header: Any, colours: np.ndarray) -> np.ndarray:
    """(N, 3) of the limits that the file names (usually 0 to 255, some 0 to 65535) -> (N, 3) uint8."""
    highest = 255.0
    if "colorLimits" in header.scan_fields:
        highest = float(header["colorLimits"]["colorRedMaximum"].value())
    elif colours.size and colours.max() > 255:
        highest = 65535.0
    return np.clip(np.rint(colours * (255.0 / max(highest, 1.0))), 0, 255).astype(np.uint8)
