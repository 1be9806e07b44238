"""Stage report: what the page of a reconstruction says of it in words and numbers, from its report.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A row of the page.  reason: why it is so, where it was chosen; else empty."""

    label: str
    value: str
    reason: str = ""


def figures_of(report: Mapping[str, Any]) -> list[Figure]:
    """What was measured: the scan, the mesh, how well they fit, what it took."""
    given, mesh, coverage = report["input"], report["mesh"], report["coverage"]
    scale = given["scale"]
    extent = " × ".join(f"{value * scale:.1f}" for value in given["extent"])
    pieces = f"{mesh['components']:,}, {'watertight' if mesh['watertight'] else 'open at borders'}"
    rows = [
        Figure("Scan", ", ".join(given["files"])),
        Figure("Points", f"{given['points_used']:,} of {given['points_read']:,} read", _dropped(given["dropped"])),
        Figure("Extent", f"{extent} m"),
        Figure("Distance between points", f"{1000 * given['spacing'] * scale:.3g} mm"),
        Figure("Mesh", f"{mesh['faces']:,} faces, {mesh['vertices']:,} vertices"),
        Figure("Surface", f"{mesh['area_m2']:,.0f} m²"),
        Figure("Connected pieces", pieces),
        Figure("Points within one cell of the mesh", f"{100 * coverage['within_1_cell']:.1f} %"),
        Figure("Points within one voxel of the mesh", f"{100 * coverage['within_1_voxel']:.1f} %"),
    ]
    certificate = report.get("certificate")
    if certificate is not None:
        rows += _certified(certificate)
    light = report.get("light_mesh")
    if light is not None:
        near, far = 1000 * light["within_95_m"], 1000 * light["largest_m"]
        error = f"95 % of the mesh within {near:.1f} mm of it, the farthest {far:.0f} mm"
        rows.append(Figure("Light mesh", f"{light['faces']:,} faces", error))
    sides = report.get("sides")
    if sides is not None:
        rows.append(
            Figure(
                "Rays of the scanner",
                f"{100 * sides['early']:.1f} % end early, {100 * sides['through']:.1f} % go through",
                f"of {sides['rays']:,}, against the surface",
            )
        )
    overlap = report.get("overlap")
    if overlap is not None:
        missed = f"half within {overlap['median_mm']:.1f} mm, 95 % within {overlap['within_95_mm']:.1f} mm"
        seen = f"{overlap['area_m2']:.0f} m2 seen from several of {overlap['viewpoints']} viewpoints"
        rows.append(Figure("Scans miss each other by", missed, seen))
    total = report["seconds"]["total"]
    return [*rows, Figure("Time", f"{total:.0f} s"), Figure("Memory", f"{report['peak_memory_bytes'] / 1e9:.1f} GB")]


def _certified(certificate: Mapping[str, Any]) -> list[Figure]:
    """How much was seen, and which errors are expected of that."""
    by_storey = [f"storey {n + 1}: {_within(each)}" for n, each in enumerate(certificate["storeys"])]
    more = "; ".join(by_storey) if len(by_storey) > 1 else ""
    if guessed := certificate.get("guessed_because"):
        more = "; ".join(filter(None, [more, f"guesses: {', '.join(guessed)}"]))
    return [
        Figure("Surface that was seen", f"{100 * certificate['observed']:.0f} %", "the rest is the network's guess"),
        Figure("Expected error of that", _within(certificate), more),
        Figure("Not in that error", certificate["does_not_cover"]),
    ]


def _within(found: Mapping[str, Any]) -> str:
    if found["error_95_mm"] is None:
        return "none can be told"
    return (
        f"68 % within {found['error_68_mm']:.1f} mm, 95 % within {found['error_95_mm']:.1f} mm "
        f"({found['level_of_accuracy']})"
    )


def choices_of(report: Mapping[str, Any]) -> list[Figure]:
    """What was chosen, and why: by the user, from the points, or by the model."""
    given, tiles, model = report["input"], report["tiles"], report["model"]
    voxel = Figure("Voxels", f"{report['voxel_size_m']:.3g} m", report.get("voxel_reason", ""))
    cell = Figure("Cells of the mesh", f"{report['cell_size_m']:.3g} m")
    confidence = given["up_confidence"]
    guessed = "as asked" if confidence is None else f"guessed from the points, confidence {confidence:.2f} of 1"
    units = given["units"]
    declared = f"the file declares {units['name']}" if units["declared"] else "the file declares no unit"
    scale = Figure("Unit of the scan", f"{given['scale']:.9g} m", declared)
    is_own = report["threshold"] == model.get("file_threshold")
    threshold = Figure(
        "Threshold of the surface", f"{report['threshold']:.3g}", "that of the model" if is_own else "as asked"
    )
    count = tiles["count"]
    parts = Figure("Worked on", "in one piece" if tiles["edge_voxels"] is None else f"in {count:,} tiles")
    light = report.get("light_mesh")
    rows = [Figure("Up axis", given["up"], guessed), scale, voxel, cell, threshold, parts]
    if light is not None:
        rows.append(Figure("Error allowed to the light mesh", f"{1000 * light['allowed_error_m']:.3g} mm"))
    version = report["versions"].get("sparse_convonet")
    return [*rows, Figure("Model", str(model["name"]), f"sparse_convonet {version}" if version else "")]


def _dropped(counts: Mapping[str, int]) -> str:
    reasons = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items() if count]
    return f"left out: {', '.join(reasons)}" if reasons else ""
