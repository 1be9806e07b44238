"""Read the shape in Wavefront OBJ files.

Own reader on purpose: trimesh reads truncated and damaged files in silence, and leaves out colours and clouds.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sparse_convonet.io.columns import to_colours
from sparse_convonet.io.number_text import parse_lines
from sparse_convonet.io.polygons import triangulate
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import Mesh, PointCloud

_LARGEST_NUMBER = float(1 << 53)


def parse_obj(path: Path, content: bytes) -> Mesh | PointCloud:
    """A Mesh of all groups and objects together, or a PointCloud where there are no faces.

    path: for messages only.  Vertices keep their order and their colours (v x y z r g b); textures, normals, lines
    and materials are left out.  Raises ValueError for damaged text and for faces of missing vertices.
    """
    content = re.sub(rb"\\\r?\n", b" ", content)  # a line that ends with a backslash goes on in the next
    vertex_lines = re.findall(rb"^[ \t]*v[ \t]+([^\r\n#]*)", content, re.MULTILINE)
    if not vertex_lines:
        raise unreadable(path, "an OBJ mesh with lines 'v x y z'", "no such line")
    table = _vertex_table(path, vertex_lines)
    colours = to_colours(table[:, -3:]) if table.shape[1] in (6, 7) else None  # 7: x y z w r g b
    points = np.ascontiguousarray(table[:, :3])
    require_points(path, len(points))
    faces = _triangles(path, content, len(points))
    return PointCloud(points, colours) if len(faces) == 0 else Mesh(points, faces, colours=colours)


def _vertex_table(path: Path, lines: list[bytes]) -> np.ndarray:
    """(V, columns) float64; every line must have as many numbers as the first."""
    width = len(lines[0].split())
    if width not in (3, 4, 6, 7):
        raise unreadable(path, "lines 'v x y z' or 'v x y z r g b'", repr(lines[0][:40].decode("latin-1")))
    wrong = next((line for line in lines if len(line.split()) != width), None)
    if wrong is not None:
        raise unreadable(path, f"{width} numbers after each 'v'", repr(wrong[:40].decode("latin-1")))
    return parse_lines(path, lines, np.full(len(lines), width)).reshape(len(lines), width)


def _triangles(path: Path, content: bytes, vertex_count: int) -> np.ndarray:
    """(F, 3) int64 from the lines 'f a b c', 'f a/t/n ...'; indices start at 1, negative ones count back."""
    faces = re.finditer(rb"^[ \t]*f[ \t]+([^\r\n#]*)", content, re.MULTILINE)
    found = [(match.start(), re.sub(rb"/[^ \t]*", b"", match.group(1))) for match in faces]
    if not found:
        return np.zeros((0, 3), dtype=np.int64)
    lengths = np.array([len(line.split()) for _, line in found], dtype=np.int64)
    numbers = parse_lines(path, [line for _, line in found], lengths)
    if not np.all(np.abs(numbers) < _LARGEST_NUMBER):  # false for NaN
        raise unreadable(path, "faces of whole vertex numbers, which start at 1", "NaN or larger numbers")
    corners = numbers.astype(np.int64)
    if np.any(corners == 0) or np.any(corners != numbers):
        raise unreadable(path, "faces of whole vertex numbers, which start at 1", "0 or a fraction")
    if np.any(corners < 0):  # relative to the vertices that stand above the face
        vertex_starts = np.array([match.start() for match in re.finditer(rb"^[ \t]*v[ \t]", content, re.MULTILINE)])
        above = np.searchsorted(vertex_starts, np.array([start for start, _ in found]))
        corners = np.where(corners < 0, corners + np.repeat(above, lengths) + 1, corners)
    return triangulate(path, lengths, corners - 1, vertex_count)
