"""The room of every round, in every format that is read, and files that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.structures import Mesh, PointCloud
from tests.data.format_true_folders import box_mesh, matterport_files, write_matterport_scan
from tests.io.made_scans import ptx, splats, write
from tests.oracles.octomap_files import binary_file, full_file, tree_of_cells
from tests.synthetic_scan import ROOM, room_points

POINTS = 1500
_POINT_KINDS = (
    ".ply", ".ply text", ".pcd", ".pcd text", ".pcd compressed", ".las", ".las 1.4", ".laz", ".laz 1.4", ".e57", ".npy",
    ".npz", ".xyz",
)  # fmt: skip
_TABLES = {  # what stands in a row, and what is between two numbers
    ".txt": ("x y z", " "),
    ".asc": ("x y z", " "),
    ".csv": ("x,y,z,r,g,b", ","),
    ".tsv": ("x\ty\tz\tr\tg\tb", "\t"),
    ".xyzrgb": ("x y z r g b", " "),
    ".xyzn": ("x y z nx ny nz", " "),
    ".xyzi": ("x y z i", " "),
    ".pts": ("x y z i r g b", " "),
}
_MESHES = (".obj", ".off", ".stl", ".glb")
_READ_WHEN_CUT = (*_TABLES, ".xyz")  # the lines before the cut are a scan
_NAMES = "names.json"
_MATTERPORT = "17DRP5sb8fy"
_OCTOMAP_CELL_M, _OCTOMAP_CENTRE = 0.1, 1 << 15


@dataclass(frozen=True)
class Inputs:
    """Files by their names.  scans: by the format.  refused: by what is wrong with them, so that they are no scan."""

    scans: dict[str, Path]
    refused: dict[str, Path]

    @classmethod
    def write(cls, folder: Path) -> Inputs:
        """Write all of them, and their names for `load`."""
        scans = _write_scans(folder / "scans")
        inputs = cls(scans, _write_refused(folder / "refused", scans))
        names = [{name: str(path) for name, path in files.items()} for files in (inputs.scans, inputs.refused)]
        (folder / _NAMES).write_text(json.dumps(names), encoding="utf-8")
        return inputs

    @classmethod
    def load(cls, folder: Path) -> Inputs:
        """What was written to a folder."""
        scans, refused = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        return cls({name: Path(path) for name, path in scans.items()}, {n: Path(path) for n, path in refused.items()})


def _write_scans(folder: Path) -> dict[str, Path]:
    """Each format in a folder of its own."""
    cloud = _cloud()
    kinds: dict[str, Callable[[Path], Path]] = {
        ".ply splats": lambda inner: _write(inner / "scan.ply", splats(cloud.points, _colours(cloud), np.ones(POINTS))),
        ".ply mesh": lambda inner: _write_mesh(inner, ".ply"),
        ".gltf": _write_gltf,
        ".ptx": lambda inner: _write_ptx(inner, cloud),
        ".bt": lambda inner: _write_octomap(inner, cloud, ".bt"),
        ".ot": lambda inner: _write_octomap(inner, cloud, ".ot"),
        "Matterport3D": _write_matterport,
    }
    kinds |= {kind: partial(write, cloud=cloud, kind=kind) for kind in _POINT_KINDS}
    kinds |= {suffix: partial(_write_table, cloud=cloud, suffix=suffix) for suffix in _TABLES}
    kinds |= {suffix: partial(_write_mesh, suffix=suffix) for suffix in _MESHES}
    found = {}
    for name, make in kinds.items():
        inner = folder / name.strip(".").replace(" ", "_")
        inner.mkdir(parents=True)
        found[name] = make(inner)
    return found


def _write_refused(folder: Path, scans: Mapping[str, Path]) -> dict[str, Path]:
    """Every format cut in half, and others."""
    refused = {
        "empty.ply": b"", "noise.las": np.random.default_rng(0).bytes(5000), "two_points.xyz": b"0 0 0\n1 1 1\n",
        "not_a_scan.docx": b"PK", "words.csv": b"once,upon,a,time\n" * 200,
    }  # fmt: skip
    for name, path in scans.items():
        if path.is_file() and name not in _READ_WHEN_CUT:
            content = path.read_bytes()
            refused[f"half_{path.parent.name}{path.suffix}"] = content[: len(content) // 2]
    folder.mkdir(parents=True)
    return {name: _write(folder / name, content) for name, content in refused.items()}


def _cloud() -> PointCloud:
    points = room_points(POINTS).round(4)
    colours = (np.abs(points) / ROOM.max() * 255).clip(0, 255).astype(np.uint8)
    return PointCloud(points, colours)


def _colours(cloud: PointCloud) -> np.ndarray:
    assert cloud.colours is not None
    return cloud.colours


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _write_table(folder: Path, cloud: PointCloud, suffix: str) -> Path:
    header, between = _TABLES[suffix]
    normals = np.tile([0.0, 0.0, 1.0], (len(cloud), 1))
    columns = {"x y z": cloud.points, "r g b": _colours(cloud), "nx ny nz": normals, "i": np.full((len(cloud), 1), 7)}
    words = " ".join(header.replace(",", " ").split())
    found = [values for names, values in columns.items() if names in words]
    if suffix == ".pts":
        found = [columns["x y z"], columns["i"], columns["r g b"]]
    rows = [between.join(f"{value:g}" for row in line for value in row) for line in zip(*found, strict=True)]
    head = {".pts": [str(len(cloud))], ".csv": [header], ".tsv": [header]}.get(suffix, [])
    return _write(folder / f"scan{suffix}", ("\n".join([*head, *rows]) + "\n").encode())


def _box() -> Mesh:
    return box_mesh([0, 0, 0], [1.5, 1.2, 1.0])  # meshes are sampled every 2 cm: 22,000 points


def _write_mesh(folder: Path, suffix: str) -> Path:
    write_mesh(folder / f"scan{suffix}", _box())
    return folder / f"scan{suffix}"


def _write_gltf(folder: Path) -> Path:
    """A scene and the buffers beside it."""
    for name, content in _box().to_trimesh().export(file_type="gltf").items():
        _write(folder / name, content)
    return folder / "model.gltf"


def _write_ptx(folder: Path, cloud: PointCloud) -> Path:
    place = [1.5, 1.2, 1.6]
    text = ptx((cloud.points - place).round(4), _colours(cloud), np.eye(3), place)
    return _write(folder / "scan.ptx", text.encode())


def _write_octomap(folder: Path, cloud: PointCloud, suffix: str) -> Path:
    cells = np.floor(cloud.points / _OCTOMAP_CELL_M).astype(int) + _OCTOMAP_CENTRE
    tree = tree_of_cells({(x, y, z) for x, y, z in cells.tolist()})
    file = binary_file if suffix == ".bt" else full_file
    return _write(folder / f"scan{suffix}", file(tree, _OCTOMAP_CELL_M))


def _write_matterport(folder: Path) -> Path:
    write_matterport_scan(folder, _MATTERPORT, matterport_files(_MATTERPORT, [(0, _box())]), zipped=True)
    return folder / _MATTERPORT
