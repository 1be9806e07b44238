"""Scan files in, a folder with mesh.ply, preview.png and report.json out."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse_convonet.io.atomic import atomic_paths, require_writable
from sparse_convonet.io.cleaning import CloudSummary, Dropped, clean_points, describe
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.memory import peak_memory_bytes
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.model_config import EngineName
from sparse_convonet.plan import Plan, memory_budget, require_memory
from sparse_convonet.reconstruct import Reconstruction, ReconstructionSettings, Reconstructor
from sparse_convonet.report.picture import render_cutaway
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.weights import TrainedModel, load_model

logger = logging.getLogger(__name__)

RESULT_FILES = ("mesh.ply", "preview.png", "report.json")  # the last says that the others are of one run
_VERSIONS_OF = ("sparse_convonet", "torch", "numpy", "open3d-cpu", "open3d", "MinkowskiEngine", "numba")


def show_messages() -> None:
    """For tools: what this module says goes to stdout as it is; of the rest, warnings only."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logger.setLevel(logging.INFO)


def reconstruct_scan(
    inputs: Sequence[Path],
    out: Path,
    settings: ReconstructionSettings,
    *,
    up: str | None,
    scale: float | None = None,
    model: str | Path = "building",
    engine: EngineName | None = None,
    device: str = "cpu",
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Read, plan, reconstruct, write; returns the report.  `up` None: guessed from the points.
    `scale` None: metres, refused where the size of the scan says otherwise.

    Raises ValueError or OSError, in one sentence, for input that cannot be used and results that would be
    overwritten; then nothing has been written.
    """
    started = time.monotonic()
    if not overwrite:
        _require_no_result(out)
    require_writable(out)
    trained = load_model(model, engine=engine, device=device)
    _tell_model(trained, device)
    cloud, points_read = _read(inputs, seed)
    cloud, dropped = clean_points(cloud)
    summary = describe(cloud)
    if scale is None:
        _require_metres(summary)
    settings = replace(settings, up=up or summary.up, scale=scale or 1.0)
    _tell_input(summary, points_read, dropped, settings, guessed=up is None)
    read_seconds = time.monotonic() - started

    reporter = _StageBars()
    reconstructor = Reconstructor(trained, settings, reporter)
    plan = reconstructor.plan(cloud)
    _tell_plan(plan, memory_budget(settings.memory_bytes))
    require_memory(plan, settings.memory_bytes)
    with reporter:
        result = reconstructor.run(cloud, plan)
    if len(result.mesh.faces) == 0:
        raise ValueError(
            "the result has no surface: expected points on surfaces of a building, metres apart at most by "
            "centimetres; check --scale, or choose larger voxels with --voxel-size"
        )
    measuring = time.monotonic()
    near_cell, near_voxel = _coverage(cloud, result, settings)
    writing = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with atomic_paths([out / name for name in RESULT_FILES]) as (mesh_path, preview_path, report_path):
        write_mesh(mesh_path, result.mesh)
        render_cutaway(reconstructor.to_upright_metres(result.mesh), preview_path)
        seconds = {
            "read": read_seconds,
            **result.seconds,
            "coverage": writing - measuring,
            "write": time.monotonic() - writing,
        }
        seconds["total"] = time.monotonic() - started
        report = {
            "input": {
                "files": [path.name for path in inputs],
                "points_read": points_read,
                "points_used": len(cloud),
                "dropped": asdict(dropped),
                "up": settings.up,
                "scale": settings.scale,
                "extent": [float(value) for value in summary.extent],
                "spacing": float(summary.spacing),
            },
            "voxel_size_m": plan.voxel_size_m,
            "cell_size_m": plan.cell_size_m,
            "threshold": result.threshold,
            "levels": [{"stride": stride, "cells": cells} for stride, cells in result.level_cells.items()],
            "tiles": {"count": plan.tiles, "edge_voxels": plan.tile_voxels},
            "predicted": {"seconds": plan.seconds, "memory_bytes": plan.memory_bytes},
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
            "peak_memory_bytes": peak_memory_bytes(),
            "mesh": _statistics(result.mesh, settings.scale),
            "removed_pieces": result.removed_pieces,
            "coverage": {"within_1_cell": near_cell, "within_1_voxel": near_voxel},
            "engine": trained.sparse.unet.engine.name,
            "model": {"name": trained.name, "file_threshold": trained.threshold, **trained.record},
            "versions": _versions(),
        }
        report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _tell_result(report, out)
    return report


def _require_no_result(out: Path) -> None:
    existing = [name for name in RESULT_FILES if (out / name).exists()]
    if not existing:
        return
    found = f"{out}: holds {', '.join(existing)} already"
    if RESULT_FILES[-1] not in existing:
        found += f" but no {RESULT_FILES[-1]}, as a run that was killed while it replaced them leaves"
    raise ValueError(f"{found}; add --overwrite or name another folder")


class _StageBars:
    """One progress bar per stage, on stderr."""

    def __init__(self) -> None:
        self._stage: str | None = None
        self._bar: tqdm | None = None

    def __call__(self, stage: str, share: float) -> None:
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=1.0, desc=stage, bar_format="{desc:>28} {bar:30} {percentage:3.0f}% {elapsed}")
        if self._bar is not None:
            self._bar.update(max(0.0, min(1.0, share) - self._bar.n))

    def close(self) -> None:
        """Finish the bar of the current stage."""
        if self._bar is not None:
            self._bar.update(1.0 - self._bar.n)
        self._end()

    def _end(self) -> None:
        """Leave the bar where it is, with the line at its end."""
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = None, None

    def __enter__(self) -> _StageBars:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        self._end()


def _read(inputs: Sequence[Path], seed: int) -> tuple[PointCloud, int]:
    clouds = [read_points(path, seed=seed) for path in inputs]
    if len(clouds) == 1:
        return clouds[0], len(clouds[0])
    colours = [cloud.colours for cloud in clouds if cloud.colours is not None]
    joined = PointCloud(
        np.concatenate([cloud.points for cloud in clouds]),
        np.concatenate(colours) if len(colours) == len(clouds) else None,
    )
    return joined, len(joined)


def _require_metres(summary: CloudSummary) -> None:
    if summary.suggested_scale != 1.0:
        extent = " x ".join(f"{value:.0f}" for value in summary.extent)
        raise ValueError(
            f"scan: expected metres, found an extent of {extent}, which looks like {summary.units}; "
            f"run again with --scale {summary.suggested_scale:g}, or with --scale 1 if these are metres"
        )


def _coverage(cloud: PointCloud, result: Reconstruction, settings: ReconstructionSettings) -> tuple[float, float]:
    """Shares of the used points whose nearest surface is within one cell, and within one voxel."""
    sizes = [size_m / settings.scale for size_m in (result.plan.cell_size_m, result.plan.voxel_size_m)]
    near_cell, near_voxel = shares_within(cloud.points, result.mesh.vertices, result.mesh.faces, sizes)
    return round(near_cell, 5), round(near_voxel, 5)


def _statistics(mesh: Mesh, scale: float) -> dict[str, Any]:
    found = mesh_statistics(mesh)
    return {
        "vertices": found.vertices,
        "faces": found.faces,
        "area_m2": round(found.area * scale**2, 3),
        "components": found.components,
        "watertight": found.watertight,
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _tell_model(trained: TrainedModel, device: str) -> None:
    record = ", ".join(f"{name} {value}" for name, value in trained.record.items())
    logger.info("model     %s (%s), engine %s on %s", trained.name, record, trained.sparse.unet.engine.name, device)


def _tell_input(
    summary: CloudSummary, points_read: int, dropped: Dropped, settings: ReconstructionSettings, *, guessed: bool
) -> None:
    extent = " x ".join(f"{value:.2f}" for value in summary.extent)
    logger.info("read      %d points, extent %s, spacing %.3g", points_read, extent, summary.spacing)
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in asdict(dropped).items() if count]
    logger.info("dropped   %s", ", ".join(reasons) if reasons else "none")
    logger.info("up axis   %s (%s)", settings.up, "guessed from the points; --up sets it" if guessed else "as asked")


def _tell_plan(plan: Plan, budget: int) -> None:
    logger.info("voxels    %.3g m: %s", plan.voxel_size_m, plan.reason)
    logger.info("cells     %.3g m of the mesh", plan.cell_size_m)
    logger.info(
        "expect    %d voxels, about %.1f GB of memory and %.0f s on two cores",
        plan.voxels, plan.memory_bytes / 1e9, plan.seconds,
    )  # fmt: skip
    if plan.tile_voxels is not None:
        logger.info(
            "tiles     %d of at most %d voxels (%.0f m) each: one piece would take more than the %.1f GB allowed",
            plan.tiles, plan.tile_voxels, plan.tile_voxels * plan.voxel_size_m, budget / 1e9,
        )  # fmt: skip


def _tell_result(report: dict[str, Any], out: Path) -> None:
    mesh, near = report["mesh"], report["coverage"]
    logger.info(
        "mesh      %d vertices, %d faces, %.0f m2 in %d pieces%s",
        mesh["vertices"], mesh["faces"], mesh["area_m2"], mesh["components"], ", watertight" * mesh["watertight"],
    )  # fmt: skip
    logger.info(
        "coverage  %.1f %% of the points within one cell of the mesh, %.1f %% within one voxel",
        100 * near["within_1_cell"], 100 * near["within_1_voxel"],
    )  # fmt: skip
    logger.info("took      %.1f s, peak memory %.2f GB", report["seconds"]["total"], report["peak_memory_bytes"] / 1e9)
    logger.info("wrote     %s", ", ".join(str(out / name) for name in RESULT_FILES))
