"""What the tools are killed at: small inputs, and the command lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.structures import Mesh, PointCloud
from tests.data.convonet.small_set import write_set
from tests.data.format_true_folders import box_mesh, matterport_files, write_matterport_scan, write_scannet_scene
from tests.synthetic_scan import room_points
from tests.tools.test_evaluate import GRID, write_weights

LOW, HIGH = np.array([-3.0, -2.0, 0.0]), np.array([3.0, 2.0, 2.6])

_MATTERPORT = "17DRP5sb8fy"


@dataclass(frozen=True)
class Case:
    """tool: in tools/.  arguments: from the folder of inputs and the result.  file: the result is a file, not a folder.

    earlier: arguments that make another result, which is there before and is replaced.  by_folder: folder by folder.
    between: changes before which a kill leaves a part of neither result.
    """

    tool: str
    arguments: Callable[[Path, Path], list[object]]
    file: str | None = None
    earlier: Callable[[Path, Path], list[object]] | None = None
    by_folder: bool = False
    between: int = 0

    def out(self, folder: Path) -> Path:
        return folder / "out" / self.file if self.file else folder / "out"


def write_inputs(folder: Path) -> Path:
    """A scan, a mesh, folders of scans as they are published, raw models, a data set and weights."""
    write_points(folder / "scan.ply", PointCloud(room_points(2000)))
    box = trimesh.creation.box(bounds=np.array([LOW, HIGH]))
    write_mesh(folder / "room.ply", Mesh(np.asarray(box.vertices, dtype=np.float64), np.asarray(box.faces)))
    (folder / "scans").mkdir()
    for number in range(4):
        write_points(folder / "scans" / f"s{number}.ply", PointCloud(room_points(1500, seed=number)))
    boxes = [box_mesh([0, 0, 3.2 * level], [5 + level, 4, 3.2 * level + 3]) for level in range(3)]
    for number, mesh in enumerate(boxes):
        write_scannet_scene(folder / "scannet", f"scene000{number}_00", mesh, np.eye(4))
    parts = matterport_files(_MATTERPORT, list(enumerate(boxes)))
    write_matterport_scan(folder / "matterport", _MATTERPORT, parts, zipped=True)
    (folder / "raw").mkdir()
    for number, mesh in enumerate(boxes):
        write_mesh(folder / "raw" / f"m{number}.off", Mesh(mesh.vertices, mesh.faces[:-2]))
    write_set(folder / "set", models=2)
    write_weights(folder / "grid.safetensors", GRID, folder / "set")
    return folder


def _rooms(*options: object) -> Callable[[Path, Path], list[object]]:
    small = ("--points", 300, "--queries", 300, "--workers", 1)
    return lambda inputs, out: ["--out", out, *small, *options]


def _reconstruct(voxel_size_m: float) -> Callable[[Path, Path], list[object]]:
    fixed = ("--up", "z", "--engine", "native", "--threads", 1, "--overwrite", "--voxel-size", voxel_size_m)
    return lambda inputs, out: [inputs / "scan.ply", "--out", out, *fixed]


def _prepare(scans: str, *options: object) -> Callable[[Path, Path], list[object]]:
    return lambda inputs, out: [inputs / scans, "--out", out, "--files", 2, *options]


def _watertight(resolution: int, *options: object) -> Callable[[Path, Path], list[object]]:
    return lambda inputs, out: [inputs / "raw", "--out", out, "--resolution", resolution, "--workers", 1, *options]


def _scan(seed: int) -> Callable[[Path, Path], list[object]]:
    return lambda inputs, out: [
        inputs / "room.ply", "--out", out, "--points", 500, "--seed", seed, "--spacing-m", 4, "--overwrite",
    ]  # fmt: skip


CASES = {
    "make_rooms, papers": Case("make_rooms", _rooms("--scenes", "papers", "--count", 4, "--objects", 4, "--files", 2)),
    "make_rooms, metric": Case("make_rooms", _rooms("--scenes", "rooms", "--count", 6)),
    "evaluate": Case(
        "evaluate",
        lambda inputs, out: [
            inputs / "grid.safetensors",
            "--out",
            out,
            "--split",
            "train",
            "--cells",
            16,
            "--save-meshes",
            "--device",
            "cpu",
        ],
    ),  # fmt: skip
    "compare": Case(
        "compare",
        lambda inputs, out: [
            inputs / "grid.safetensors",
            "--out",
            out,
            "--data",
            inputs / "set",
            "--split",
            "train",
            "--cells",
            16,
            "--pictures",
            1,
            "--memory",
            8,
            "--device",
            "cpu",
            "--threads",
            1,
        ],
    ),  # fmt: skip
    "reconstruct_building": Case("reconstruct_building", _reconstruct(0.2)),
    "reconstruct_building, through the disk": Case(
        "reconstruct_building", lambda inputs, out: [*_reconstruct(0.2)(inputs, out), "--work", out.parent / "work"]
    ),
    "reconstruct_building, replacing": Case(
        "reconstruct_building", _reconstruct(0.2), earlier=_reconstruct(0.25), between=3
    ),  # after the report went: three renamings to come, two, one
    "make_scan": Case("make_scan", _scan(0), file="scan.ply"),
    "make_scan, replacing": Case("make_scan", _scan(0), file="scan.ply", earlier=_scan(1)),
    "prepare_scans": Case("prepare_scans", _prepare("scans", "--points", 300, "--up", "z")),
    "prepare_scans, replacing": Case(
        "prepare_scans",
        _prepare("scans", "--points", 300, "--up", "z", "--overwrite"),
        earlier=_prepare("scans", "--points", 250, "--up", "z", "--overwrite"),
        by_folder=True,
        between=4,  # scans, each between two renamings
    ),
}

LONG_CASES = {  # in long tests only
    "prepare_scannet": Case("prepare_scannet", _prepare("scannet", "--points", 300)),
    "prepare_matterport3d": Case("prepare_matterport3d", _prepare("matterport", "--points", 300, "--part", "regions")),
    "make_watertight": Case("make_watertight", _watertight(48)),
}

WORKER_CASES = {
    "make_rooms, two workers": Case("make_rooms", _rooms("--scenes", "rooms", "--count", 6, "--workers", 2)),
    "make_watertight, two workers": Case("make_watertight", _watertight(64, "--workers", 2)),
}
