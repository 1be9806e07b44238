"""Scan files in, a folder with mesh.ply, preview.png and report.json out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.cluster import TaskRunner, runner_for
from sparse_convonet.io.atomic import atomic_paths, require_writable
from sparse_convonet.io.cleaning import CloudSummary, clean_points, describe
from sparse_convonet.io.expected_points import expected_points
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.mesh.cleanup import no_surface
from sparse_convonet.mesh.compile_ahead import compile_ahead
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.model_config import EngineName
from sparse_convonet.out_of_core.planning import plan_tiles
from sparse_convonet.out_of_core.run import WorkFolder, settings_for_one_piece
from sparse_convonet.plan import Plan, holds_points, memory_budget, require_memory
from sparse_convonet.reconstruct import ReconstructionSettings, Reconstructor
from sparse_convonet.report.picture import render_cutaway
from sparse_convonet.scan_messages import StageBars, tell_input, tell_model, tell_plan, tell_result
from sparse_convonet.scan_report import ScanInput, ScanOutcome, report_of
from sparse_convonet.structures import PointCloud
from sparse_convonet.weights import TrainedModel, load_model

RESULT_FILES = ("mesh.ply", "preview.png", "report.json")  # the last says that the others are of one run
WORK_FOLDER, TILES_FOLDER = "work", "tiles"


@dataclass(frozen=True)
class ScanRequest:
    """What to reconstruct, and how.

    up: None for the axis that the points show.  scale: metres per unit of the scan; None for metres, refused where its
    size says otherwise.  model: a name or a file.  work: where points and tiles are kept while a scan is reconstructed
    through the disk; None: a folder in `out`.  cluster: "local" or the address of Ray, for the tiles.  tiles: write a
    folder of 3D Tiles as well.
    """

    inputs: Sequence[Path]
    out: Path
    settings: ReconstructionSettings
    up: str | None = None
    scale: float | None = None
    model: str | Path = "building"
    engine: EngineName | None = None
    device: str = "cpu"
    seed: int = 0
    overwrite: bool = False
    work: Path | None = None
    cluster: str | None = None
    tiles: bool = False


def reconstruct_scan(request: ScanRequest) -> dict[str, Any]:
    """Read, plan, reconstruct, write; returns the report.

    A scan whose reconstruction would take more memory than it may goes through the disk, in tiles, and a run that was
    killed goes on with the tiles that it finished.
    Raises ValueError or OSError, in one sentence, for input that cannot be used and results that would be
    overwritten; then nothing has been written.
    """
    if not request.overwrite:
        _require_no_result(request)
    require_writable(request.out)
    compile_ahead()
    trained = load_model(request.model, engine=request.engine, device=request.device)
    tell_model(trained, request.device)
    run = _Run(request, trained)
    report = run.through_disk() if run.must_go_through_disk() else run.in_memory()
    tell_result(report, [request.out / name for name in (*RESULT_FILES, *([TILES_FOLDER] if request.tiles else []))])
    return report


class _Run:
    """One run, in memory or through the disk."""

    def __init__(self, request: ScanRequest, trained: TrainedModel) -> None:
        self._started = time.monotonic()
        self._request = request
        self._trained = trained
        self._settings = request.settings
        self._budget = memory_budget(request.settings.memory_bytes)

    def must_go_through_disk(self) -> bool:
        """Whether it was asked for, or the points alone would take more memory than they may.

        Raises ValueError where settings ask for the whole mesh at once.
        """
        request = self._request
        asked = [name for name in ("work", "cluster", "tiles") if getattr(request, name)]
        points = sum(expected_points(path) for path in request.inputs)
        needed = bool(asked) or not holds_points(points, self._budget)
        for_one_piece = settings_for_one_piece(request.settings)
        if needed and for_one_piece:
            why = f"--{asked[0]}" if asked else f"{points} points, which do not fit {self._budget / 1e9:.1f} GB"
            raise ValueError(
                f"{', '.join(for_one_piece)}: expected a scan that is reconstructed in one piece, found {why}; "
                "leave one of them out"
            )
        return needed

    def in_memory(self) -> dict[str, Any]:
        """In one piece; through the disk after all where the plan says that it would take too much."""
        request = self._request
        cloud, points_read = _read(request.inputs, request.seed)
        cloud, dropped = clean_points(cloud)
        summary = describe(cloud)
        if request.scale is None:
            _require_metres(summary)
        self._settings = replace(self._settings, up=request.up or summary.up, scale=request.scale or 1.0)
        bars = StageBars()
        reconstructor = Reconstructor(self._trained, self._settings, bars)
        plan = reconstructor.plan(cloud)
        if plan.tile_voxels is not None or plan.memory_bytes > self._budget:
            if not settings_for_one_piece(self._settings):
                del cloud, reconstructor
                return self.through_disk()
        given = ScanInput(points_read, len(cloud), dropped, summary)
        self._tell(given, plan)
        read_seconds = time.monotonic() - self._started
        with bars:
            result = reconstructor.run(cloud, plan)
        if len(result.mesh.faces) == 0:
            raise no_surface()
        measuring = time.monotonic()
        sizes = [size_m / self._settings.scale for size_m in (plan.cell_size_m, plan.voxel_size_m)]
        near_cell, near_voxel = shares_within(cloud.points, result.mesh.vertices, result.mesh.faces, sizes)
        measured = time.monotonic()
        seconds = {"read": read_seconds, **result.seconds, "coverage": measured - measuring}

        def write(mesh_path: Path, preview_path: Path) -> ScanOutcome:
            write_mesh(mesh_path, result.mesh)
            render_cutaway(reconstructor.to_upright_metres(result.mesh), preview_path)
            return ScanOutcome(
                mesh_statistics(result.mesh),
                (near_cell, near_voxel),
                result.level_cells,
                result.threshold,
                result.removed_pieces,
                {**seconds, "write": time.monotonic() - measured},
            )

        return self._write(given, plan, write)

    def through_disk(self) -> dict[str, Any]:
        """In tiles, on this machine or on a cluster."""
        request = self._request
        work = WorkFolder(request.work or request.out / WORK_FOLDER)
        with closing(runner_for(request.cluster)) as runner, StageBars() as bars:
            return self._through_disk(work, runner, bars)

    def _through_disk(self, work: WorkFolder, runner: TaskRunner, bars: StageBars) -> dict[str, Any]:
        request, is_new = self._request, not self._request.out.exists()
        try:
            read = work.read(
                request.inputs,
                up=request.up,
                scale=request.scale,
                seed=request.seed,
                check=_require_metres,
                progress=bars,
            )
            self._settings = replace(self._settings, up=request.up or read.summary.up, scale=request.scale or 1.0)
            planned = plan_tiles(read.store, self._settings, self._trained, self._budget)
            bars.close()
            given = ScanInput(read.points_read, read.store.count, read.dropped, read.summary)
            self._tell(given, planned.plan)
        except ValueError:
            if request.work is None:  # what was refused leaves nothing behind
                work.remove()
                if is_new and request.out.is_dir():
                    request.out.rmdir()
            raise
        work.prepare(planned, self._settings, request.model)
        seconds = {"read": time.monotonic() - self._started}
        made = work.make_tiles(planned, self._trained.sparse.unet, runner, bars)

        def write(mesh_path: Path, preview_path: Path) -> ScanOutcome:
            joining = time.monotonic()
            tiles_path = request.out / TILES_FOLDER if request.tiles else None
            mesh = work.join(planned, read.store, self._settings, mesh_path, preview_path, tiles_path, bars)
            near_cell, near_voxel = mesh.coverage
            return ScanOutcome(
                mesh.statistics,
                (near_cell, near_voxel),
                made.level_cells,
                planned.work.threshold,
                mesh.removed_pieces,
                {**seconds, **made.seconds, "join": time.monotonic() - joining},
            )

        report = self._write(given, planned.plan, write)
        work.remove()
        return report

    def _tell(self, given: ScanInput, plan: Plan) -> None:
        guessed = self._request.up is None
        tell_input(given.summary, given.points_read, given.dropped, self._settings, guessed=guessed)
        tell_plan(plan, self._budget)
        require_memory(plan, self._settings.memory_bytes)

    def _write(self, given: ScanInput, plan: Plan, write: Callable[[Path, Path], ScanOutcome]) -> dict[str, Any]:
        """Let `write` make the mesh and its picture, and put the report beside them; all three appear together."""
        out = self._request.out
        out.mkdir(parents=True, exist_ok=True)
        with atomic_paths([out / name for name in RESULT_FILES]) as (mesh_path, preview_path, report_path):
            outcome = write(mesh_path, preview_path)
            total = time.monotonic() - self._started
            report = report_of(self._request.inputs, given, self._settings, plan, outcome, self._trained, total)
            report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return report


def _require_no_result(request: ScanRequest) -> None:
    names = (*RESULT_FILES, TILES_FOLDER) if request.tiles else RESULT_FILES
    existing = [name for name in names if (request.out / name).exists()]
    if not existing:
        return
    found = f"{request.out}: holds {', '.join(existing)} already"
    if RESULT_FILES[-1] not in existing:
        found += f" but no {RESULT_FILES[-1]}, as a run that was killed while it replaced them leaves"
    raise ValueError(f"{found}; add --overwrite or name another folder")


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
