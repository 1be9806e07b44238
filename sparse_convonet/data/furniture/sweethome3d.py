"""Read the furniture libraries of Sweet Home 3D (.sh3f): zip files of OBJ models with a catalogue of real sizes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import trimesh

from sparse_convonet.io.array_archive import ARCHIVE_DAMAGE, COMPRESSIONS
from sparse_convonet.io.meshes import PARSER_ERRORS
from sparse_convonet.runtime.refusals import damaged, one_line, unreadable

CATALOGUE = "PluginFurnitureCatalog.properties"
MODEL_KINDS = ("obj", "stl", "ply", "off", "glb")
_LEAST_UNITS, _LARGEST_UNITS = 1e-30, 1e15  # of an extent, of a coordinate
LARGEST_FILE_BYTES = 200_000_000  # of one unpacked file; the largest model of the Debian package has 9 MB
CENTIMETRE = 0.01
# Model axes (x right, y up, z towards the front) to ours (x right, y to the back, z up).
_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_KEY = re.compile(r"^(\w+)#([0-9]{1,9})$")


@dataclass(frozen=True)
class CatalogueEntry:
    """One model of a library: size_m is (width, depth, height), rotation the (3, 3) matrix to the upright pose."""

    name: str
    room: str
    tags: str
    author: str
    model_path: str
    size_m: np.ndarray
    elevation_m: float
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    @property
    def stem(self) -> str:
        """The model's file name without its ending: unique in its library, unlike the name."""
        return PurePosixPath(self.model_path).stem


class SweetHomeLibrary:
    """An open .sh3f file; use it as a context manager.

    Raises ValueError when the file is no zip file or has no readable catalogue.
    """

    def __init__(self, path: Path) -> None:
        self.source = path.stem
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except ARCHIVE_DAMAGE as error:
            raise damaged(path, "a Sweet Home 3D library (a zip file)", error) from error
        text = self._read(CATALOGUE).decode("iso-8859-1")
        self.notices = self._notices(text)
        self._properties = parse_properties(text)
        self.licence = self._properties.get("license", "unknown")

    def __enter__(self) -> SweetHomeLibrary:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def _notices(self, catalogue: str) -> tuple[str, ...]:
        """The comments at the head of the catalogue, less its own name, and the copyright lines of the licence file."""
        head = [line.lstrip("# ").rstrip() for line in catalogue.splitlines() if line.startswith("# ")]
        licence = self._read("LICENSE.TXT").decode("iso-8859-1") if "LICENSE.TXT" in self._archive.namelist() else ""
        holders = [line.strip() for line in licence.splitlines() if line.lstrip().lower().startswith("(c) copyright")]
        return (*head[1:], *holders)

    def entries(self) -> Iterator[CatalogueEntry]:
        """The models of the catalogue in its order; doors and windows, which belong into walls, are left out."""
        grouped: dict[int, dict[str, str]] = {}
        for key, value in self._properties.items():
            match = _KEY.match(key)
            if match:
                grouped.setdefault(int(match[2]), {})[match[1]] = value
        for number, values in sorted(grouped.items()):
            if values.get("doorOrWindow", "false") != "true":
                yield self._entry(number, values)

    def _entry(self, number: int, values: dict[str, str]) -> CatalogueEntry:
        try:
            size = np.array([float(values[key]) for key in ("width", "depth", "height")])
            if not (size.min() >= 0 and size.max() <= _LARGEST_UNITS):  # false for NaN
                raise ValueError(f"expected sizes of at least 0, found {size}")
            rotation = np.array([float(word) for word in values.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()])
            return CatalogueEntry(
                name=values["name"],
                room=values.get("category", "Miscellaneous"),
                tags=values.get("tags", ""),
                author=values.get("creator", self.source),
                model_path=values["model"].lstrip("/"),
                size_m=size * CENTIMETRE,
                elevation_m=float(values.get("elevation", "0")) * CENTIMETRE,
                rotation=rotation.reshape(3, 3),
            )
        except (KeyError, ValueError) as error:
            words = one_line(str(error), 120)
            raise ValueError(f"{self._path}: model {number} of the catalogue cannot be read: {words}") from error

    def mesh(self, entry: CatalogueEntry) -> tuple[np.ndarray, np.ndarray]:
        """vertices (V, 3) float64 metres, z up, back towards +y, lowest corner at the origin; faces (F, 3) int64.

        As Sweet Home 3D does, the model is turned upright and then stretched to the size of the catalogue.
        """
        data = self._read(entry.model_path)
        kind = PurePosixPath(entry.model_path).suffix.lstrip(".").lower()
        if kind not in MODEL_KINDS:  # trimesh would unpack archives, too
            found = one_line(entry.model_path, 100)
            raise ValueError(f"{self._path}: expected models of {', '.join(MODEL_KINDS)}, found {found}; leave it out")
        try:
            with np.errstate(all="ignore"):
                loaded = trimesh.load(
                    io.BytesIO(data), file_type=kind, force="mesh", process=False, skip_materials=True
                )
        except PARSER_ERRORS as error:
            raise damaged(self._path / entry.model_path, "a mesh", error) from error
        if not isinstance(loaded, trimesh.Trimesh) or len(loaded.faces) == 0:
            return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
        faces = np.asarray(loaded.faces, dtype=np.int64)
        if faces.min() < 0 or faces.max() >= len(loaded.vertices):
            raise unreadable(self._path / entry.model_path, "faces of its own vertices", "others")
        with np.errstate(all="ignore"):
            vertices = np.asarray(loaded.vertices, dtype=np.float64) @ entry.rotation.T @ _TO_Z_UP.T
        used = vertices[faces.reshape(-1)]
        if not np.all(np.abs(used) < _LARGEST_UNITS):  # false for NaN
            raise unreadable(self._path / entry.model_path, "corners of faces", "NaN or larger numbers")
        low, size = used.min(axis=0), np.ptp(used, axis=0)
        stretch = np.divide(entry.size_m, size, out=np.ones(3), where=size > _LEAST_UNITS)
        return (vertices - low) * stretch, faces

    def _read(self, name: str) -> bytes:
        """One file of the archive, into memory only: nothing is unpacked to disk, so no path can lead outside."""
        try:
            info = self._archive.getinfo(name)
        except KeyError as error:
            raise ValueError(f"{self._path}: expected a file {one_line(name)} inside, found none") from error
        if info.compress_type not in COMPRESSIONS:  # the others unpack to thousands of times their size
            raise unreadable(self._path, "files that are stored or deflated", f"method {info.compress_type}")
        if info.file_size > LARGEST_FILE_BYTES:
            raise ValueError(
                f"{self._path}: {one_line(name)} unpacks to {info.file_size} bytes, at most {LARGEST_FILE_BYTES} are read"
            )
        try:
            return self._archive.read(info)
        except ARCHIVE_DAMAGE as error:
            raise damaged(self._path, f"an intact file {name}", error) from error


def parse_properties(text: str) -> dict[str, str]:
    """Keys and values of a Java properties file: # comments, continued lines and \\uXXXX escapes."""
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    pairs: dict[str, str] = {}
    for line in joined.splitlines():
        line = line.strip()
        if line and line[0] not in "#!" and "=" in line:
            key, value = line.split("=", 1)
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), value.strip())
            value = value.encode("utf-16", "surrogatepass").decode(
                "utf-16", "replace"
            )  # pairs of escapes are one letter
            pairs[key.strip()] = re.sub(r"\\(.)", r"\1", value)
    return pairs
