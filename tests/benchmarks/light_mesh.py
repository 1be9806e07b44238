"""What the light mesh adds to a run; for other scans: python -m tests.benchmarks.light_mesh SCAN... [--voxel-size M]."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.isolated import call_isolated
from tests.benchmarks.buildings import write_scan
from tests.benchmarks.tables import column, markdown_table

TEXT = (
    "Whole runs with `mesh.glb` and without (`--formats ply`), taking turns, three each after one that is not timed, each "
    "in a process of its own; medians. CPU: of the run on all its threads, without the imports, as is the time. The scan: "
    "a generated furnished building, voxels of 8 cm, cells of 4 cm. `python -m tests.benchmarks.light_mesh SCAN...` "
    "gives the same of other scans."
)

_AREA_M2, _RAYS_PER_M2 = 500, 4000
_VOXEL_M = 0.08
_TURNS = 3
_KINDS = {"with": ("glb",), "without": ()}


@dataclass(frozen=True)
class LightRow:
    scan: str = column("scan")
    faces: int = column("faces", "{:,}")
    light_faces: int = column("of the light mesh", "{:,}")
    cpu_with_s: float = column("CPU with, s", "{:.1f}")
    cpu_without_s: float = column("CPU without, s", "{:.1f}")
    cpu_ratio: float = column("CPU, with / without", "{:.2f}")
    wall_ratio: float = column("time, with / without", "{:.2f}")
    memory_ratio: float = column("peak memory, with / without", "{:.2f}")


def run(quick: bool) -> list[LightRow]:
    area, rays = (50, 1000) if quick else (_AREA_M2, _RAYS_PER_M2)
    with tempfile.TemporaryDirectory() as folder:
        call_isolated(write_scan, {"area_m2": area, "rays_per_m2": rays, "folder": folder})
        name = f"building of {area} m²"
        return [measure(name, Path(folder) / "scan.ply", _VOXEL_M, "z", 1 if quick else _TURNS)]


def measure(name: str, scan: Path, voxel_size_m: float | None, up: str | None, turns: int) -> LightRow:
    """voxel_size_m: None for what the plan chooses.  up: as of ScanRequest."""
    results: dict[str, list[dict[str, Any]]] = {kind: [] for kind in _KINDS}
    for turn in range(turns + 1):
        for kind, light in _KINDS.items():
            if turn == 0 and not light:
                continue  # the one with a light mesh compiles everything
            arguments = {"scan": str(scan), "light": light, "voxel_size_m": voxel_size_m, "up": up}
            call = call_isolated(reconstruct, arguments)
            if turn > 0:
                results[kind].append({**call.result, "peak_bytes": call.peak_bytes})
    medians = {
        name: [statistics.median(result[name] for result in results[kind]) for kind in _KINDS]
        for name in ("cpu_s", "wall_s", "peak_bytes")
    }
    found = results["with"][0]
    ratios = (with_light / without for with_light, without in medians.values())
    return LightRow(name, found["faces"], found["light_faces"], *medians["cpu_s"], *ratios)


def reconstruct(scan: str, light: list[str], voxel_size_m: float | None, up: str | None) -> dict[str, Any]:
    """Reconstruct a scan into a folder that goes at once; returns what it took after the imports, and the faces."""
    from sparse_convonet.plan.settings import ReconstructionSettings
    from sparse_convonet.scan.run import ScanRequest, reconstruct_scan

    with tempfile.TemporaryDirectory() as folder:
        settings = ReconstructionSettings(voxel_size_m=voxel_size_m)
        request = ScanRequest([Path(scan)], Path(folder) / "result", settings, up=up, light=light)
        cpu, wall = time.process_time(), time.perf_counter()
        report = reconstruct_scan(request)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    light_faces = report["light_mesh"]["faces"] if light else 0
    return {"cpu_s": cpu, "wall_s": wall, "faces": report["mesh"]["faces"], "light_faces": light_faces}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.light_mesh", description=__doc__)
    parser.add_argument("scans", nargs="+", type=Path, metavar="SCAN")
    parser.add_argument("--voxel-size", type=float, help="metres; default: as the plan chooses")
    parser.add_argument("--turns", type=int, default=_TURNS)
    options = parser.parse_args()
    rows = [measure(scan.name, scan, options.voxel_size, None, options.turns) for scan in options.scans]
    print(markdown_table(rows))


if __name__ == "__main__":
    from tests.benchmarks.light_mesh import main as named  # other processes know its functions by the module's name

    named()
