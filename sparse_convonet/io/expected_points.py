"""How many points a file will turn out to hold, told without reading it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from sparse_convonet.io.text import TEXT_SUFFIXES

_HEADER_BYTES = 1 << 16
# The least that a point usually takes on the disk; of formats that compress, more points may come out.
_BYTES_PER_POINT = {
    ".pcd": 12, ".npz": 12, ".npy": 12, ".e57": 6, ".ptx": 15, **dict.fromkeys(TEXT_SUFFIXES, 15),
}  # fmt: skip


def expected_points(path: Path) -> int:
    """What the header of a .las, .laz or .ply file says, or what fits the size of another.

    0 for meshes of other formats, folders and files that are missing or damaged, which reading them tells.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        return 0
    if suffix in (".las", ".laz", ".ply"):
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        return _of_ply(header) if suffix == ".ply" else _of_las(header)
    return path.stat().st_size // _BYTES_PER_POINT[suffix] if suffix in _BYTES_PER_POINT else 0


def _of_ply(header: bytes) -> int:
    found = re.search(rb"\n\s*element[ \t]+vertex[ \t]+(\d{1,18})\s", header)
    return int(found[1]) if found else 0


def _of_las(header: bytes) -> int:
    """Offsets: LAS specification 1.4 R15, table 3."""
    if header[:4] != b"LASF" or len(header) < 375:
        return 0
    (count,) = struct.unpack_from("<Q", header, 247) if header[25] >= 4 else struct.unpack_from("<I", header, 107)
    return int(count)
