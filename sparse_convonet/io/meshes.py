"""Read and write triangle meshes; .stl is read, and all but .ply written, by trimesh."""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sparse_convonet.clouds.coincidence import first_of_each_place
from sparse_convonet.io.gltf import parse_gltf
from sparse_convonet.io.obj import parse_obj
from sparse_convonet.io.off import parse_off
from sparse_convonet.io.ply import parse_ply, write_ply
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import damaged, require_file, unreadable
from sparse_convonet.structures import Mesh, PointCloud

READ_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb", ".gltf")
WRITE_SUFFIXES = (".ply", ".obj", ".glb", ".stl", ".off")
FLOAT32_OFFSET_LIMIT_M = 4096.0  # beyond it float32 steps exceed 0.5 mm

# What trimesh's parsers raise for damaged data: they index into, decode and reshape it without checking.
PARSER_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, NameError, NotImplementedError,
    RecursionError, SyntaxError, struct.error,
)  # fmt: skip

logger = logging.getLogger(__name__)


def read_mesh(path: Path | str) -> Mesh:
    """A triangle mesh; scenes of several parts are merged, polygons cut into triangles, nothing is moved.

    Raises FileNotFoundError or ValueError for a missing, damaged or unknown file, and for one without faces.
    """
    path = Path(path)
    require_file(path)
    geometry = read_geometry(path)
    if isinstance(geometry, PointCloud):
        raise unreadable(path, "a mesh", f"{len(geometry)} points without faces")
    return geometry


def read_geometry(path: Path) -> Mesh | PointCloud:
    """A Mesh, or a PointCloud where a file of a mesh format has no faces."""
    with path.open("rb") as file:
        return parse_geometry(path, file)


def parse_geometry(path: Path, file: BinaryIO) -> Mesh | PointCloud:
    """As read_geometry, from an open file; `path` gives the format by its suffix and, for .gltf, the folder."""
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return parse_ply(path, file)
    if suffix == ".obj":
        return parse_obj(path, file.read())
    if suffix == ".off":
        return parse_off(path, file.read())
    if suffix == ".stl":
        return _parse_stl(path, file.read())
    if suffix in (".glb", ".gltf"):
        return parse_gltf(path, file.read())
    raise ValueError(f"{path}: expected a mesh ({', '.join(READ_SUFFIXES)}), found the suffix {suffix!r}; convert it")


def _parse_stl(path: Path, content: bytes) -> Mesh:
    import trimesh  # here and below: seconds to import, and most tools need it for no file

    try:
        with np.errstate(all="ignore"):  # NaN of any bits passes, and what overflows
            loaded: Any = trimesh.load(io.BytesIO(content), file_type="stl", force="mesh", process=False)
    except PARSER_ERRORS as error:
        raise damaged(path, "a .stl mesh", error) from error
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise unreadable(path, "a .stl mesh", "no faces")
    vertices = np.array(loaded.vertices, dtype=np.float64)
    faces = np.array(loaded.faces, dtype=np.int64)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise unreadable(path, f"faces of vertices 0 to {len(vertices) - 1}", f"indices up to {faces.max()}")
    kept, place = first_of_each_place(vertices)  # STL repeats each vertex in every face
    return Mesh(vertices[kept], place[faces])


def write_mesh(path: Path | str, mesh: Mesh) -> None:
    """Write .ply (binary, double vertices), .obj, .glb, .stl or .off; the file appears whole or not at all.

    .glb stores vertices as float32 beside an offset in double; .stl stores float32 alone, which a warning in the log
    says where the mesh stands so far from the origin that it costs precision.  .stl and .off carry no colours, which
    is logged too, and no normals of vertices.  Raises ValueError for another suffix.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITE_SUFFIXES:
        raise ValueError(f"{path}: expected a mesh format ({', '.join(WRITE_SUFFIXES)}), found {suffix!r}; rename it")
    with atomic_path(path) as temporary:
        if suffix == ".ply":
            write_ply(temporary, mesh)
        else:
            temporary.write_bytes(_export(path, suffix, mesh))


def _export(path: Path, suffix: str, mesh: Mesh) -> bytes:
    if len(mesh.faces) == 0:
        raise ValueError(f"{path}: expected at least one face to write as {suffix}, found none; write it as .ply")
    exported: Any
    if suffix == ".glb":
        # The standard wants names of its own for what is no attribute of its own, and numbers of four bytes.
        attributes = {f"_{name.upper()}": np.asarray(values, np.float32) for name, values in mesh.attributes.items()}
        exported = glb_of(Mesh(mesh.vertices, mesh.faces, mesh.normals, mesh.colours, attributes).to_trimesh())
    else:
        if suffix in (".stl", ".off") and mesh.colours is not None:
            logger.warning("%s: %s carries no colours; write .ply or .glb to keep them", path, suffix)
        farthest = float(np.abs(mesh.vertices).max())
        if suffix == ".stl" and farthest > FLOAT32_OFFSET_LIMIT_M:
            logger.warning("%s: STL's float32 is too coarse %.0f from the origin; write .ply instead", path, farthest)
        exported = mesh.to_trimesh().export(file_type=suffix[1:])
    return exported.encode("utf-8") if isinstance(exported, str) else exported


def glb_of(mesh: Any) -> bytes:
    """The .glb of a trimesh.Trimesh, which is moved: vertices relative to a whole number of metres, since they are float32;
    the node of the scene carries the offset as JSON numbers."""
    import trimesh

    offset = np.round(mesh.vertices.mean(axis=0))
    mesh.vertices = mesh.vertices - offset
    scene = trimesh.Scene()
    scene.add_geometry(mesh, transform=trimesh.transformations.translation_matrix(offset))
    return export_glb(scene)


def export_glb(shown: Any, include_normals: bool | None = None) -> bytes:
    """The .glb of a trimesh.Trimesh or Scene, matt and seen from both sides: without a material, glTF means bare metal,
    which is black in many viewers, and an open surface is not there from behind."""
    exported: bytes = shown.export(file_type="glb", include_normals=include_normals, tree_postprocessor=_make_matt)
    return exported


def _make_matt(tree: dict[str, Any]) -> None:
    materials = tree.setdefault("materials", [])
    for mesh in tree["meshes"]:
        for primitive in mesh["primitives"]:
            if "material" not in primitive:
                primitive["material"] = len(materials)
                materials.append({"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}})
    for material in materials:
        material["doubleSided"] = True
