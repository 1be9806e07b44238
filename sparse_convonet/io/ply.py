"""Points and meshes in PLY files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sparse_convonet.io import line_blocks
from sparse_convonet.io.columns import cloud_from_columns, points_and_raw_colours
from sparse_convonet.io.number_text import number_rows
from sparse_convonet.io.ply_format import (
    Column,
    FixedRows,
    ListColumn,
    TextRows,
    ValueRange,
    locate_fixed,
    locate_text,
    read_elements,
)
from sparse_convonet.io.ply_rows import header_of, packed_rows, packed_type, write_elements
from sparse_convonet.io.point_chunk import PointChunk, read_rows
from sparse_convonet.io.polygons import triangulate
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import Mesh, PointCloud

_HEAD_BYTES = 1 << 20  # in which a header must end


def parse_ply(path: Path, content: bytes) -> PointCloud | Mesh:
    """A Mesh where the file has faces, else a PointCloud.

    path: for messages only.  content: the whole file.  Polygons become fans of triangles; properties other than
    position, colour and normal are left out.  Raises ValueError for anything damaged.
    """
    elements = read_elements(path, content)
    if "vertex" not in elements:
        raise unreadable(path, "an element 'vertex'", ", ".join(elements) or "no element")
    scalars = {name: column for name, column in elements["vertex"].items() if isinstance(column, np.ndarray)}
    cloud = cloud_from_columns(path, scalars)
    require_points(path, len(cloud))
    faces = _triangles(path, elements.get("face", {}), len(cloud))
    if len(faces) == 0:
        return cloud
    return Mesh(cloud.points, faces, cloud.normals, cloud.colours)


def ply_chunks(path: Path, chunk_points: int) -> Iterator[PointChunk] | None:
    """The points of a PLY file without faces, so many at a time; None for meshes, and text that fits a block of lines.

    Raises ValueError as parse_ply.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    rows = locate_fixed(path, head, path.stat().st_size, "vertex")
    if rows is not None:
        return _chunks_of_rows(path, rows, chunk_points)
    text = locate_text(path, head, "vertex") if path.stat().st_size > line_blocks.BLOCK_BYTES else None
    return None if text is None else _chunks_of_text(path, text, chunk_points)


def _chunks_of_text(path: Path, rows: TextRows, chunk_points: int) -> Iterator[PointChunk]:
    """Where whole numbers are declared, the file is read twice: all of a column tell whether they are."""
    ranges: list[ValueRange] | None = None
    if rows.has_integers:
        for table in _text_tables(path, rows):
            found = [ValueRange.of(column) for column in table.T]
            ranges = [each.joined(new) for each, new in zip(ranges, found, strict=True)] if ranges else found
    done = 0
    for table in _text_tables(path, rows):
        for start in range(0, len(table), chunk_points):
            part = table[start : start + chunk_points]
            done += len(part)
            columns = rows.columns(path, part, ranges)
            yield PointChunk(*points_and_raw_colours(path, columns), done / rows.count)


def _text_tables(path: Path, rows: TextRows) -> Iterator[np.ndarray]:
    """The rows (n, properties) float64, a block of lines at a time, and not what is behind them."""
    width, left = len(rows.properties), rows.count
    for table, _ in number_rows(path, rows.offset, rows.first_line, width):
        if left and table.shape[1] == width:
            yield table[:left]
            left -= len(table[:left])
    if left:
        raise rows.truncated(path, "vertex", rows.count - left)


def _chunks_of_rows(path: Path, rows: FixedRows, chunk_points: int) -> Iterator[PointChunk]:
    points_and_raw_colours(path, rows.columns(np.zeros(0, rows.dtype)))  # refuses missing columns
    require_points(path, rows.count)
    for start in range(0, rows.count, chunk_points):
        stop = min(start + chunk_points, rows.count)
        part = read_rows(path, rows.dtype, stop - start, rows.offset + start * rows.dtype.itemsize)
        yield PointChunk(*points_and_raw_colours(path, rows.columns(part)), stop / rows.count)


def _triangles(path: Path, columns: dict[str, Column], vertex_count: int) -> np.ndarray:
    """(F, 3) int64 from the polygons of the element 'face'."""
    polygons = next((columns[name] for name in ("vertex_indices", "vertex_index") if name in columns), None)
    if not isinstance(polygons, ListColumn):
        return np.zeros((0, 3), dtype=np.int64)
    return triangulate(path, polygons.lengths, polygons.values, vertex_count)


def write_ply(path: Path, geometry: PointCloud | Mesh) -> None:
    """Binary little-endian, positions as doubles (so that offsets of 500 km survive), normals float, colours uchar."""
    points = geometry.vertices if isinstance(geometry, Mesh) else geometry.points
    elements = {"vertex": _vertex_rows(points, geometry.normals, geometry.colours)}
    if isinstance(geometry, Mesh):
        _require_countable(len(geometry.vertices))
        elements["face"] = _face_rows(geometry.faces)
    write_elements(path, elements)


class MeshParts:
    """A mesh written part by part to one file, the same as write_ply writes it whole.

    path: an empty file or none.  vertices, faces: how many there will be of all parts together.
    Raises ValueError where there are more vertices than a face can name.
    """

    def __init__(self, path: Path, vertices: int, faces: int, *, normals: bool, colours: bool) -> None:
        _require_countable(vertices)
        self._kinds = {"vertex": _vertex_type(normals, colours), "face": _FACE_TYPE}
        self._left = {"vertex": vertices, "face": faces}
        header = header_of({name: (kinds, self._left[name]) for name, kinds in self._kinds.items()})
        self._file = path.open("wb")
        self._file.write(header)
        faces_begin = len(header) + vertices * packed_type(self._kinds["vertex"]).itemsize
        self._places = {"vertex": len(header), "face": faces_begin}

    def add(self, part: Mesh) -> None:
        """The next vertices, and faces that name vertices of all parts, also those to come."""
        vertices = _vertex_rows(part.vertices, part.normals, part.colours)
        for name, rows in (("vertex", vertices), ("face", _face_rows(part.faces))):
            assert rows.dtype == self._kinds[name] and len(rows) <= self._left[name]
            packed = packed_rows(rows)
            self._file.seek(self._places[name])
            self._file.write(packed.data)
            self._places[name] += packed.nbytes
            self._left[name] -= len(rows)

    def __enter__(self) -> MeshParts:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        assert kind is not None or not any(self._left.values()), f"not all was written: {self._left}"


_FACE_TYPE = np.dtype([("vertex_indices", "<i4", (3,))])
_POSITION, _NORMAL, _COLOUR = ("x", "y", "z"), ("nx", "ny", "nz"), ("red", "green", "blue")


def _require_countable(vertices: int) -> None:
    if vertices > np.iinfo(np.int32).max:
        raise ValueError(f"mesh: expected at most 2^31 - 1 vertices, found {vertices}; simplify it")


def _vertex_type(normals: bool, colours: bool) -> np.dtype:
    fields = [(name, "<f8") for name in _POSITION]
    fields += [(name, "<f4") for name in _NORMAL] if normals else []
    fields += [(name, "u1") for name in _COLOUR] if colours else []
    return np.dtype(fields)


def _vertex_rows(points: np.ndarray, normals: np.ndarray | None, colours: np.ndarray | None) -> np.ndarray:
    rows = np.zeros(len(points), dtype=_vertex_type(normals is not None, colours is not None))
    for values, names in ((points, _POSITION), (normals, _NORMAL), (colours, _COLOUR)):
        if values is not None:
            for axis, name in enumerate(names):
                rows[name] = values[:, axis]
    return rows


def _face_rows(faces: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(faces), dtype=_FACE_TYPE)
    rows["vertex_indices"] = faces
    return rows
