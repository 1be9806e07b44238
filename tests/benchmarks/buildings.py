"""Whole reconstructions of generated buildings by floor area; scan and reconstruction each in a process of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks.tables import column

TEXT = (
    "`tools/reconstruct_building.py` with its defaults, voxels of 8 cm, on virtual scans of generated furnished "
    "buildings (stations 2.5 m apart), one run each; stages as in `report.json`, peak memory of the process. Floor area: "
    "of all storeys together."
)

_AREAS_M2 = (50, 100, 250, 500, 1000, 2000, 5000)
_VOXEL_M = 0.08
_RAYS_PER_M2 = 4000
_STATION_SPACING_M = 2.5


@dataclass(frozen=True)
class BuildingRow:
    area_m2: float = column("floor area, m²", "{:,.0f}")
    storeys: int = column("storeys")
    points: int = column("points", "{:,}")
    voxels: int = column("voxels", "{:,}")
    read_s: float | None = column("read, s", "{:.1f}")
    encode_s: float | None = column("encode, s", "{:.1f}")
    mesh_s: float | None = column("mesh, s", "{:.1f}")
    coverage_s: float | None = column("coverage, s", "{:.1f}")
    write_s: float | None = column("write, s", "{:.1f}")
    total_s: float = column("total, s", "{:.1f}")
    seconds_per_100_m2: float = column("s per 100 m²", "{:.1f}")
    peak_gb: float = column("peak memory, GB", "{:.2f}")
    faces: int = column("faces", "{:,}")
    within_cell: float = column("points within 4 cm", "{:.1%}")


def run(quick: bool) -> list[BuildingRow]:
    return [_measure(area, 1000 if quick else _RAYS_PER_M2) for area in ((50,) if quick else _AREAS_M2)]


def _measure(area_m2: int, rays_per_m2: int) -> BuildingRow:
    with tempfile.TemporaryDirectory() as name:
        scan = call_isolated(write_scan, {"area_m2": area_m2, "rays_per_m2": rays_per_m2, "folder": name}).result
        call = call_isolated(reconstruct, {"folder": name})
    report = call.result
    seconds, area = report["seconds"], scan["area_m2"]
    return BuildingRow(
        area_m2=area,
        storeys=scan["storeys"],
        points=scan["points"],
        voxels=report["levels"][0]["cells"],
        read_s=seconds.get("read"),
        encode_s=seconds.get("encode"),
        mesh_s=seconds.get("mesh"),
        coverage_s=seconds.get("coverage"),
        write_s=seconds.get("write"),
        total_s=seconds["total"],
        seconds_per_100_m2=seconds["total"] / area * 100,
        peak_gb=call.peak_bytes / 1e9,
        faces=report["mesh"]["faces"],
        within_cell=report["coverage"]["within_1_cell"],
    )


def write_scan(area_m2: float, rays_per_m2: int, folder: str) -> dict[str, Any]:
    """Generate a building of about that floor area, scan it, and leave scan.ply in the folder."""
    import numpy as np

    from sparse_convonet.data.buildings.building import building_of_area
    from sparse_convonet.data.furniture.library import FurnitureLibrary
    from sparse_convonet.data.scanner.virtual_scanner import ScannerSettings, VirtualScanner
    from sparse_convonet.io.points import write_points

    building = building_of_area(area_m2, FurnitureLibrary.load().split("test"))
    storeys = 1 + max(place.storey for place in building.places)
    area = sum(place.area_m2 for place in building.places)
    rng = np.random.default_rng(0)
    stations = choose_stations(building, rng, _STATION_SPACING_M)
    vertices, faces = building.mesh()
    scanner = VirtualScanner(vertices, faces, threads=0)
    cloud = scanner.scan_stations(stations, int(area * rays_per_m2) // len(stations), ScannerSettings(), rng)
    write_points(Path(folder) / "scan.ply", cloud)
    return {"area_m2": area, "storeys": storeys, "points": len(cloud)}


def reconstruct(folder: str) -> dict[str, Any]:
    """Reconstruct the folder's scan.ply as the tool does; returns the report."""
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.scan.run import ScanRequest, reconstruct_scan

    path = Path(folder)
    settings = ReconstructionSettings(voxel_size_m=_VOXEL_M)
    return reconstruct_scan(ScanRequest([path / "scan.ply"], path / "result", settings, up="z"))
