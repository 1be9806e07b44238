"""One object in, a folder with mesh.ply, mesh.off, preview.png and report.json out."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.coordinates import UNIT_PADDING
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.picture.cutaway import write_picture
from sparse_convonet.reconstruct.sample_mesh import AS_EXTRACTED, Finishing, SampleMesh, sample_mesh
from sparse_convonet.report.shape_sheet import Z_UP, show_mesh
from sparse_convonet.runtime.atomic import atomic_paths, require_writable
from sparse_convonet.runtime.memory import peak_memory_bytes
from sparse_convonet.scan.object_inputs import ObservedObject, observe
from sparse_convonet.scan.report import versions
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

RESULT_FILES = ("mesh.ply", "mesh.off", "preview.png", "report.json")  # the last says that the others are of one run
_PANEL = 640
CELLS = 128  # of the mesh along the padded cube, as published


@dataclass(frozen=True)
class ObjectRequest:
    """What to reconstruct, and how.

    model: weights of a network of objects.  up: the axis of the input that points up; None: z of an OctoMap, else y.
    points: how many are shown to the network; None: as many as it was trained with, all where the input has fewer.
    cells: along the padded cube; None: 128, and cells of half a voxel for maps of any size.  threshold: None: the
    one stored with the weights.
    """

    input: Path
    out: Path
    model: Path
    up: str | None = None
    points: int | None = None
    cells: int | None = None
    threshold: float | None = None
    finishing: Finishing = AS_EXTRACTED
    device: str = "cpu"
    seed: int = 0
    overwrite: bool = False


def reconstruct_object(request: ObjectRequest) -> dict[str, Any]:
    """Read, normalise to the unit cube, reconstruct, write in the frame of the input; returns the report.

    Raises ValueError or OSError, in one sentence, for input that cannot be used and results that would be overwritten; then
    nothing has been written.
    """
    started = time.monotonic()
    existing = [name for name in RESULT_FILES if (request.out / name).exists()]
    if existing and not request.overwrite:
        raise ValueError(f"{request.out}: holds {', '.join(existing)} already; add --overwrite or name another folder")
    require_writable(request.out)
    model = load_model(request.model, device=request.device)
    observed = observe(request.input, model, up=request.up, points=request.points, seed=request.seed)
    read = time.monotonic()
    threshold = request.threshold or model.threshold
    free = observed.sample.on_lattice and observed.sample.shown is None
    cells = request.cells or (None if free else CELLS)
    made = sample_mesh(model, observed.sample, cells=cells, threshold=threshold, finishing=request.finishing)
    if len(made.mesh.faces) == 0:
        raise ValueError(
            f"{request.input}: the result has no surface at an occupancy of {threshold:g}; check --up, or lower --tau"
        )
    mesh = observed.to_input(made.mesh)
    report = _report(request, observed, model, made, mesh, threshold, cells)
    request.out.mkdir(parents=True, exist_ok=True)
    with atomic_paths([request.out / name for name in RESULT_FILES]) as (ply, off, preview, report_path):
        write_mesh(ply, mesh)
        write_mesh(off, mesh)
        write_picture(preview, _preview(observed, made.mesh))
        seconds = {"read": read - started, **made.seconds, "total": time.monotonic() - started}
        report["seconds"] = {name: round(value, 3) for name, value in seconds.items()}
        report["peak_memory_bytes"] = peak_memory_bytes()
        report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _tell(report, [request.out / name for name in RESULT_FILES])
    return report


def _report(
    request: ObjectRequest,
    observed: ObservedObject,
    model: TrainedModel,
    made: SampleMesh,
    mesh: Mesh,
    threshold: float,
    cells: int | None,
) -> dict[str, Any]:
    """What report.json says, less what is only known once everything is written."""
    cube = observed.cube
    near: Sequence[float] = ()
    if observed.surface_world is not None:
        cell = (1 + UNIT_PADDING) * cube.metres_per_unit / (request.cells or CELLS)
        near = shares_within(observed.surface_world, made.mesh.vertices, made.mesh.faces, (cell, 2 * cell))
    statistics = mesh_statistics(mesh)
    return {
        "input": {"file": request.input.name, "kind": observed.kind, "up": observed.up, **observed.counts},
        "unit_cube": {"centre": cube.centre_world.tolist(), "side": cube.metres_per_unit},
        "cells": cells,
        "threshold": threshold,
        "mesh": asdict(statistics),
        "coverage": dict(zip(("within_1_cell", "within_2_cells"), (round(each, 5) for each in near), strict=False)),
        "model": {
            "name": model.name,
            "field": model.config.model.field,
            "file_threshold": model.threshold,
            **model.record,
        },
        "versions": versions(),
    }


def _preview(observed: ObservedObject, mesh: Mesh) -> np.ndarray:
    """(H, 2 H, 3) uint8: what was observed, and the mesh in world metres, z up."""
    return np.concatenate([observed.draw(_PANEL), show_mesh(mesh, _PANEL, Z_UP)], axis=1)


def _tell(report: dict[str, Any], written: Sequence[Path]) -> None:
    mesh, near = report["mesh"], report["coverage"]
    logger.info("read      %s", ", ".join(f"{name} {value}" for name, value in report["input"].items()))
    logger.info(
        "mesh      %d vertices, %d faces in %d pieces%s",
        mesh["vertices"], mesh["faces"], mesh["components"], ", watertight" * mesh["watertight"],
    )  # fmt: skip
    if near:
        logger.info("coverage  %.1f %% of the input within one cell of the mesh", 100 * near["within_1_cell"])
    logger.info("took      %.1f s, peak memory %.2f GB", report["seconds"]["total"], report["peak_memory_bytes"] / 1e9)
    logger.info("wrote     %s", ", ".join(map(str, written)))
