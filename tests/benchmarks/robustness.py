"""python -m tests.benchmarks.robustness MESH --out FOLDER [--methods NAME ...]: scores against what is wrong with a scan.

A mesh of a building (metres, z up) is scanned virtually from stations, as in the benchmark of buildings, with one thing
worse at a time: noise, density, outliers, stations that do not fit together, and a wrong scale, of which the mesh is scored
after it was scaled back.  A run that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.data.scanner.settings import ScannerSettings
from sparse_convonet.data.scanner.stations import find_stations
from sparse_convonet.data.scanner.virtual_scanner import VirtualScanner
from sparse_convonet.data.scanner.wanted_points import scan_wanted
from sparse_convonet.evaluation.buildings.making import SPACING_M, seen_area_m2
from sparse_convonet.evaluation.buildings.methods import BuildingMethod, Method
from sparse_convonet.evaluation.buildings.protocol import STATIONS_FILE, TRUTH_FILE
from sparse_convonet.evaluation.buildings.scoring import scores_of
from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.cli import run_tool
from sparse_convonet.structures import Mesh, PointCloud

PER_M2 = 1000.0
_AREA_RAYS, _AREA_CELL_M = 1_000_000, 0.1
_FOUND = "robustness.json"
_SHOWN = ("F 1 cm", "F 2.5 cm", "wrong side %", "holes %", "phantoms %")
_CHARTED = "F 2.5 cm"


@dataclass(frozen=True)
class Fault:
    """What is wrong, by how much (levels, the first of which is the least), and the settings of the scanner for a level."""

    name: str
    levels: tuple[float, ...]

    def settings(self, level: float) -> ScannerSettings:
        usual = ScannerSettings()
        if self.name == "noise, mm":
            return replace(usual, noise_m=level / 1000, noise_per_metre=0.05 * level / 1000)
        if self.name == "outliers, %":
            return replace(usual, outlier_share=level / 100)
        if self.name == "registration, mm":
            return replace(usual, registration_m=level / 1000, registration_deg=level / 100)
        return usual


FAULTS = (
    Fault("noise, mm", (0, 5, 10, 25, 50)),
    Fault("points per m2", (5000, 1000, 200, 50)),
    Fault("outliers, %", (0, 1, 3, 10)),
    Fault("registration, mm", (0, 10, 20, 50)),
    Fault("scale", (1, 0.7, 0.5, 1.4, 2)),
)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.robustness", description=__doc__)
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["sparse", "poisson_scanner"], metavar="NAME[=MODEL]")
    parser.add_argument("--per-m2", type=float, default=PER_M2)
    options = parser.parse_args(arguments)
    methods = [BuildingMethod.parse(text) for text in options.methods]
    rows = measure(read_mesh(options.mesh), methods, options.out, options.per_m2)
    labels = [method.label for method in methods]
    (options.out / "robustness.md").write_text(table(rows, labels), encoding="utf-8")
    write_chart(options.out / "robustness.png", rows, labels)
    print(table(rows, labels))


def measure(
    truth: Mesh, methods: Sequence[BuildingMethod], out: Path, per_m2: float, faults: Sequence[Fault] = FAULTS
) -> dict[str, dict[str, float | None]]:
    """Scores by "method|fault|level", kept in the folder as they come."""
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, Any] = {}
    if (out / _FOUND).is_file():
        rows = json.loads((out / _FOUND).read_text(encoding="utf-8"))
    rng = np.random.default_rng(0)
    scanner = VirtualScanner(truth.vertices, truth.faces, threads=0)
    stations = find_stations(truth.vertices, truth.faces, SPACING_M, rng, threads=0)
    write_mesh(out / TRUTH_FILE, truth)
    np.save(out / STATIONS_FILE, stations)
    ideal = scanner.scan_stations(stations, _AREA_RAYS // len(stations), ScannerSettings.ideal(), rng)
    area_m2 = seen_area_m2(ideal, _AREA_CELL_M)
    opened: dict[str, Method] = {}
    for fault in faults:
        for level in fault.levels:
            left = [method for method in methods if f"{method.label}|{fault.name}|{level:g}" not in rows]
            if not left:
                continue
            density = level if fault.name == "points per m2" else per_m2
            cloud = _scan(scanner, stations, fault.settings(level), round(density * area_m2))
            scale = level if fault.name == "scale" else 1.0
            assert cloud.scanners is not None
            given = PointCloud(cloud.points * scale, normals=cloud.normals, scanners=cloud.scanners * scale)
            for method in left:
                opened[method.label] = opened.get(method.label) or method.open()
                rows[f"{method.label}|{fault.name}|{level:g}"] = _scores(opened[method.label], given, scale, out)
                with atomic_path(out / _FOUND) as temporary:
                    temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return rows


def _scores(method: Method, given: PointCloud, scale: float, out: Path) -> dict[str, float | None]:
    """None at all where the scan was refused."""
    try:
        mesh = method(given)
    except ValueError as error:
        print(f"refused: {error}", flush=True)
        return {}
    return scores_of(out, replace(mesh, vertices=mesh.vertices / scale))


def _scan(scanner: VirtualScanner, stations: np.ndarray, settings: ScannerSettings, points: int) -> PointCloud:
    def cast(rays: int) -> PointCloud:
        return scanner.scan_stations(stations, -(-rays // len(stations)), settings, np.random.default_rng(1))

    return scan_wanted(cast, points, len(stations), np.random.default_rng(2), "the building")


def table(rows: dict[str, dict[str, float | None]], labels: Sequence[str]) -> str:
    """One line for each level, the methods side by side."""
    lines = ["| | | " + " | ".join(f"{name}, {label}" for name in _SHOWN for label in labels) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * (len(_SHOWN) * len(labels)))
    for fault in FAULTS:
        for level in fault.levels:
            found = [rows.get(f"{label}|{fault.name}|{level:g}") for label in labels]
            if None in found:
                continue
            cells = [_cell(name, each) for name in _SHOWN for each in found if each is not None]
            lines.append(f"| {fault.name} | {level:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(name: str, scores: dict[str, float | None]) -> str:
    value = scores.get(name)
    if value is None:
        return "–" if scores else "refused"
    return f"{value:.1f}" if name.endswith("%") else f"{value:.3f}"


def write_chart(path: Path, rows: dict[str, dict[str, float | None]], labels: Sequence[str]) -> None:
    """A panel for each fault."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(FAULTS), 3.2), layout="constrained")
    panels = figure.subplots(1, len(FAULTS), sharey=True)
    for axes, fault in zip(panels, FAULTS, strict=True):
        for label in labels:
            places = [(level, rows.get(f"{label}|{fault.name}|{level:g}")) for level in sorted(fault.levels)]
            known = [(level, found[_CHARTED]) for level, found in places if found]
            axes.plot([x for x, _ in known], [y for _, y in known], marker="o", label=label)
        if fault.name in ("points per m2", "scale"):
            axes.set_xscale("log")
        axes.set_xlabel(fault.name)
        axes.set_ylim(0, 1)
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel(_CHARTED)
    panels[0].legend(loc="lower left")
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    run_tool(main)  # type: ignore[arg-type]
