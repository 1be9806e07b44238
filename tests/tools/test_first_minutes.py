"""What a newcomer does first: the installed command, a file of their own of five kinds, no option, a clean folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.structures import PointCloud
from tests.oracles.octomap_files import binary_file, tree_of_cells
from tests.report.page_house import house

COMMAND = Path(sys.executable).with_name("sparse-convonet")
pytestmark = pytest.mark.skipif(not COMMAND.is_file(), reason="the package is not installed here; make setup does it")
CORNER = np.array([100.0, -50.0, 10.0])
STATIONS = CORNER + [[2.0, 3.0, 1.5], [5.5, 4.5, 1.5], [2.0, 3.0, 4.3], [5.5, 4.5, 4.3]]  # two on each storey
HOUSE = np.array([9.0, 6.0, 5.4])  # its walls, and the ceilings that are seen from inside
RAYS, SPARSE_RAYS = 20_000, 3_000


def scan(rays: int, stations: np.ndarray = STATIONS) -> PointCloud:
    mesh = house()
    scanner = VirtualScanner(mesh.vertices, mesh.faces)
    return scanner.scan_stations(stations, rays, ScannerSettings(), np.random.default_rng(0))


def laz(folder: Path) -> Path:
    write_points(folder / "scan.laz", PointCloud(scan(RAYS).points))
    return folder / "scan.laz"


def sparse_pcd(folder: Path) -> Path:
    points = scan(SPARSE_RAYS).points
    head = f"VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {len(points)}\nHEIGHT 1\n"
    head += f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(points)}\nDATA binary\n"
    (folder / "scan.pcd").write_bytes(head.encode() + points.astype("<f4").tobytes())
    return folder / "scan.pcd"


def e57(folder: Path) -> Path:
    """Two stations of the lower storey, each in a frame of its own with its pose."""
    pye57 = pytest.importorskip("pye57")
    with pye57.E57(str(folder / "scan.e57"), mode="w") as archive:
        for station in STATIONS[:2]:
            local = scan(RAYS, station[None]).points - station
            columns = {f"cartesian{axis}": np.ascontiguousarray(local[:, n]) for n, axis in enumerate("XYZ")}
            archive.write_scan_raw(columns, rotation=np.array([1.0, 0, 0, 0]), translation=station)
    return folder / "scan.e57"


def room_mesh(folder: Path) -> Path:
    trimesh.creation.box((4.0, 3.0, 2.5)).export(folder / "room.obj")
    return folder / "room.obj"


def octomap(folder: Path) -> Path:
    index = np.unique(np.floor(scan(RAYS).points / 0.1).astype(int), axis=0) + 32768
    tree = tree_of_cells({(x, y, z) for x, y, z in index.tolist()})
    (folder / "map.bt").write_bytes(binary_file(tree, 0.1))
    return folder / "map.bt"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "extent"),
    [
        (laz, HOUSE),
        (sparse_pcd, HOUSE),
        (e57, HOUSE * [1, 1, 0.5]),
        (room_mesh, np.array([4.0, 3.0, 2.5])),
        (octomap, HOUSE),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_scan_without_options_gives_a_mesh_a_picture_and_a_report(
    tmp_path: Path, make: Callable[[Path], Path], extent: np.ndarray
) -> None:
    path = make(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [COMMAND, "reconstruct", path.name, "--out", "out"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("read", "voxels", "wrote"))] == [
        "read", "voxels", "wrote",
    ]  # fmt: skip
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert report["input"]["up"] == "z" and report["coverage"]["within_1_voxel"] > 0.95
    mesh = read_mesh(tmp_path / "out" / "mesh.ply")
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), extent, atol=0.8)  # no outer side was seen
    assert np.asarray(Image.open(tmp_path / "out" / "preview.png")).std() > 15
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "mesh.glb", "mesh.ply", "preview.png", "report.json",
    ]  # fmt: skip
    if make is octomap:  # no more is known than in which cell of 10 cm the surface is
        assert report["voxel_size_m"] >= 0.1
    if make is e57:  # its poses say where the scanner stood
        assert report["sides"]["rays"] > RAYS and report["sides"]["through"] < 0.02
