"""glTF as it is declared: normalised and sparse numbers, colours of factors, what only an extension could read."""

from __future__ import annotations

import io
import json
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import read_points

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype="<f4")
FACES = np.array([0, 1, 2, 0, 2, 3], dtype="<u2")
COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


class Written:
    """A .glb that grows: arrays become accessors, whose numbers `add` gives."""

    def __init__(self) -> None:
        self.body = b""
        self.content: dict[str, Any] = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": []}

    def view(self, data: bytes, **more: Any) -> int:
        place = {"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data), **more}
        self.content["bufferViews"].append(place)
        self.body += data + b"\0" * (-len(data) % 4)
        return len(self.content["bufferViews"]) - 1

    def add(self, values: np.ndarray, **more: Any) -> int:
        rows = values.reshape(len(values), -1)
        self.content["accessors"].append(
            {
                "bufferView": self.view(values.tobytes()),
                "componentType": COMPONENTS[values.dtype.str[1:]],
                "count": len(values),
                "type": ("SCALAR", "VEC2", "VEC3", "VEC4")[rows.shape[1] - 1],
                **more,
            }
        )
        return len(self.content["accessors"]) - 1

    def mesh(self, attributes: dict[str, int], indices: int | None, **more: Any) -> None:
        primitive = {"attributes": attributes, **({} if indices is None else {"indices": indices}), **more}
        self.content.setdefault("meshes", []).append({"primitives": [primitive]})
        self.content.setdefault("nodes", []).append({"mesh": len(self.content["meshes"]) - 1})
        self.content["scenes"] = [{"nodes": list(range(len(self.content["nodes"])))}]

    def save(self, path: Path) -> Path:
        self.content["buffers"] = [{"byteLength": len(self.body)}]
        text = json.dumps(self.content).encode()
        text += b" " * (-len(text) % 4)
        chunks = (
            struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self.body), b"BIN\0") + self.body
        )
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path


def test_a_material_of_one_colour_gives_it_to_all_vertices(tmp_path: Path) -> None:
    box = trimesh.creation.box((8, 5, 3))
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[200, 50, 20, 255])
    box.visual = trimesh.visual.TextureVisuals(material=material)
    box.export(tmp_path / "a.glb")
    cloud = read_points(tmp_path / "a.glb")
    assert np.ptp(cloud.points, axis=0) == pytest.approx([8, 5, 3])
    assert cloud.colours is not None and np.unique(cloud.colours, axis=0).tolist() == [[200, 50, 20]]


@pytest.mark.parametrize(
    ("kind", "normalised"), [("u2", True), ("u1", True), ("i2", True), ("u2", False), ("i1", False)]
)
def test_quantised_positions_are_normalised_where_they_say_so(tmp_path: Path, kind: str, normalised: bool) -> None:
    file, largest = Written(), np.iinfo(kind).max
    stored = np.c_[SQUARE * largest, np.zeros(4)].astype(f"<{kind}")  # rows of four numbers, of which three count
    place = file.add(stored, type="VEC3", normalized=normalised)
    file.content["bufferViews"][-1]["byteStride"] = stored.strides[0]
    file.content["extensionsRequired"] = ["KHR_mesh_quantization"]
    file.mesh({"POSITION": place}, file.add(FACES))
    file.content["nodes"][0]["scale"] = [8, 5, 3]
    expected = SQUARE * (1 if normalised else largest) * [8, 5, 3]
    assert read_mesh(file.save(tmp_path / "a.glb")).vertices == pytest.approx(expected)


def test_negative_normalised_numbers_reach_minus_one(tmp_path: Path) -> None:
    file = Written()
    stored = np.array([[-128, -127, 0], [127, 0, 0], [0, 127, 127]], dtype="i1")
    file.mesh({"POSITION": file.add(stored, normalized=True)}, None)
    assert read_mesh(file.save(tmp_path / "a.glb")).vertices.tolist() == [[-1, -1, 0], [1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("has_base", [True, False])
def test_sparse_values_are_put_in(tmp_path: Path, has_base: bool) -> None:
    file = Written()
    place = file.add(SQUARE if has_base else 0 * SQUARE)
    accessor = file.content["accessors"][place]
    accessor["sparse"] = {
        "count": 2,
        "indices": {"bufferView": file.view(np.array([1, 3], "u1").tobytes()), "componentType": 5121},
        "values": {"bufferView": file.view(np.array([[9, 8, 7], [6, 5, 4]], "<f4").tobytes())},
    }
    if not has_base:
        del accessor["bufferView"]
    file.mesh({"POSITION": place}, file.add(FACES))
    expected = SQUARE * has_base
    expected[[1, 3]] = [[9, 8, 7], [6, 5, 4]]
    assert read_mesh(file.save(tmp_path / "a.glb")).vertices.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("extension", "is_read"),
    [
        ("KHR_materials_unlit", True),
        ("KHR_draco_mesh_compression", False),
        ("EXT_meshopt_compression", False),
        ("VENDOR_splines", False),
    ],
)
def test_required_extensions_that_are_not_understood_are_refused_by_name(
    tmp_path: Path, extension: str, is_read: bool
) -> None:
    file = Written()
    file.mesh({"POSITION": file.add(SQUARE)}, file.add(FACES))
    file.content["extensionsRequired"] = [extension]
    file.save(tmp_path / "a.glb")
    if is_read:
        assert len(read_mesh(tmp_path / "a.glb").faces) == 2
        return
    with pytest.raises(
        ValueError, match=f"a.glb: expected a mesh without extensions .* found {extension}, which cannot"
    ):
        read_mesh(tmp_path / "a.glb")


@pytest.mark.parametrize("of_node", [False, True])
def test_compressed_and_instanced_shapes_are_refused_though_they_are_not_required(
    tmp_path: Path, of_node: bool
) -> None:
    file = Written()
    file.mesh({"POSITION": file.add(SQUARE)}, file.add(FACES))
    name = "EXT_mesh_gpu_instancing" if of_node else "KHR_draco_mesh_compression"
    if of_node:
        file.content["nodes"][0]["extensions"] = {name: {}}
    else:
        del file.content["accessors"][0]["bufferView"]
        file.content["meshes"][0]["primitives"][0]["extensions"] = {name: {}}
    with pytest.raises(ValueError, match=f"found {name}, which cannot be read here"):
        read_mesh(file.save(tmp_path / "a.glb"))


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_colours_of_vertices_times_the_factor_of_their_material(tmp_path: Path, kind: str) -> None:
    file, share = Written(), np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=np.float64)
    given = (share * (1 if kind == "f4" else np.iinfo(kind).max)).astype(kind)
    colours = file.add(given, normalized=kind != "f4")
    file.content["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0.4, 0.2, 1]}}]
    file.mesh({"POSITION": file.add(SQUARE), "COLOR_0": colours}, file.add(FACES), material=0)
    found = read_mesh(file.save(tmp_path / "a.glb")).colours
    assert found is not None and found.tolist() == [[255, 0, 0], [0, 102, 0], [0, 0, 51], [255, 102, 51]]


def test_parts_without_a_colour_are_white_beside_those_that_have_one(tmp_path: Path) -> None:
    file = Written()
    specular = {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [0.2, 0.4, 0.6, 1]}}
    file.content["materials"] = [{"extensions": specular}, {"name": "plain"}]
    position, faces = file.add(SQUARE), file.add(FACES)
    file.mesh({"POSITION": position}, faces, material=0)
    file.mesh({"POSITION": position}, faces, material=1)
    found = read_mesh(file.save(tmp_path / "a.glb")).colours
    assert found is not None and found.tolist() == [[51, 102, 153]] * 4 + [[255] * 3] * 4


def test_a_material_that_says_no_colour_gives_none(tmp_path: Path) -> None:
    file = Written()
    file.content["materials"] = [{"extensions": {"KHR_materials_ior": {"ior": 1.4}}}]
    file.mesh({"POSITION": file.add(SQUARE)}, file.add(FACES), material=0)
    assert read_mesh(file.save(tmp_path / "a.glb")).colours is None


def _textured(picture: bytes, transform: dict[str, Any] | None = None) -> Written:
    file = Written()
    texture = {"index": 0, **({} if transform is None else {"extensions": {"KHR_texture_transform": transform}})}
    file.content["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": texture}}]
    file.content["textures"] = [{"source": 0}]
    file.content["images"] = [{"bufferView": file.view(picture), "mimeType": "image/png"}]
    uv = file.add(SQUARE[:, :2].copy())
    file.mesh({"POSITION": file.add(SQUARE), "TEXCOORD_0": uv}, file.add(FACES), material=0)
    return file


def _picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_texture_is_read_where_each_vertex_lies_on_it(tmp_path: Path) -> None:
    found = read_mesh(_textured(_picture()).save(tmp_path / "a.glb")).colours
    assert found is not None and found.tolist() == [[255, 0, 0], [0, 255, 0], [9, 9, 9], [0, 0, 255]]


def test_a_texture_moved_by_its_extension(tmp_path: Path) -> None:
    file = _textured(_picture(), {"offset": [0.5, 0.25], "scale": [0.25, 0.25]})
    file.content["extensionsRequired"] = ["KHR_texture_transform"]
    found = read_mesh(file.save(tmp_path / "a.glb")).colours
    assert found is not None and found.tolist() == [[0, 255, 0], [0, 255, 0], [9, 9, 9], [9, 9, 9]]


def test_a_texture_that_cannot_be_decoded_leaves_the_colours_out_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = _textured(b"\xabKTX 20\xbb" + bytes(60))
    file.content["textures"] = [{"extensions": {"KHR_texture_basisu": {"source": 0}}}]
    file.content["extensionsRequired"] = ["KHR_texture_basisu"]
    with caplog.at_level(logging.WARNING):
        assert read_mesh(file.save(tmp_path / "a.glb")).colours is None
    assert "colours left out, since a texture cannot be read (KHR_texture_basisu is not read)" in caplog.text


def test_nodes_turn_move_and_mirror_their_meshes(tmp_path: Path) -> None:
    file = Written()
    file.mesh({"POSITION": file.add(SQUARE)}, file.add(FACES))
    half = 2**-0.5
    file.content["nodes"] = [
        {"children": [1], "translation": [500_000.125, 0, 0], "rotation": [0, 0, half, half]},
        {"mesh": 0, "scale": [-2, 1, 1]},
    ]
    file.content["scenes"] = [{"nodes": [0]}]
    mesh = read_mesh(file.save(tmp_path / "a.glb"))
    expected = [[500_000.125, 0, 0], [500_000.125, -2, 0], [499_999.125, -2, 0], [499_999.125, 0, 0]]
    assert mesh.vertices == pytest.approx(np.array(expected), abs=1e-9)
    a, b, c = mesh.vertices[mesh.faces[0]]
    assert np.cross(b - a, c - a)[2] > 0  # a mirrored mesh keeps its outside: the square still faces up


@pytest.mark.parametrize(("mode", "corners"), [(5, [0, 1, 3, 2]), (6, [0, 1, 2, 3])])
def test_strips_and_fans_are_cut_into_triangles_of_one_orientation(
    tmp_path: Path, mode: int, corners: list[int]
) -> None:
    file = Written()
    file.mesh({"POSITION": file.add(SQUARE)}, file.add(np.array(corners, "<u2")), mode=mode)
    mesh = read_mesh(file.save(tmp_path / "a.glb"))
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    assert np.cross(b - a, c - a)[:, 2].tolist() == [1, 1]


def test_points_alone_are_a_cloud_with_their_colours(tmp_path: Path) -> None:
    file = Written()
    colours = file.add(np.array([[200, 100, 50, 255]] * 4, "u1"), normalized=True)
    file.mesh({"POSITION": file.add(SQUARE), "COLOR_0": colours}, None, mode=0)
    cloud = read_points(file.save(tmp_path / "a.glb"))
    assert cloud.points.tolist() == SQUARE.tolist()
    assert cloud.colours is not None and cloud.colours.tolist() == [[200, 100, 50]] * 4


def test_buffers_above_the_file_are_not_opened(tmp_path: Path) -> None:
    content = {"asset": {"version": "2.0"}, "buffers": [{"uri": "../a.bin", "byteLength": 48}]}
    content["bufferViews"] = [{"buffer": 0, "byteLength": 48}]
    content["accessors"] = [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}]
    content["meshes"] = [{"primitives": [{"attributes": {"POSITION": 0}}]}]
    (tmp_path / "in").mkdir()
    (tmp_path / "a.bin").write_bytes(SQUARE.tobytes())
    (tmp_path / "in" / "a.gltf").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"expected buffers and pictures beside the file, found '../a.bin'; put them"):
        read_mesh(tmp_path / "in" / "a.gltf")


def test_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gltf").write_text('{"asset": {"version": "1.0"}, "meshes": {}}')
    with pytest.raises(ValueError, match="a .gltf mesh of glTF 2, found version '1.0'; convert it"):
        read_mesh(tmp_path / "a.gltf")
