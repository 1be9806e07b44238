"""Points and meshes in PLY files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.columns import fields_of
from sparse_convonet.io.gaussian_splats import are_splats, visible_splats
from sparse_convonet.io.ply_format import Columns, ListColumn, parse_header, read_blocks
from sparse_convonet.io.point_chunk import CACHED_POINTS, PointChunk, joined
from sparse_convonet.io.polygons import triangulate
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import LeftOut, Mesh, PointCloud


def ply_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk] | None:
    """The points of a PLY file, so many at a time (None: as reading is fastest); None for files with lists: meshes.

    Raises ValueError for anything damaged.
    """
    with path.open("rb") as file:
        header = parse_header(path, file)
    if any(element.has_lists and element.count for element in header.elements):
        return None
    return _chunks(path, chunk_points)


def parse_ply(path: Path, file: BinaryIO) -> PointCloud | Mesh:
    """A Mesh where the file has faces, else a PointCloud.

    path: for messages only.  Polygons become fans of triangles; properties other than position, colour and normal are
    left out.  Raises ValueError for anything damaged.
    """
    face: Columns = {}
    cloud = joined(_vertices(path, file, None, face))
    polygons = next((face[name] for name in ("vertex_indices", "vertex_index") if name in face), None)
    if not isinstance(polygons, ListColumn):
        return cloud
    faces = triangulate(path, polygons.lengths, polygons.values, len(cloud))
    return cloud if len(faces) == 0 else Mesh(cloud.points, faces, cloud.normals, cloud.colours)


def _chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    with path.open("rb") as file:
        yield from _vertices(path, file, chunk_points, {})


def _vertices(path: Path, file: BinaryIO, chunk_points: int | None, face: Columns) -> Iterator[PointChunk]:
    """The points; `face` becomes the properties of the faces."""
    header = parse_header(path, file)
    vertex, done = header.element("vertex"), 0
    if vertex is not None and not header.order:
        fields_of(path, {item.name: np.zeros(0) for item in vertex.properties if not item.length_kind})  # or refuses
    for element, columns in read_blocks(path, file, header, chunk_points or CACHED_POINTS, keep=chunk_points is None):
        if element is vertex:
            named = {name: each for name, each in columns.items() if isinstance(each, np.ndarray)}
            require_points(path, element.count)
            done += len(named[next(iter(named))]) if named else 0
            named, transparent = visible_splats(named) if are_splats(named) else (named, 0)
            fields, left_out = fields_of(path, named), LeftOut(transparent=transparent)
            others = {name: values for name, values in named.items() if name not in _OWN}
            yield PointChunk(
                *fields, share=done / element.count, count=element.count, left_out=left_out, attributes=others
            )
        elif element.name == "face":
            face.clear()
            face.update(columns)
    if vertex is None:
        raise unreadable(
            path, "an element 'vertex'", ", ".join({each.name: 0 for each in header.elements}) or "no element"
        )


def write_ply(path: Path, geometry: PointCloud | Mesh) -> None:
    """Binary little-endian, positions as doubles (so that offsets of 500 km survive), normals float, colours uchar, and
    attributes of a mesh as float or uchar."""
    points = geometry.vertices if isinstance(geometry, Mesh) else geometry.points
    attributes = geometry.attributes if isinstance(geometry, Mesh) else {}
    elements = {"vertex": _vertex_rows(points, geometry.normals, geometry.colours, attributes)}
    if isinstance(geometry, Mesh):
        _require_countable(len(geometry.vertices))
        elements["face"] = _face_rows(geometry.faces)
    with path.open("wb") as file:
        file.write(_header_of({name: (rows.dtype, len(rows)) for name, rows in elements.items()}))
        for rows in elements.values():
            file.write(_packed(rows).data)


def write_point_parts(path: Path, count: int, *, colours: bool, parts: Iterable[PointCloud]) -> None:
    """As write_ply, of a cloud of `count` points that comes in parts: places, and colours where all have them."""
    kinds = _vertex_type(False, colours, {})
    with path.open("wb") as file:
        file.write(_header_of({"vertex": (kinds, count)}))
        for part in parts:
            file.write(_packed(_vertex_rows(part.points, None, part.colours if colours else None, {})).data)


class MeshParts:
    """A mesh written part by part to one file, the same as write_ply writes it whole.

    path: an empty file or none.  vertices, faces: how many there will be of all parts together.  attributes: the type of
    each.  Raises ValueError where there are more vertices than a face can name.
    """

    def __init__(
        self,
        path: Path,
        vertices: int,
        faces: int,
        *,
        normals: bool,
        colours: bool,
        attributes: Mapping[str, np.dtype] | None = None,
    ) -> None:
        _require_countable(vertices)
        self._kinds = {"vertex": _vertex_type(normals, colours, attributes or {}), "face": _FACE_TYPE}
        self._left = {"vertex": vertices, "face": faces}
        header = _header_of({name: (kinds, self._left[name]) for name, kinds in self._kinds.items()})
        self._file = path.open("wb")
        self._file.write(header)
        faces_begin = len(header) + vertices * _packed_type(self._kinds["vertex"]).itemsize
        self._places = {"vertex": len(header), "face": faces_begin}

    def add(self, part: Mesh) -> None:
        """The next vertices, and faces that name vertices of all parts, also those to come."""
        vertices = _vertex_rows(part.vertices, part.normals, part.colours, part.attributes)
        for name, rows in (("vertex", vertices), ("face", _face_rows(part.faces))):
            assert rows.dtype == self._kinds[name] and len(rows) <= self._left[name]
            packed = _packed(rows)
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
_OWN = {*_POSITION, *_NORMAL, *_COLOUR}


def _require_countable(vertices: int) -> None:
    if vertices > np.iinfo(np.int32).max:
        raise ValueError(f"mesh: expected at most 2^31 - 1 vertices, found {vertices}; simplify it")


def _vertex_type(normals: bool, colours: bool, attributes: Mapping[str, np.dtype]) -> np.dtype:
    fields = [(name, "<f8") for name in _POSITION]
    fields += [(name, "<f4") for name in _NORMAL] if normals else []
    fields += [(name, "u1") for name in _COLOUR] if colours else []
    fields += [(name, _plain(kind)) for name, kind in attributes.items()]
    return np.dtype(fields)


def _vertex_rows(
    points: np.ndarray,
    normals: np.ndarray | None,
    colours: np.ndarray | None,
    attributes: Mapping[str, np.ndarray],
) -> np.ndarray:
    kinds = {name: values.dtype for name, values in attributes.items()}
    rows = np.zeros(len(points), dtype=_vertex_type(normals is not None, colours is not None, kinds))
    for values, names in ((points, _POSITION), (normals, _NORMAL), (colours, _COLOUR)):
        if values is not None:
            for axis, name in enumerate(names):
                rows[name] = values[:, axis]
    for name, values in attributes.items():
        rows[name] = values
    return rows


def _face_rows(faces: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(faces), dtype=_FACE_TYPE)
    rows["vertex_indices"] = faces
    return rows


_NAMES = {"i4": "int", "u1": "uchar", "f4": "float", "f8": "double"}


def _header_of(elements: dict[str, tuple[np.dtype, int]]) -> bytes:
    """The header of a PLY: for each element the type of its rows, and how many; a field of shape (k,) is a list."""
    header = ["ply", "format binary_little_endian 1.0"]
    for element, (kinds, count) in elements.items():
        header.append(f"element {element} {count}")
        assert kinds.names is not None
        for name in kinds.names:
            kind = _NAMES[_plain(kinds[name])]
            header.append(f"property {f'list uchar {kind}' if kinds[name].shape else kind} {name}")
    return ("\n".join([*header, "end_header"]) + "\n").encode("ascii")


def _packed(rows: np.ndarray) -> np.ndarray:
    """A structured array as it stands in the file: every list with its length before it."""
    packed = np.zeros(len(rows), dtype=_packed_type(rows.dtype))
    assert rows.dtype.names is not None
    for name in rows.dtype.names:
        packed[name] = rows[name]
        if rows.dtype[name].shape:
            packed[f"length {name}"] = rows.dtype[name].shape[0]
    return packed


def _packed_type(kinds: np.dtype) -> np.dtype:
    """The type of _packed for rows of a type."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    assert kinds.names is not None
    for name in kinds.names:
        if kinds[name].shape:
            fields += [(f"length {name}", "u1"), (name, _plain(kinds[name]), kinds[name].shape)]
        else:
            fields.append((name, _plain(kinds[name])))
    return np.dtype(fields)


def _plain(kind: np.dtype) -> str:
    return kind.base.str.lstrip("<|")
