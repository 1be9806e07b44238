"""Find and read the surface mesh in the folder of a Matterport3D scan (v1/scans/<id>/): whole, or region by region."""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from sparse_convonet.io.array_archive import ARCHIVE_DAMAGE, COMPRESSIONS
from sparse_convonet.io.meshes import parse_geometry
from sparse_convonet.runtime.refusals import damaged, one_line, unreadable
from sparse_convonet.structures import Mesh, PointCloud

MAX_MEMBER_BYTES = 4 << 30  # the largest house mesh unpacks to some 0.5 GB

# In order of preference: the whole house as one clean mesh, the same cut into regions, the textured mesh.
_PARTS = (
    ("house_segmentations", re.compile(r"[^/]+\.ply")),
    ("region_segmentations", re.compile(r"region\d+\.ply")),
    ("matterport_mesh", re.compile(r"(?:[^/]+/)?[^/]+\.obj")),
)

_REGION = re.compile(r"region(\d+)\.ply")
_HOUSE = re.compile(r"[^/]+\.house")
Sources = dict[Path, Callable[[], bytes]]  # where each file lies, for messages, and what reads it

logger = logging.getLogger(__name__)


def read_matterport(folder: Path) -> Mesh:
    """The scan's mesh: house_segmentations, else all region_segmentations, else matterport_mesh.

    Each may be a folder or a .zip file, as downloaded; archives are read without unpacking them to disk.
    Raises ValueError where the folder holds none of them, or an archive is damaged, too large or leaves its folder.
    """
    for part, pattern in _PARTS:
        sources = _find(folder, part, pattern)
        if sources:
            names = ", ".join(sorted(str(path) for path in sources)[:3])
            logger.info("%s: reading %s (%d files: %s ...)", folder, part, len(sources), names)
            return _merge([_parse(path, read()) for path, read in sorted(sources.items())])
    raise ValueError(
        f"{folder}: expected a file, or the folder of a Matterport3D scan with house_segmentations, "
        f"region_segmentations or matterport_mesh (folders or .zip), found {_listing(folder)}; "
        "name a file or such a folder"
    )


def find_regions(folder: Path) -> dict[int, Callable[[], bytes]]:
    """What reads region_segmentations/region<N>.ply, by N in order; raises as read_matterport for bad archives."""
    found = {}
    for path, read in _find(folder, "region_segmentations", _REGION).items():
        match = _REGION.fullmatch(path.name)
        assert match is not None
        found[int(match[1])] = read
    return dict(sorted(found.items()))


def read_regions(folder: Path, numbers: Iterable[int]) -> Mesh:
    """The named regions as one mesh.  Raises ValueError where one is missing or damaged, or none is named."""
    regions = find_regions(folder)
    meshes = []
    for number in numbers:
        path = folder / "region_segmentations" / f"region{number}.ply"
        if number not in regions:
            raise ValueError(f"{path}: expected a region of this scan, found no such file; download the scan again")
        meshes.append(_parse(path, regions[number]()))
    if not meshes:
        raise ValueError(f"{folder}: expected at least one region to read, found none; name some")
    return _merge(meshes)


def find_house_file(folder: Path) -> tuple[Path, Callable[[], bytes]] | None:
    """Where house_segmentations/<id>.house lies and what reads it; None where there is none."""
    sources = _find(folder, "house_segmentations", _HOUSE)
    return min(sources.items()) if sources else None


def _find(folder: Path, part: str, pattern: re.Pattern[str]) -> Sources:
    """Files of one part of a scan: in its folder, in archives within that folder, else in <part>.zip.

    Archives unpacked where they lie add a folder of the scan's name, which is looked into as well.
    """
    for place in (folder, folder / folder.name):
        found = _in_folder(place / part, pattern)
        for archive in sorted((place / part).glob("*.zip")):
            found = {**_in_archive(archive, part, pattern), **found}
        found = found or _in_archive(place / f"{part}.zip", part, pattern)
        if found:
            return found
    return {}


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return (", ".join(names[:5]) + (" ..." if len(names) > 5 else "")) or "an empty folder"


def _in_folder(folder: Path, pattern: re.Pattern[str]) -> Sources:
    """Files below the folder whose path, relative to it, matches."""
    files = sorted(folder.rglob("*")) if folder.is_dir() else []
    matching = [file for file in files if pattern.fullmatch(file.relative_to(folder).as_posix())]
    return {file: file.read_bytes for file in matching if file.is_file()}


def _in_archive(archive: Path, part: str, pattern: re.Pattern[str]) -> Sources:
    """Members <anything>/<part>/<match> of the archive; nothing is written to disk."""
    if not archive.is_file():
        return {}
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except ARCHIVE_DAMAGE as error:
        raise unreadable(archive, "a .zip archive", "damaged or truncated data") from error
    found: Sources = {}
    for member in members:
        _require_safe(archive, member)
        inside = member.filename.split(f"{part}/")[-1]
        if pattern.fullmatch(inside):
            found[archive / member.filename] = partial(_unpack, archive, member)
    return found


def _require_safe(archive: Path, member: zipfile.ZipInfo) -> None:
    name, shown = member.filename.replace("\\", "/"), one_line(member.filename, 100)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in PurePosixPath(name).parts:
        raise ValueError(
            f"{archive}: expected names inside the archive, found {shown!r}, which leaves it; "
            "do not trust this archive, download the scan again"
        )
    if member.compress_type not in COMPRESSIONS:  # the others unpack to thousands of times their size
        raise unreadable(archive, f"{shown!r} stored or deflated", f"compression method {member.compress_type}")
    if member.file_size > MAX_MEMBER_BYTES:
        raise ValueError(
            f"{archive}: expected files of at most {MAX_MEMBER_BYTES} bytes, found {member.file_size} in "
            f"{shown!r}; unpack it by hand if it is meant to be so large"
        )


def _unpack(archive: Path, member: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as file:
            content = file.read(MAX_MEMBER_BYTES + 1)
    except ARCHIVE_DAMAGE as error:
        raise damaged(archive, f"intact data of {member.filename!r}", error) from error
    if len(content) > MAX_MEMBER_BYTES:
        raise ValueError(
            f"{archive}: {one_line(member.filename, 100)!r} unpacks to more than it says; download the scan again"
        )
    return content


def _parse(path: Path, content: bytes) -> Mesh:
    geometry = parse_geometry(path, io.BytesIO(content))
    if isinstance(geometry, PointCloud):
        raise unreadable(path, "a mesh", f"{len(geometry)} points without faces")
    return geometry


def _merge(meshes: list[Mesh]) -> Mesh:
    """One mesh of all parts; colours and normals stay where every part has them."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)]
    normals = [mesh.normals for mesh in meshes if mesh.normals is not None]
    colours = [mesh.colours for mesh in meshes if mesh.colours is not None]
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate(faces),
        np.concatenate(normals) if len(normals) == len(meshes) else None,
        np.concatenate(colours) if len(colours) == len(meshes) else None,
    )
