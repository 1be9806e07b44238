"""Read and write triangle meshes; .stl .glb .gltf are read, and all but .ply written, by trimesh."""

from __future__ import annotations

import io
import json
import logging
import struct
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sparse_convonet.clouds.coincidence import first_of_each_place
from sparse_convonet.io.columns import to_colours
from sparse_convonet.io.obj import parse_obj
from sparse_convonet.io.off import parse_off
from sparse_convonet.io.ply import parse_ply, write_ply
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import damaged, one_line, require_file, unreadable
from sparse_convonet.structures import Mesh, PointCloud

TRIMESH_SUFFIXES = (".stl", ".glb", ".gltf")
READ_SUFFIXES = (".ply", ".obj", ".off", *TRIMESH_SUFFIXES)
WRITE_SUFFIXES = (".ply", ".obj", ".glb", ".stl", ".off")
_FLOAT32_OFFSET_LIMIT_M = 4096.0  # beyond it float32 steps exceed 0.5 mm

# What trimesh's parsers raise for damaged data: they index into, decode and reshape it without checking.
PARSER_ERRORS = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, NameError, NotImplementedError,
    RecursionError, SyntaxError, struct.error,
)  # fmt: skip

_PICTURE_ERRORS = (OSError, Image.DecompressionBombWarning, Image.DecompressionBombError)

logger = logging.getLogger(__name__)

_ANY_ZEROS = 1 << 22  # values of accessors without a buffer view that any .glb or .gltf may have


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
    if suffix in TRIMESH_SUFFIXES:
        return _parse_with_trimesh(path, file.read())
    raise ValueError(f"{path}: expected a mesh ({', '.join(READ_SUFFIXES)}), found the suffix {suffix!r}; convert it")


def _parse_with_trimesh(path: Path, content: bytes) -> Mesh:
    import trimesh  # here and below: seconds to import, and most tools need it for no file

    suffix = path.suffix.lower()
    options: dict[str, Any] = {"file_type": suffix[1:], "force": "mesh", "process": False}
    if suffix in (".gltf", ".glb"):
        _require_plausible_gltf(path, content)
    if suffix == ".gltf":
        options["resolver"] = trimesh.resolvers.FilePathResolver(str(path))
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():  # NaN of any bits passes, and what overflows
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            loaded: Any = trimesh.load(io.BytesIO(content), **options)
    except FileNotFoundError as error:
        raise unreadable(path, "the buffers that it names beside it", f"no file {error}") from error
    except (*PARSER_ERRORS, *_PICTURE_ERRORS) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, and not of a picture
            raise
        raise damaged(path, f"a {suffix} mesh", error) from error
    if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
        raise unreadable(path, f"a {suffix} mesh", "no faces")
    mesh = _from_trimesh(path, loaded)
    if suffix != ".stl":
        return mesh
    kept, place = first_of_each_place(mesh.vertices)  # STL repeats each vertex in every face
    return Mesh(mesh.vertices[kept], place[mesh.faces])


def _require_plausible_gltf(path: Path, content: bytes) -> None:
    """Refuse other JSON, and huge accessors without a buffer view: all zeros (glTF 2.0, 5.1), which take memory unread."""
    suffix, text = path.suffix.lower(), content
    if suffix == ".glb":  # magic, version, length; length and type of a chunk, which is JSON
        length = int.from_bytes(content[12:16], "little")
        text = content[20 : 20 + length]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"a {suffix} mesh", error) from error
    if not isinstance(found, dict) or "asset" not in found:
        raise unreadable(path, f"a {suffix} mesh", "other JSON")
    accessors = found.get("accessors")
    counts = [
        max(each["count"], 0)
        for each in (accessors if isinstance(accessors, list) else [])
        if isinstance(each, dict) and "bufferView" not in each and isinstance(each.get("count"), int | float)
    ]
    most = max(_ANY_ZEROS, len(content))
    if not sum(counts) <= most:
        raise unreadable(path, f"at most {most} values that are not in the file", f"{sum(counts)}")


def _from_trimesh(path: Path, loaded: Any) -> Mesh:
    vertices = np.array(loaded.vertices, dtype=np.float64)
    faces = np.array(loaded.faces, dtype=np.int64)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise unreadable(path, f"faces of vertices 0 to {len(vertices) - 1}", f"indices up to {faces.max()}")
    visual = loaded.visual
    if visual.kind == "texture":
        visual = _coloured(path, visual)
    colours = np.asarray(visual.vertex_colors)[:, :3] if visual is not None and visual.kind == "vertex" else None
    has_colours = colours is not None and len(colours) == len(vertices)
    return Mesh(vertices, faces, colours=to_colours(colours) if has_colours and colours is not None else None)


def _coloured(path: Path, visual: Any) -> Any:
    """Colours of the vertices from a texture; None, which is logged, where it is damaged or too large to be true."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return visual.to_color()
    except (*PARSER_ERRORS, *_PICTURE_ERRORS) as error:
        logger.warning("%s: colours left out, since the texture cannot be read (%s)", path, one_line(str(error)))
        return None


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
        import trimesh

        # Vertices relative to a whole number of metres; the node of the scene carries the offset as JSON numbers.
        offset = np.round(mesh.vertices.mean(axis=0))
        placed = trimesh.transformations.translation_matrix(offset)
        scene = trimesh.Scene()
        local = Mesh(mesh.vertices - offset, mesh.faces, mesh.normals, mesh.colours)
        scene.add_geometry(local.to_trimesh(), transform=placed)
        exported = scene.export(file_type="glb")
    else:
        if suffix in (".stl", ".off") and mesh.colours is not None:
            logger.warning("%s: %s carries no colours; write .ply or .glb to keep them", path, suffix)
        farthest = float(np.abs(mesh.vertices).max())
        if suffix == ".stl" and farthest > _FLOAT32_OFFSET_LIMIT_M:
            logger.warning("%s: STL's float32 is too coarse %.0f from the origin; write .ply instead", path, farthest)
        exported = mesh.to_trimesh().export(file_type=suffix[1:])
    return exported.encode("utf-8") if isinstance(exported, str) else exported
