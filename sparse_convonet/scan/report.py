"""What a run tells of itself in report.json."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped
from sparse_convonet.io.crs import name_of
from sparse_convonet.mesh.expected_error import ScanScale, shipped_error_model
from sparse_convonet.metrics.certificate import NOT_COVERED, Certificate, StoreyCertificate
from sparse_convonet.metrics.overlap import Overlap
from sparse_convonet.metrics.sides import ScanSideShares
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.out_of_core.assembly.written_mesh import LightFacts, WrittenMesh
from sparse_convonet.plan.error_law import ExpectedError
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.stages import FoundSurface
from sparse_convonet.runtime.memory import peak_memory_bytes
from sparse_convonet.runtime.version import __version__
from sparse_convonet.scan.texture import TextureFacts

_VERSIONS_OF = ("torch", "numpy", "open3d-cpu", "open3d", "MinkowskiEngine", "numba")


@dataclass(frozen=True)
class ScanInput:
    """What is known of the points of a scan, wherever they are.  up_guessed: from them; else the user said it.
    has_colours: all of them."""

    points_read: int
    points_used: int
    dropped: Dropped
    summary: CloudSummary
    up_guessed: bool
    has_colours: bool = False


def report_of(
    inputs: Sequence[Path],
    crs: str | None,
    given: ScanInput,
    settings: ReconstructionSettings,
    plan: Plan,
    found: FoundSurface,
    written: WrittenMesh,
    seconds: Mapping[str, float],
    trained: TrainedModel,
    floor_plans: Sequence[Mapping[str, Any]] | None = None,
    overlap: Overlap | None = None,
    texture: TextureFacts | None = None,
) -> dict[str, Any]:
    """What report.json says of a run.  crs: WKT of the coordinate system, if it is known.  seconds: by stage.

    floor_plans: what floor_plan.rooms_json.summary_of says of the storeys; None where none were drawn.
    overlap: of the scans; None where they have none, or nobody knows where the scanner stood.  texture: None where none
    was asked for.
    """
    mesh = written.statistics
    return {
        "input": {
            "files": [path.name for path in inputs],
            "points_read": given.points_read,
            "points_used": given.points_used,
            "dropped": asdict(given.dropped),
            "up": settings.up,
            "up_confidence": round(given.summary.up_confidence, 3) if given.up_guessed else None,
            "scale": settings.metres_per_unit,
            "units": {"name": given.summary.units, "declared": given.summary.units_declared},
            "crs": None if crs is None else {"name": name_of(crs), "wkt": crs},
            "extent": [float(value) for value in given.summary.extent],
            "spacing": float(given.summary.spacing),
        },
        "voxel_size_m": plan.voxel_size_m,
        "voxel_reason": plan.reason,
        "cell_size_m": plan.cell_size_m,
        "expected_error": None if plan.expected is None else _rounded(plan.expected),
        "threshold": found.threshold,
        "levels": [{"stride": stride, "cells": cells} for stride, cells in found.level_cells.items()],
        "tiles": {"count": plan.tiles, "edge_voxels": plan.tile_voxels},
        "predicted": {
            "seconds": round(plan.seconds, 1),
            "seconds_range": [round(seconds, 1) for seconds in plan.seconds_range],
            "memory_bytes": plan.memory_bytes,
        },
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_bytes": peak_memory_bytes(),
        "mesh": {
            "vertices": mesh.vertices,
            "faces": mesh.faces,
            "area_m2": round(mesh.area * settings.metres_per_unit**2, 3),
            "components": mesh.components,
            "watertight": mesh.watertight,
            "surface": settings.surface,
        },
        "light_mesh": None if written.light is None else _rounded(written.light),
        "texture": None if texture is None else asdict(texture),
        "removed_pieces": written.removed_pieces,
        "free_space_m3": None if found.free_m3 is None else round(found.free_m3, 2),
        "coverage": {
            "within_1_cell": round(written.coverage[0], 5),
            "within_1_voxel": round(written.coverage[1], 5),
        },
        "sides": None if written.sides is None else _rounded(written.sides),
        "overlap": None if overlap is None else _missed(overlap, settings),
        "certificate": _certificate(written.certificate, _not_measured(given, plan, found, trained)),
        "floor_plans": None if floor_plans is None else list(floor_plans),
        "engine": trained.sparse.unet.engine.name,
        "model": {"name": trained.name, "file_threshold": trained.threshold, **trained.record},
        "versions": versions(),
    }


def _not_measured(given: ScanInput, plan: Plan, found: FoundSurface, trained: TrainedModel) -> list[str]:
    """Why the expected errors are guesses, see ErrorModel.not_measured."""
    points_per_voxel = given.points_used / found.level_cells[min(found.level_cells)]
    return shipped_error_model().not_measured(ScanScale(plan.voxel_size_m, points_per_voxel), trained.name)


def _certificate(certificate: Certificate, not_measured: list[str]) -> dict[str, Any]:
    """What is expected of the mesh, in millimetres, and what that does not cover.  not_measured: why it is a guess."""

    def plain(found: Certificate | StoreyCertificate) -> dict[str, Any]:
        errors = found.error_68_m, found.error_95_m
        within_68, within_95 = (None if error is None else round(1000 * error, 1) for error in errors)
        return {
            "observed": round(found.observed, 4),
            "error_68_mm": within_68,
            "error_95_mm": within_95,
            "level_of_accuracy": found.level_of_accuracy,
        }

    storeys = [
        {"floor_z_m": round(storey.floor_z, 2), "area_m2": round(storey.area_m2, 1), **plain(storey)}
        for storey in certificate.storeys
    ]
    return {
        **plain(certificate),
        "storeys": storeys,
        "does_not_cover": NOT_COVERED,
        "guessed_because": not_measured,
    }


def _missed(overlap: Overlap, settings: ReconstructionSettings) -> dict[str, Any]:
    """What the scans miss each other by, in millimetres; places in the frame and units of the scan."""
    frame = settings.scan_frame
    return {
        "viewpoints": overlap.viewpoints,
        "area_m2": round(overlap.area_m2, 1),
        "median_mm": round(1000 * overlap.median_m, 1),
        "within_95_mm": round(1000 * overlap.within_95_m, 1),
        "worst": [
            {
                "at": [round(value, 3) for value in frame.to_scan(place.at_world[None])[0].tolist()],
                "median_mm": round(1000 * place.missed_m, 1),
            }
            for place in overlap.places
        ],
    }


def _rounded(facts: ScanSideShares | LightFacts | ExpectedError) -> dict[str, float | int]:
    return {name: round(value, 5) for name, value in asdict(facts).items()}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "sparse_convonet": __version__}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
