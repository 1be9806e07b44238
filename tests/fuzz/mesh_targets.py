"""Readers of meshes: PLY, OBJ, OFF, STL, GLB, glTF, and the folders and archives of Matterport3D."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from sparse_convonet.data.sets.matterport_regions import find_floors
from sparse_convonet.io.matterport import read_matterport
from sparse_convonet.io.meshes import read_geometry, write_mesh
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud
from tests.fuzz.containers import glb, mutate_glb, mutate_json, mutate_zip, zipped
from tests.fuzz.point_targets import cloud, require_sound, written
from tests.fuzz.target import Target

SCAN = "17DRP5sb8fy"


def tetrahedron() -> Mesh:
    vertices = np.array([[0, 0, 0], [1.5, 0, 0], [0, 2, 0.25], [0, 0, 1]], dtype=np.float64)
    colours = np.array([[0, 0, 0], [255, 0, 1], [2, 255, 3], [4, 5, 255]], dtype=np.uint8)
    return Mesh(vertices, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]), colours=colours)


def read_shape(folder: Path, file: Path) -> Mesh | PointCloud:
    require_file(file)
    found = read_geometry(file)
    if isinstance(found, Mesh):
        require_sound_mesh(found)
    else:
        require_sound(found)
    return found


def require_sound_mesh(mesh: Mesh) -> None:
    """Faces of vertices that are there; colours and normals of every vertex."""
    assert mesh.vertices.dtype == np.float64 and mesh.faces.dtype == np.int64 and len(mesh.faces) > 0
    assert 0 <= mesh.faces.min() and mesh.faces.max() < len(mesh.vertices)
    assert mesh.colours is None or mesh.colours.dtype == np.uint8
    assert mesh.normals is None or mesh.normals.dtype == np.float32


def _read_scan(folder: Path, file: Path) -> None:
    """Also points on the mesh, which take longer."""
    require_sound(read_points(file, sample_spacing_m=1.0))


def _plys() -> list[bytes]:
    mesh = tetrahedron()
    exported = [mesh.to_trimesh().export(file_type="ply", encoding=encoding) for encoding in ("ascii", "binary")]
    header = "ply\nformat {} 1.0\ncomment by hand\nobj_info x\nelement vertex 4\nproperty float x\nproperty float y\n"
    header += "property float z\nproperty list uchar int tags\nproperty ushort label\nelement face 2\n"
    header += "property list uchar int vertex_indices\nproperty int segment_id\nend_header\n"
    rows = "0 0 0 1 7 1\n1 0 0 0 2\n0 1 0 2 1 2 3\n0 0 1 0 4\n3 0 1 2 5\n4 0 1 2 3 6\n"
    big = b""
    for place, tags in zip(mesh.vertices, ([7], [], [1, 2], []), strict=True):
        big += place.astype(">f4").tobytes() + bytes([len(tags)]) + np.array(tags, ">i4").tobytes() + b"\0\2"
    for face in ([0, 1, 2], [0, 1, 2, 3]):
        big += bytes([len(face)]) + np.array(face, ">i4").tobytes() + b"\0\0\0\5"
    return [
        written(lambda path: write_mesh(path, mesh), ".ply"),
        written(lambda path: write_points(path, cloud()), ".ply"),
        *(text if isinstance(text, bytes) else text.encode() for text in exported),
        (header.format("ascii") + rows).encode(),
        (header.format("binary_big_endian")).encode() + big,
    ]


def _objs() -> list[bytes]:
    text = (
        "# made by hand\nmtllib a.mtl\no shape\nv 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nv 0 0 1 1 1 1\nvn 0 0 1\n"
    )
    text += (
        "vt 0.5 0.5\ng part\nusemtl b\ns off\nf 1/1/1 3/1/1 2/1/1\nf 1 2 4\nf -4 -1 \\\n-2\nf 2//1 3//1 4//1\nl 1 2\n"
    )
    plain = "v 0 0 0\r\nv 1e0 0 0\r\nv 0 1 .5\r\nf 1 2 3\r\n"
    return [text.encode(), plain.encode(), written(lambda path: write_mesh(path, tetrahedron()), ".obj")]


def _offs() -> list[bytes]:
    coloured = "COFF\n# made by hand\n4 2 0\n0 0 0 255 0 0 255\n1 0 0 0 255 0 255\n0 1 0 0 0 255 255\n0 0 1 9 9 9 255\n"
    coloured += "3 0 1 2\n4 0 1 2 3 200 100 50\n"
    normals = "NOFF 3 1 0\n0 0 0 0 0 1\n1 0 0 0 0 1\n0 1 0 0 0 1\n3 0 1 2\n"
    plain = written(lambda path: write_mesh(path, tetrahedron()), ".off")
    return [coloured.encode(), normals.encode(), plain]


def _stls() -> list[bytes]:
    mesh = tetrahedron()
    text = mesh.to_trimesh().export(file_type="stl_ascii")
    return [written(lambda path: write_mesh(path, mesh), ".stl"), text.encode() if isinstance(text, str) else text]


def _textured() -> trimesh.Trimesh:
    mesh = trimesh.Trimesh(tetrahedron().vertices, tetrahedron().faces, process=False)
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.float64)
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return mesh


def _glbs() -> list[bytes]:
    exported = trimesh.Scene([_textured()]).export(file_type="glb")
    assert isinstance(exported, bytes)
    return [written(lambda path: write_mesh(path, tetrahedron()), ".glb"), exported]


def _gltf_parts(data: bytes) -> tuple[dict, bytes]:
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def _gltfs() -> list[bytes]:
    """With the buffer inside, beside, and, which must be refused, above."""
    files = []
    for data in _glbs():
        content, binary = _gltf_parts(data)
        inside = "data:application/octet-stream;base64," + base64.b64encode(binary).decode()
        for place in (inside, "buffer.bin", "../secret.yaml"):
            content["buffers"][0]["uri"] = place
            files.append(json.dumps(content).encode())
    return files


def _bomb() -> bytes:
    """A GLB whose texture unpacks to a thousand times its size."""
    content, binary = _gltf_parts(_glbs()[1])
    buffer = io.BytesIO()
    Image.new("L", (3000, 3000)).save(buffer, "PNG")
    view = content["images"][0]["bufferView"]
    content["bufferViews"][view] = {"buffer": 0, "byteOffset": len(binary), "byteLength": len(buffer.getvalue())}
    content["buffers"][0]["byteLength"] = len(binary) + len(buffer.getvalue())
    return glb(json.dumps(content).encode(), binary + buffer.getvalue())


def _regions() -> list[bytes]:
    ply = _plys()
    first = f"{SCAN}/region_segmentations/region0.ply"
    return [
        zipped({f"{SCAN}/region_segmentations/": b"", first: ply[0], first.replace("0.ply", "1.ply"): ply[2]}),
        zipped({first: ply[5], f"{SCAN}/region_segmentations/region0.semseg.json": b"{}"}),
    ]


def _read_archive(folder: Path, file: Path) -> None:
    require_sound_mesh(read_matterport(file.parent))


def _houses() -> list[bytes]:
    lines = ["ASCII 1.1", f"H {SCAN} {SCAN} 18 1 0 0 0 0 2 2 0 2  0 0 0 0 0  0 0 0 5 5 5  0 0 0 0 0"]
    lines += ["L 0 1 -  0 0 0  0 0 0 5 5 2.5  0 0 0 0 0", "L 1 1 -  0 0 0  0 0 3 5 5 5.5  0 0 0 0 0"]
    lines += [f"R {i} {level} 0 0 b  0 0 0  0 0 {z} 5 5 {z + 2}  2.5 0 0 0 0" for i, level, z in ((0, 0, 0), (1, 1, 3))]
    lines += ["P 0f37bd0737e349de9d536263a4bdd60d 0 0 0  1 2 1.5  0 0 0 0 0", "C 0 1 wall 1 wall 0 0 0 0 0"]
    text = "\n".join(lines) + "\n"
    return [text.encode(), text.replace("R 0 0", "R 0 -1").replace("R 1 1", "R 1 -1").encode()]


def _read_house(folder: Path, file: Path) -> None:
    layout = find_floors(file.parents[1])
    assert layout.floors and all(np.isfinite(r.bounds_m).all() for floor in layout.floors for r in floor)


_PLY_WORDS = tuple(b"ply format ascii binary_little_endian binary_big_endian element vertex face property list uchar int "
                   b"float double int64 uint64 char end_header "
 b"comment vertex_indices "
 b"x y z red nx label".split()
)  # fmt: skip
_OBJ_WORDS = tuple(b"v f vn vt l o g usemtl mtllib # \\ 1/1/1 1// -1 -2 1/ /1 / 0 p curv call ../secret.yaml".split())
_OFF_WORDS = tuple(b"OFF COFF NOFF CNOFF STOFF 4OFF nOFF BINARY # 3 4".split())
_STL_WORDS = tuple(b"solid facet normal outer loop vertex endloop endfacet endsolid".split())
_GLTF_WORDS = tuple(b"SCALAR VEC2 VEC3 MAT4 POSITION COLOR_0 NORMAL TEXCOORD_0 ../secret.yaml /etc/passwd buffer.bin "
                    b"file:///etc/passwd http://127.0.0.1/a data:, image/png KHR_draco_mesh_compression".split()
)  # fmt: skip


def targets() -> list[Target]:
    buffer = _gltf_parts(_glbs()[0])[1]
    house = f"{SCAN}/house_segmentations/{SCAN}.house"
    return [
        Target("ply", "a.ply", _plys, read_shape, _PLY_WORDS),
        Target("obj", "a.obj", _objs, read_shape, _OBJ_WORDS),
        Target("off", "a.off", _offs, read_shape, _OFF_WORDS),
        Target("stl", "a.stl", _stls, read_shape, _STL_WORDS),
        Target("glb", "a.glb", lambda: [*_glbs(), _bomb()], read_shape, _GLTF_WORDS, mutate_glb, quick=80),
        Target(
            "gltf", "a.gltf", lambda: _gltfs()[:2], read_shape, _GLTF_WORDS, mutate_json,
            lambda: {"buffer.bin": buffer}, quick=80,
        ),
        Target("scan", "a.ply", _plys, _read_scan, _PLY_WORDS, quick=80),
        Target("matterport", f"{SCAN}/region_segmentations.zip", _regions, _read_archive, _PLY_WORDS, mutate_zip),
        Target("house", house, _houses, _read_house, (b"R", b"L", b"ASCII", b"-1", b"H")),
    ]  # fmt: skip
