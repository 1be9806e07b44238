"""Read meshes in OFF files.

Own reader on purpose: trimesh accepts truncated lists of faces.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sparse_convonet.io.columns import to_colours, to_normals
from sparse_convonet.io.number_text import is_count, parse_lines, parse_table
from sparse_convonet.io.polygons import triangulate
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import Mesh, PointCloud

_KINDS = ("OFF", "COFF", "NOFF", "CNOFF")  # C: a colour per vertex, N: a normal per vertex


def parse_off(path: Path, content: bytes) -> Mesh | PointCloud:
    """A Mesh, or a PointCloud where there are no faces.

    path: for messages only.  One vertex or face per line; colours of faces are left out.
    Raises ValueError for damaged or truncated text and for faces of missing vertices.
    """
    content = re.sub(rb"#[^\r\n]*", b"", content)
    lines = [line for line in content.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    # Some writers forget the space before the counts on the first line.
    first = re.sub(rb"^(\s*(?:CN|C|N)?OFF)(?=\d)", rb"\1 ", lines[0], flags=re.IGNORECASE).split() if lines else []
    kind = first[0].decode("latin-1").upper() if first else ""
    if kind not in _KINDS:
        raise unreadable(path, f"an OFF mesh (first word {', '.join(_KINDS)})", repr(kind[:20]))
    # Some writers put the counts on the first line.
    counts = first[1:] or (lines[1].split() if len(lines) > 1 else [])
    rows = lines[1:] if len(first) > 1 else lines[2:]
    if len(counts) < 2 or not all(is_count(word) for word in counts):
        raise unreadable(path, "the counts of vertices and faces", repr(b" ".join(counts)[:40].decode("latin-1")))
    vertex_count, face_count = int(counts[0]), int(counts[1])
    require_points(path, vertex_count)
    if len(rows) < vertex_count + face_count:
        raise unreadable(
            path, f"{vertex_count} vertices and {face_count} faces", f"only {len(rows)} lines: the file is truncated"
        )
    table = parse_table(b"\n".join(rows[:vertex_count]), None)
    width = 3 + 3 * ("N" in kind[:-3])
    if table is None or table.shape[1] < width or ("C" in kind and table.shape[1] < width + 3):
        raise unreadable(path, f"{width} numbers or more for each vertex", "other text")
    points = np.ascontiguousarray(table[:, :3])
    normals = to_normals(table[:, 3:6]) if "N" in kind[:-3] else None
    colours = to_colours(table[:, width : width + 3]) if "C" in kind else None
    faces = _triangles(path, rows[vertex_count : vertex_count + face_count], vertex_count)
    if len(faces) == 0:
        return PointCloud(points, colours, normals)
    return Mesh(points, faces, normals, colours)


def _triangles(path: Path, rows: list[bytes], vertex_count: int) -> np.ndarray:
    """(F, 3) int64 from lines 'n a b c ...', perhaps with a colour at the end."""
    words = [row.split() for row in rows]
    if not all(is_count(row[0]) for row in words):
        raise unreadable(path, "faces that begin with their number of corners", "other text")
    lengths = np.array([int(row[0]) for row in words], dtype=np.int64)
    short = next((row for row, length in zip(words, lengths, strict=True) if len(row) <= length), None)
    if short is not None:
        raise unreadable(path, f"{int(short[0])} corners of a face", f"only {len(short) - 1}: the file is truncated")
    corners = [b" ".join(row[1 : length + 1]) for row, length in zip(words, lengths.tolist(), strict=True)]
    return triangulate(path, lengths, parse_lines(path, corners, lengths), vertex_count)
