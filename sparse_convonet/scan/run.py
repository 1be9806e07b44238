"""Scan files in, a folder with mesh.ply, preview.png and report.json out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sparse_convonet.clouds.cleaning import CloudSummary, clean_points, describe
from sparse_convonet.cluster import runner_for
from sparse_convonet.config.models import EngineName
from sparse_convonet.extract.compile_ahead import compile_ahead
from sparse_convonet.io.expected_points import expected_points
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.mesh.cleanup import no_surface
from sparse_convonet.mesh.topology import mesh_statistics
from sparse_convonet.metrics.coverage import shares_within
from sparse_convonet.metrics.sides import ScanRays, ScanSideShares, in_ray_sample
from sparse_convonet.model.weights import TrainedModel, load_model, weights_path
from sparse_convonet.out_of_core.points.spool import Stations
from sparse_convonet.out_of_core.points.store_points import PointStore
from sparse_convonet.out_of_core.tiles.plan_tiles import TiledPlan, plan_tiles
from sparse_convonet.out_of_core.work_folder import WorkFolder
from sparse_convonet.picture.cutaway import render_cutaway
from sparse_convonet.plan.plan import Plan, holds_points, memory_budget, require_memory
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.reconstructor import Reconstructor
from sparse_convonet.runtime.atomic import atomic_paths, require_writable
from sparse_convonet.scan.inputs import read_inputs
from sparse_convonet.scan.messages import StageBars, tell_input, tell_model, tell_plan, tell_result
from sparse_convonet.scan.report import ScanInput, ScanOutcome, report_of
from sparse_convonet.structures import Mesh, PointCloud

RESULT_FILES = ("mesh.ply", "preview.png", "report.json")  # the last says that the others are of one run
WORK_FOLDER, TILES_FOLDER = "work", "tiles"


@dataclass(frozen=True)
class ScanRequest:
    """What to reconstruct, and how.

    up: None for the axis that the points show.  scale: metres per unit of the scan; None for metres, refused where its
    size says otherwise.  stations: where the scanner of each input stood, or of all of them, in their frame and units;
    none: where the files say.  model: a name or a file.  work: where points and tiles are kept while a scan is
    reconstructed through the disk; None: a folder in `out`.  cluster: "local" or the address of Ray, for the tiles.
    tiles: write a folder of 3D Tiles as well.
    """

    inputs: Sequence[Path]
    out: Path
    settings: ReconstructionSettings
    up: str | None = None
    scale: float | None = None
    stations: Stations = ()
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
    started = time.monotonic()
    if len(request.stations) not in (0, 1, len(request.inputs)):
        raise ValueError(
            f"--station: expected one, or one for each input ({len(request.inputs)}), found {len(request.stations)}; "
            "say it once for all inputs, or once for each in their order"
        )
    if not request.overwrite:
        _require_no_result(request)
    require_writable(request.out)
    compile_ahead()
    trained = load_model(request.model, engine=request.engine, device=request.device)
    tell_model(trained, request.device)
    run = _Run(request, trained, memory_budget(request.settings.memory_bytes), started)
    report = None if run.must_go_through_disk() else run.in_memory()
    report = report or run.through_disk()
    written = [request.out / name for name in (*RESULT_FILES, *([TILES_FOLDER] if request.tiles else []))]
    tell_result(report, written, stations_named=bool(request.stations))
    return report


@dataclass(frozen=True)
class _Planned:
    """What is known of a scan before it is reconstructed.  settings: with the axis and scale that it turned out to have."""

    given: ScanInput
    settings: ReconstructionSettings
    plan: Plan
    read_seconds: float


@dataclass(frozen=True)
class _Run:
    """One run, in memory or through the disk.  budget: bytes.  started: of time.monotonic."""

    request: ScanRequest
    trained: TrainedModel
    budget: int
    started: float

    def must_go_through_disk(self) -> bool:
        """Whether it was asked for, or the points alone would take more memory than they may."""
        points = sum(expected_points(path) for path in self.request.inputs)
        return self._tiles_asked or not holds_points(points, self.budget)

    def in_memory(self) -> dict[str, Any] | None:
        """In one piece; None, and nothing done, where the plan says that it would take too much."""
        request = self.request
        cloud, points_read = read_inputs(request.inputs, request.seed, self._stations)
        cloud, dropped = clean_points(cloud)
        summary = describe(cloud)
        if request.scale is None:
            _require_metres(summary)
        settings = self._settings(summary)
        bars = StageBars()
        reconstructor = Reconstructor(self.trained, settings, bars)
        plan = reconstructor.plan(cloud)
        if plan.memory_bytes > self.budget:
            return None
        given = ScanInput(points_read, len(cloud), dropped, summary)
        planned = self._planned(given, settings, plan)
        with bars:
            result = reconstructor.run_in_one_piece(cloud, plan)
        if len(result.mesh.faces) == 0:
            raise no_surface()
        measuring = time.monotonic()
        sizes = [size_m / settings.scale for size_m in (plan.cell_size_m, plan.voxel_size_m)]
        near_cell, near_voxel = shares_within(cloud.points, result.mesh.vertices, result.mesh.faces, sizes)
        sides = _sides_of(cloud, result.mesh, reconstructor, plan)
        measured = time.monotonic()

        def write(mesh_path: Path, preview_path: Path) -> ScanOutcome:
            write_mesh(mesh_path, result.mesh)
            render_cutaway(reconstructor.to_upright_metres(result.mesh), preview_path)
            return ScanOutcome(
                mesh_statistics(result.mesh),
                (near_cell, near_voxel),
                result.level_cells,
                result.threshold,
                result.removed_pieces,
                {**result.seconds, "coverage": measured - measuring, "write": time.monotonic() - measured},
                sides,
            )

        return self._write(planned, write)

    def through_disk(self) -> dict[str, Any]:
        """In tiles, on this machine or on a cluster."""
        request = self.request
        work = WorkFolder(request.work or request.out / WORK_FOLDER)
        with closing(runner_for(request.cluster)) as runner, StageBars() as bars:
            tiles, store, planned = self._plan_tiles(work, bars)
            work.prepare(tiles, planned.settings, weights_path(request.model))
            made = work.make_tiles(tiles, self.trained.sparse.unet, runner, bars)

            def write(mesh_path: Path, preview_path: Path) -> ScanOutcome:
                joining = time.monotonic()
                tiles_path = request.out / TILES_FOLDER if request.tiles else None
                paths = mesh_path, preview_path, tiles_path
                mesh = work.join(tiles, store, planned.settings, *paths, self.budget, bars)
                near_cell, near_voxel = mesh.coverage
                return ScanOutcome(
                    mesh.statistics,
                    (near_cell, near_voxel),
                    made.level_cells,
                    tiles.work.threshold,
                    mesh.removed_pieces,
                    {**made.seconds, "join": time.monotonic() - joining},
                    mesh.sides,
                )

            report = self._write(planned, write)
        work.remove()
        return report

    def _plan_tiles(self, work: WorkFolder, bars: StageBars) -> tuple[TiledPlan, PointStore, _Planned]:
        """Bring the points to the disk and plan; what is refused leaves nothing behind."""
        request, is_new = self.request, not self.request.out.exists()
        try:
            read = work.read(
                request.inputs,
                up=request.up,
                scale=request.scale,
                seed=request.seed,
                stations=self._stations,
                check=_require_metres,
                progress=bars,
            )
            settings = self._settings(read.summary)
            tiles = plan_tiles(read.store, settings, self.trained, self.budget)
            bars.close()
            given = ScanInput(read.points_read, read.store.count, read.dropped, read.summary)
            return tiles, read.store, self._planned(given, settings, tiles.plan)
        except (ValueError, OSError):
            if request.work is None:
                work.remove()
                if is_new and request.out.is_dir():
                    request.out.rmdir()
            raise

    @property
    def _stations(self) -> Stations:
        """One for each input, or none."""
        stations, inputs = self.request.stations, self.request.inputs
        return tuple(stations) * len(inputs) if len(stations) == 1 else stations

    @property
    def _tiles_asked(self) -> bool:
        return bool(self.request.work or self.request.cluster or self.request.tiles)

    def _settings(self, summary: CloudSummary) -> ReconstructionSettings:
        return replace(self.request.settings, up=self.request.up or summary.up, scale=self.request.scale or 1.0)

    def _planned(self, given: ScanInput, settings: ReconstructionSettings, plan: Plan) -> _Planned:
        """Tell what was read and planned.  Raises ValueError where it takes too much memory."""
        tell_input(given.summary, given.points_read, given.dropped, settings, guessed=self.request.up is None)
        tell_plan(plan, self.budget, tiles_asked=self._tiles_asked)
        require_memory(plan, self.budget, was_asked=settings.memory_bytes is not None)
        return _Planned(given, settings, plan, time.monotonic() - self.started)

    def _write(self, planned: _Planned, write: Callable[[Path, Path], ScanOutcome]) -> dict[str, Any]:
        """Let `write` make the mesh and its picture, and put the report beside them; all three appear together."""
        request = self.request
        request.out.mkdir(parents=True, exist_ok=True)
        with atomic_paths([request.out / name for name in RESULT_FILES]) as (mesh_path, preview_path, report_path):
            outcome = write(mesh_path, preview_path)
            seconds = {"read": planned.read_seconds, **outcome.seconds, "total": time.monotonic() - self.started}
            report = report_of(
                request.inputs,
                planned.given,
                planned.settings,
                planned.plan,
                replace(outcome, seconds=seconds),
                self.trained,
            )
            report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        return report


def _sides_of(cloud: PointCloud, mesh: Mesh, reconstructor: Reconstructor, plan: Plan) -> ScanSideShares | None:
    """Where the rays of the scanners first meet a mesh in the frame of the scan; None where no scanner is known."""
    if cloud.scanners is None:
        return None
    points_world = reconstructor.to_world(cloud.points)
    chosen = in_ray_sample(points_world, len(cloud))
    rays = ScanRays(points_world[chosen], reconstructor.to_world(cloud.scanners[chosen]), plan.voxel_size_m)
    rays.meet(reconstructor.to_upright_metres(mesh))
    return rays.shares()


def _require_no_result(request: ScanRequest) -> None:
    names = (*RESULT_FILES, TILES_FOLDER) if request.tiles else RESULT_FILES
    existing = [name for name in names if (request.out / name).exists()]
    if not existing:
        return
    found = f"{request.out}: holds {', '.join(existing)} already"
    if RESULT_FILES[-1] not in existing:
        found += f" but no {RESULT_FILES[-1]}, as a run that was killed while it replaced them leaves"
    raise ValueError(f"{found}; add --overwrite or name another folder")


def _require_metres(summary: CloudSummary) -> None:
    if summary.suggested_scale != 1.0:
        extent = " x ".join(f"{value:.0f}" for value in summary.extent)
        raise ValueError(
            f"scan: expected metres, found an extent of {extent}, which looks like {summary.units}; "
            f"run again with --scale {summary.suggested_scale:g}, or with --scale 1 if these are metres"
        )
