"""A campus of generated buildings, larger than the memory it is reconstructed in."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks.buildings import write_scan
from tests.benchmarks.tables import column

TEXT = (
    "`tools/reconstruct_building.py --memory 3GB --work FOLDER`, voxels of 8 cm, on a campus: copies of the virtual scan "
    "of one generated furnished building of four storeys, turned, 8 m apart, with 2 mm of noise so that no point repeats, "
    "as one .las file. Each in a process of its own, whose peak memory is given. One piece: the same without --memory."
)

_BUDGET_BYTES = 3_000_000_000
_VOXEL_M = 0.08
_AREA_M2, _RAYS_PER_M2 = 1000, 4000
_GAP_M, _NOISE_M = 8.0, 0.002


@dataclass(frozen=True)
class CampusRow:
    buildings: int = column("buildings")
    area_m2: float = column("floor area, m²", "{:,.0f}")
    points: int = column("points", "{:,}")
    way: str = column("way")
    tiles: int = column("tiles")
    predicted_gb: float = column("predicted memory, GB", "{:.2f}")
    peak_gb: float = column("peak memory, GB", "{:.2f}")
    total_s: float = column("total, s", "{:.0f}")
    faces: int = column("faces", "{:,}")
    watertight: bool = column("watertight")
    within_cell: float = column("points within 4 cm", "{:.1%}")


def run(quick: bool) -> list[CampusRow]:
    """One building both ways, then ever more in tiles."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scan = {"area_m2": 50 if quick else _AREA_M2, "rays_per_m2": 500 if quick else _RAYS_PER_M2, "folder": folder}
        area = call_isolated(write_scan, scan).result["area_m2"]
        for copies in (1, 2) if quick else (1, 4, 16):
            call_isolated(write_campus, {"folder": folder, "copies": copies})
            for in_tiles in (False, True) if copies == 1 else (True,):
                call = call_isolated(reconstruct, {"folder": folder, "in_tiles": in_tiles})
                rows.append(_row(copies, copies * area, call.result, call.peak_bytes))
    return rows


def _row(copies: int, area_m2: float, report: dict[str, Any], peak_bytes: int) -> CampusRow:
    in_tiles = report["tiles"]["edge_voxels"] is not None
    return CampusRow(
        buildings=copies,
        area_m2=area_m2,
        points=report["input"]["points_read"],
        way="tiles" if in_tiles else "one piece",
        tiles=report["tiles"]["count"],
        predicted_gb=report["predicted"]["memory_bytes"] / 1e9,
        peak_gb=peak_bytes / 1e9,
        total_s=report["seconds"]["total"],
        faces=report["mesh"]["faces"],
        watertight=report["mesh"]["watertight"],
        within_cell=report["coverage"]["within_1_cell"],
    )


def write_campus(folder: str, copies: int) -> dict[str, Any]:
    """Write campus.las beside the folder's scan.ply: that many copies of it on a square grid."""
    import laspy
    import numpy as np

    from sparse_convonet.io.points import read_points

    path = Path(folder)
    points = read_points(path / "scan.ply").points
    points = points - (points.min(axis=0) + points.max(axis=0)) * [0.5, 0.5, 0]
    pitch = 2 * float(np.abs(points[:, :2]).max()) + _GAP_M
    header = laspy.LasHeader(version="1.2", point_format=0)
    header.scales = np.full(3, 1e-4)
    side = math.ceil(math.sqrt(copies))
    rng = np.random.default_rng(0)
    with laspy.open(path / "campus.las", mode="w", header=header) as file:
        for copy in range(copies):
            turn = copy % 4 * math.pi / 2
            rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
            placed = points + rng.normal(0, _NOISE_M, points.shape)
            placed[:, :2] = placed[:, :2] @ rotation.T + pitch * np.array(divmod(copy, side))
            records = laspy.ScaleAwarePointRecord.zeros(len(placed), header=header)
            records.x, records.y, records.z = placed.T
            file.write_points(records)
    return {"points": copies * len(points)}


def reconstruct(folder: str, in_tiles: bool) -> dict[str, Any]:
    """Reconstruct the folder's campus.las as the tool does; returns the report."""
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.scan.run import ScanRequest, reconstruct_scan

    path = Path(folder)
    settings = ReconstructionSettings(voxel_size_m=_VOXEL_M, memory_bytes=_BUDGET_BYTES if in_tiles else None)
    work = path / "work" if in_tiles else None
    return reconstruct_scan(
        ScanRequest([path / "campus.las"], path / "result", settings, up="z", overwrite=True, work=work)
    )
