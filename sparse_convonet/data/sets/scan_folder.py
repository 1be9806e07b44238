"""A folder of scans in any readable format as models of a data set, one per file."""

from __future__ import annotations

import logging
import re
import zlib
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped, clean_points, describe
from sparse_convonet.clouds.units import metres_per_unit
from sparse_convonet.coordinates import up_rotation
from sparse_convonet.data.sets.prepared import PreparedModel
from sparse_convonet.data.sets.scan_surface import Drawing, Surface
from sparse_convonet.io.meshes import READ_SUFFIXES as MESH_SUFFIXES
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.points import READ_SUFFIXES, read_points
from sparse_convonet.mesh.surface_sampling import sample_faces
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud

CATEGORY, TITLE = "scans", "scans"
UP_GUESSED = "up axis guessed from the points (--up sets it)"
NO_NORMALS = "no normals, since the file has none"
BAD_NORMALS = "normals left out, since some are not finite"
DROPPED = "points dropped: not finite, without return, far from all others or repeated"

_LEAST_SAMPLES = 100_000  # on a mesh, so that its up axis and spacing can be told

logger = logging.getLogger(__name__)


def find_files(folder: Path) -> list[Path]:
    """The files in the folder, not below it, that have the suffix of a scan, sorted.

    Other files are counted in the log.  Raises ValueError where there are none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of scans, found no folder; check the path")
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    scans = [file for file in files if file.suffix.lower() in READ_SUFFIXES]
    if not scans:
        raise ValueError(
            f"{folder}: expected files {', '.join(READ_SUFFIXES)}, found none of them; name another folder"
        )
    if len(scans) < len(files):
        logger.info("%s: %d files are no scans by their suffix", folder, len(files) - len(scans))
    return scans


def model_names(files: list[Path]) -> list[str]:
    """A name for each file: its stem, with its suffix where stems repeat, and a number of the name where both do."""
    stems = [_plain(file.stem) for file in files]
    longer = [_plain(file.name) for file in files]
    sure = [f"{name}_{zlib.crc32(file.name.encode('utf-8')):08x}" for name, file in zip(longer, files, strict=True)]
    names = [long if stems.count(stem) > 1 else stem for stem, long in zip(stems, longer, strict=True)]
    counts = Counter(names)
    return [certain if counts[name] > 1 else name for name, certain in zip(names, sure, strict=True)]


def _plain(name: str) -> str:
    return re.sub(r"[\s.]+", "_", name.strip()) or "scan"


def scan_models(files: list[Path], drawing: Drawing, up: str | None, scale: float | None) -> list[PreparedModel]:
    """One model per file, all for testing.  up: 'x', 'y', 'z', None: guessed.  scale: metres in a unit, None: 1."""
    if scale is not None and not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"--scale: expected a positive number of metres, found {scale}")
    return [
        PreparedModel(
            name=name,
            split="test",
            drawing=drawing,
            load=partial(read_scan, file, drawing, up, scale),
            origin={"kind": "scan", "file": file.name, "up": up, "scale": scale},
        )
        for name, file in zip(model_names(files), files, strict=True)
    ]


def read_scan(path: Path, drawing: Drawing, up: str | None, scale: float | None) -> Surface:
    """The cleaned points of a scan in metres, z up; a mesh gives points on it, uniform by area, with normals.

    Raises ValueError for a file that cannot be read, points that are no surface, and, without a scale, for a size
    that is hardly in metres.
    """
    require_file(path)
    geometry = read_geometry(path) if path.suffix.lower() in MESH_SUFFIXES else read_points(path)
    try:
        if isinstance(geometry, Mesh):
            count = max(drawing.points * drawing.files, _LEAST_SAMPLES)
            key = zlib.crc32(path.name.encode("utf-8"))
            samples = sample_faces(geometry, count, np.random.default_rng((drawing.seed, key)))
            geometry = PointCloud(samples.points, None, samples.normals)
        cloud, dropped = clean_points(replace(geometry, colours=None))
        summary = describe(cloud)
        scale = metres_per_unit(summary, scale)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return _upright(path, cloud, dropped, summary, up, scale)


def _upright(
    path: Path, cloud: PointCloud, dropped: Dropped, summary: CloudSummary, up: str | None, scale: float
) -> Surface:
    rotation = up_rotation(up or summary.up)
    remarks = [UP_GUESSED] if up is None else []
    normals = cloud.normals
    if normals is None:
        remarks.append(NO_NORMALS)
    elif not np.isfinite(normals).all():
        normals = None
        remarks.append(BAD_NORMALS)
    if dropped.total():
        remarks.append(DROPPED)
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in asdict(dropped).items() if count]
    logger.info("%s: %s; dropped: %s", path.name, summary, ", ".join(reasons) or "none")
    turned = None if normals is None else (normals @ rotation.T).astype(np.float32)
    return Surface(PointCloud(cloud.points @ rotation.T * scale, None, turned), remarks=tuple(remarks))
