"""What a run tells of itself in report.json."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped
from sparse_convonet.mesh.topology import MeshStatistics
from sparse_convonet.metrics.sides import ScanSideShares
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.memory import peak_memory_bytes

_VERSIONS_OF = ("sparse_convonet", "torch", "numpy", "open3d-cpu", "open3d", "MinkowskiEngine", "numba")


@dataclass(frozen=True)
class ScanInput:
    """What is known of the points of a scan, wherever they are."""

    points_read: int
    points_used: int
    dropped: Dropped
    summary: CloudSummary


@dataclass(frozen=True)
class ScanOutcome:
    """What is known of a mesh that was written.  coverage: shares within a cell and within a voxel.  sides: None where
    no scanner is known."""

    statistics: MeshStatistics
    coverage: tuple[float, float]
    level_cells: dict[int, int]
    threshold: float
    removed_pieces: int
    seconds: dict[str, float]
    sides: ScanSideShares | None


def report_of(
    inputs: Sequence[Path],
    given: ScanInput,
    settings: ReconstructionSettings,
    plan: Plan,
    outcome: ScanOutcome,
    trained: TrainedModel,
) -> dict[str, Any]:
    """What report.json says of a run."""
    mesh = outcome.statistics
    return {
        "input": {
            "files": [path.name for path in inputs],
            "points_read": given.points_read,
            "points_used": given.points_used,
            "dropped": asdict(given.dropped),
            "up": settings.up,
            "scale": settings.scale,
            "extent": [float(value) for value in given.summary.extent],
            "spacing": float(given.summary.spacing),
        },
        "voxel_size_m": plan.voxel_size_m,
        "cell_size_m": plan.cell_size_m,
        "threshold": outcome.threshold,
        "levels": [{"stride": stride, "cells": cells} for stride, cells in outcome.level_cells.items()],
        "tiles": {"count": plan.tiles, "edge_voxels": plan.tile_voxels},
        "predicted": {"seconds": plan.seconds, "memory_bytes": plan.memory_bytes},
        "seconds": {name: round(value, 3) for name, value in outcome.seconds.items()},
        "peak_memory_bytes": peak_memory_bytes(),
        "mesh": {
            "vertices": mesh.vertices,
            "faces": mesh.faces,
            "area_m2": round(mesh.area * settings.scale**2, 3),
            "components": mesh.components,
            "watertight": mesh.watertight,
        },
        "removed_pieces": outcome.removed_pieces,
        "coverage": {
            "within_1_cell": round(outcome.coverage[0], 5),
            "within_1_voxel": round(outcome.coverage[1], 5),
        },
        "sides": None if outcome.sides is None else _rounded(outcome.sides),
        "engine": trained.sparse.unet.engine.name,
        "model": {"name": trained.name, "file_threshold": trained.threshold, **trained.record},
        "versions": _versions(),
    }


def _rounded(sides: ScanSideShares) -> dict[str, float | int]:
    return {name: round(value, 5) for name, value in asdict(sides).items()}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
