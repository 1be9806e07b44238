"""Points and meshes in PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse_convonet.io.columns import cloud_from_columns
from sparse_convonet.io.ply_format import Column, ListColumn, read_elements, write_elements
from sparse_convonet.io.polygons import triangulate
from sparse_convonet.io.refusals import require_points, unreadable
from sparse_convonet.structures import Mesh, PointCloud


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


def _triangles(path: Path, columns: dict[str, Column], vertex_count: int) -> np.ndarray:
    """(F, 3) int64 from the polygons of the element 'face'."""
    polygons = next((columns[name] for name in ("vertex_indices", "vertex_index") if name in columns), None)
    if not isinstance(polygons, ListColumn):
        return np.zeros((0, 3), dtype=np.int64)
    return triangulate(path, polygons.lengths, polygons.values, vertex_count)


def write_ply(path: Path, geometry: PointCloud | Mesh) -> None:
    """Binary little-endian, positions as doubles (so that offsets of 500 km survive), normals float, colours uchar."""
    points = geometry.vertices if isinstance(geometry, Mesh) else geometry.points
    fields = [(name, "<f8") for name in "xyz"]
    if geometry.normals is not None:
        fields += [(name, "<f4") for name in ("nx", "ny", "nz")]
    if geometry.colours is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.zeros(len(points), dtype=fields)
    sources = [(points, ("x", "y", "z")), (geometry.normals, ("nx", "ny", "nz"))]
    sources.append((geometry.colours, ("red", "green", "blue")))
    for values, names in sources:
        if values is not None:
            for axis, name in enumerate(names):
                rows[name] = values[:, axis]
    elements = {"vertex": rows}
    if isinstance(geometry, Mesh):
        if len(geometry.vertices) > np.iinfo(np.int32).max:
            raise ValueError(f"mesh: expected at most 2^31 - 1 vertices, found {len(geometry.vertices)}; simplify it")
        faces = np.zeros(len(geometry.faces), dtype=[("vertex_indices", "<i4", (3,))])
        faces["vertex_indices"] = geometry.faces
        elements["face"] = faces
    write_elements(path, elements)
