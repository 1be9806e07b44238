"""The parts of a glTF 2.0 file (.glb, .gltf): its JSON, buffers and accessors, decoded as the file declares them.

Own reader on purpose: trimesh takes whole numbers for metres where an accessor is `normalized`, leaves out what is
`sparse`, and reads what a required extension compresses as zeros.
Specification: Khronos, glTF 2.0, 3.6 (accessors) and 4.4 (GLB).
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from sparse_convonet.runtime.refusals import damaged, one_line, unreadable

_MAGIC, _VERSION, _JSON, _BIN = b"glTF", 2, b"JSON", b"BIN\0"
LISTS = (
    "accessors", "bufferViews", "buffers", "images", "materials", "meshes", "nodes", "scenes", "textures",
)  # fmt: skip
_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_ANY_ZEROS = 1 << 22  # values that any file may have without storing them
_ALIKE = (
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "EXT_texture_webp",
    "KHR_texture_basisu",
    "KHR_lights_punctual",
)
_MATERIALS = "KHR_materials_"  # how light is reflected; the colour of the material stays
# What damaged JSON raises where it is indexed, decoded and reshaped.
_DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, struct.error, binascii.Error,
)  # fmt: skip


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn what damaged data raises into one sentence; what begins with the path is one already."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        raise damaged(path, f"a {path.suffix.lower()} mesh", error) from error


@dataclass(frozen=True)
class GltfDocument:
    """content: the JSON.  binary: the buffer within a .glb, or None."""

    path: Path
    content: dict[str, Any]
    binary: bytes | None

    @classmethod
    def parse(cls, path: Path, data: bytes) -> GltfDocument:
        """Raises ValueError for damaged data, other versions, and required extensions that are not understood."""
        kind = f"a {path.suffix.lower()} mesh"
        text, binary = data, None
        if data[:4] == _MAGIC:
            if len(data) < 20 or int.from_bytes(data[4:8], "little") != _VERSION:
                raise unreadable(path, f"{kind} of glTF {_VERSION}", "another version or a truncated file")
            chunks = _chunks(path, kind, data)
            text, binary = chunks.get(_JSON, b""), chunks.get(_BIN)
        elif path.suffix.lower() == ".glb":
            raise unreadable(path, f"{kind} (first bytes 'glTF')", f"{data[:4]!r}")
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise damaged(path, kind, error) from error
        if not isinstance(content, dict) or not isinstance(content.get("asset"), dict):
            raise unreadable(path, kind, "other JSON")
        version = str(content["asset"].get("version", "2.0"))
        if not version.startswith(f"{_VERSION}."):
            raise unreadable(path, f"{kind} of glTF {_VERSION}", f"version {version!r}; convert it")
        found = cls(path, content, binary)
        with refusing_damage(path):
            for name in LISTS:
                listed = content.get(name, [])
                if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
                    raise ValueError(f"{name} is no list of objects")
            found._require_few_zeros()
            found._require_understood()
        return found

    def list_of(self, name: str) -> list[dict[str, Any]]:
        """The objects of one kind, of LISTS; none where the file has none."""
        found: list[dict[str, Any]] = self.content.get(name, [])
        return found

    def accessor(self, index: int) -> np.ndarray:
        """(count, values) as declared: normalised whole numbers become fractions, sparse values are put in."""
        accessor = self._item("accessors", index)
        kind, width, count = (
            np.dtype(_COMPONENTS[accessor["componentType"]]),
            _WIDTHS[accessor["type"]],
            accessor["count"],
        )
        if type(count) is not int or count < 0:
            raise ValueError(f"accessor of {count!r} values")
        if "bufferView" in accessor:
            values = self._strided(accessor["bufferView"], accessor.get("byteOffset", 0), kind, width, count)
        else:
            values = np.zeros((count, width), kind)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            places, given = sparse["indices"], sparse["values"]
            rows = self._strided(
                places["bufferView"], places.get("byteOffset", 0),
                np.dtype(_COMPONENTS[places["componentType"]]), 1, sparse["count"],
            )  # fmt: skip
            values = values.copy()
            values[rows[:, 0].astype(np.int64)] = self._strided(
                given["bufferView"], given.get("byteOffset", 0), kind, width, sparse["count"]
            )
        if accessor.get("normalized") and kind.kind in "iu":
            return np.maximum(values / np.iinfo(kind).max, -1.0)
        return values

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        view = self._item("bufferViews", index)
        start, length = view.get("byteOffset", 0), view["byteLength"]
        buffer = self._buffer(view["buffer"])
        if not 0 <= start <= start + length <= len(buffer):
            raise ValueError(f"bytes {start} to {start + length} of a buffer of {len(buffer)}")
        return buffer[start : start + length]

    def resource(self, uri: str) -> bytes:
        """What a uri of the file holds: data within it, or a file beside it.  Raises FileNotFoundError."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.split(",", 1)[1], validate=False)
        name = PurePosixPath(unquote(uri).replace("\\", "/"))
        if ":" in uri or name.is_absolute() or ".." in name.parts:
            raise ValueError(
                f"{self.path}: expected buffers and pictures beside the file, found {one_line(uri, 80)!r}; "
                "put them into its folder"
            )
        return (self.path.parent / name).read_bytes()

    def _item(self, name: str, index: int) -> dict[str, Any]:
        if type(index) is not int or index < 0:
            raise ValueError(f"{name}: number {index!r}")
        return self.list_of(name)[index]

    def _buffer(self, index: int) -> bytes:
        buffer = self._item("buffers", index)
        if "uri" not in buffer:
            if self.binary is None:
                raise ValueError("a buffer that is not there")
            return self.binary
        try:
            return self.resource(buffer["uri"])
        except FileNotFoundError as error:
            name = one_line(str(buffer["uri"]), 80)
            raise ValueError(
                f"{self.path}: expected the buffers that it names beside it, found no file {name!r}; copy it there"
            ) from error

    def _strided(self, view: int, offset: int, kind: np.dtype, width: int, count: int) -> np.ndarray:
        """(count, width) of a buffer view, whose rows may stand apart."""
        content, row = self.view(view), width * kind.itemsize
        stride = self._item("bufferViews", view).get("byteStride", row)
        if not row <= stride or offset < 0 or (count and offset + (count - 1) * stride + row > len(content)):
            raise ValueError(f"{count} values of {row} bytes from {offset} on in {len(content)} bytes")
        if count == 0:
            return np.zeros((0, width), kind)
        rows = np.lib.stride_tricks.as_strided(
            np.frombuffer(content, np.uint8, offset=offset), (count, row), (stride, 1), writeable=False
        )
        return np.ascontiguousarray(rows).view(kind).reshape(count, width)

    def _require_few_zeros(self) -> None:
        """Refuse huge accessors without a buffer view: all zeros (glTF 2.0, 5.1), which take memory unread."""
        counts = [each.get("count", 0) for each in self.list_of("accessors") if "bufferView" not in each]
        total = sum(max(count, 0) for count in counts if isinstance(count, int | float))
        most = max(_ANY_ZEROS, len(self.binary or b""))
        if not total <= most:
            raise unreadable(self.path, f"at most {most} values that are not in the file", f"{total}")

    def _require_understood(self) -> None:
        """Refuse extensions without which the file cannot be read, and those that put the shape elsewhere."""
        required = self.content.get("extensionsRequired", [])
        unknown = [name for name in required if name not in _ALIKE and not str(name).startswith(_MATERIALS)]
        primitives = [each for mesh in self.list_of("meshes") for each in mesh["primitives"]]
        accessors = self.list_of("accessors")
        for primitive in primitives:
            position = accessors[primitive["attributes"]["POSITION"]]
            if "bufferView" not in position and "sparse" not in position:
                unknown += list(primitive.get("extensions", {}))
        unknown += ["EXT_mesh_gpu_instancing"] * any(
            "EXT_mesh_gpu_instancing" in each.get("extensions", {}) for each in self.list_of("nodes")
        )
        if unknown:
            names = one_line(", ".join(sorted({str(name) for name in unknown})), 150)
            raise ValueError(
                f"{self.path}: expected a mesh without extensions that change its shape, found {names}, which cannot be "
                "read here; export it without compression, for example with `gltf-transform copy`, or as .ply"
            )


def _chunks(path: Path, kind: str, data: bytes) -> dict[bytes, bytes]:
    """The first chunk of each kind."""
    found: dict[bytes, bytes] = {}
    place = 12
    while place + 8 <= len(data):
        length, name = int.from_bytes(data[place : place + 4], "little"), data[place + 4 : place + 8]
        if place + 8 + length > len(data):
            raise unreadable(path, f"{kind} with whole chunks", "a truncated one")
        found.setdefault(name, data[place + 8 : place + 8 + length])
        place += 8 + length
    return found


def vertex_numbers(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Numbers (V,) float64 of the vertices of a file's only mesh: those of the attributes _NAME, in capitals or not, that
    it has.  Empty where there are several meshes.  Raises ValueError for damaged data.
    """
    document = GltfDocument.parse(path, path.read_bytes())
    with refusing_damage(path):
        primitives = [each for mesh in document.list_of("meshes") for each in mesh["primitives"]]
        if len(primitives) != 1:
            return {}
        attributes = {key.lower(): index for key, index in primitives[0]["attributes"].items()}
        wanted = {name: attributes[f"_{name}"] for name in names if f"_{name}" in attributes}
        return {name: document.accessor(index).astype(np.float64)[:, 0] for name, index in wanted.items()}
