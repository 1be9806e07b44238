"""Scan files in, a folder with mesh.ply, a light mesh, preview.png and report.json out."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from sparse_convonet.clouds.cleaning import NOTHING
from sparse_convonet.clouds.units import require_scale
from sparse_convonet.cluster import runner_for
from sparse_convonet.extract.compile_ahead import compile_ahead
from sparse_convonet.io.crs import crs_of, name_of, prj_of, to_earth, unit_of
from sparse_convonet.io.usd import EXTRA, PACKAGE
from sparse_convonet.mesh.cleanup import NoSurfaceError
from sparse_convonet.metrics.overlap import Overlap, measure_overlap
from sparse_convonet.model.weights import TrainedModel, load_model
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource
from sparse_convonet.plan.plan import Plan, memory_budget, require_memory
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.atomic import atomic_group, require_writable
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.runtime.refusals import require_package
from sparse_convonet.scan.attributes import carry_attributes, require_attributes
from sparse_convonet.scan.floor_plans import (
    DXF_FILE,
    ROOMS_FILE,
    drawing_file,
    make_floor_plans,
    require_floor_plans,
    write_floor_plans,
)
from sparse_convonet.scan.forecast import SecondForecast, with_outputs
from sparse_convonet.scan.gather import GatheredScan, gather
from sparse_convonet.scan.messages import StageBars, tell_input, tell_model, tell_plan, tell_result
from sparse_convonet.scan.page import PAGE_MESH, write_scan_page
from sparse_convonet.scan.pictures import write_pictures
from sparse_convonet.scan.report import ScanInput, report_of
from sparse_convonet.scan.request import PRJ_FILE, RESULT_FILES, TILES_FOLDER, ScanRequest
from sparse_convonet.scan.texture import TEXTURE_FILE, require_texture, write_texture

_ALIKE = 1e-9  # units that differ by less are one; the feet differ by 2e-6

logger = logging.getLogger(__name__)

__all__ = ["RESULT_FILES", "TILES_FOLDER", "ScanRequest", "reconstruct_scan"]


def reconstruct_scan(request: ScanRequest) -> dict[str, Any]:
    """Read, plan, find the surface, write; returns the report.

    A scan whose reconstruction would take more memory than it may goes through the disk, in tiles, and a run that was
    killed goes on with the tiles that it finished.
    Raises ValueError or OSError, in one sentence, for input that cannot be used and results that would be
    overwritten; then nothing has been written.
    """
    watch = _StopWatch()
    _check(request)
    crs = crs_of(request.inputs, request.crs)
    if crs is not None and request.crs is not None:
        request = _in_units_of(request, crs)
    compile_ahead()
    trained = load_model(request.model, engine=request.engine, device=request.device)
    tell_model(trained, request.device)
    budget, is_new = memory_budget(request.settings.memory_bytes), not request.out.exists()
    with closing(runner_for(request.cluster)) as runner, StageBars() as bars:
        tell = _teller(request, budget, bars)
        gathered = gather(request, trained, budget, runner, tell, bars)
        watch.lap("read")
        try:
            report = _make(request, trained, gathered, crs, watch, bars)
        except NoSurfaceError:  # there is nothing to go on with
            if gathered.work is not None and request.work is None:
                gathered.work.remove()
            raise
        finally:
            if is_new and request.out.is_dir() and not any(request.out.iterdir()):  # nothing came of it
                request.out.rmdir()
    if gathered.work is not None:
        gathered.work.remove()
    prj = [] if report["input"]["crs"] is None else [PRJ_FILE]
    written = [request.out / name for name in (*request.result_files, *request.storey_files, *prj)]
    by_trajectory = None if request.trajectory is None else "--trajectory"
    tell_result(report, written, scanners_by="--station" if request.stations else by_trajectory)
    return report


class _StopWatch:
    """seconds: by stage."""

    def __init__(self) -> None:
        self._started = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What passed since the last call was this stage."""
        now = time.monotonic()
        self.seconds[stage], self._last = now - self._last, now

    def told(self, seconds: Mapping[str, float]) -> None:
        """What passed since the last call were these stages."""
        self.seconds.update(seconds)
        self._last = time.monotonic()

    @property
    def total(self) -> float:
        return time.monotonic() - self._started


def _check(request: ScanRequest) -> None:
    if len(request.stations) not in (0, 1, len(request.inputs)):
        raise ValueError(
            f"--station: expected one, or one for each input ({len(request.inputs)}), found {len(request.stations)}; "
            "say it once for all inputs, or once for each in their order"
        )
    if request.stations and request.trajectory is not None:
        raise ValueError("--trajectory: expected no --station beside it, found both; give one")
    if request.removed and request.sought == NOTHING:
        raise ValueError(
            "--removed: expected not both --keep-ghosts and --keep-outliers beside it, with which nothing is removed; "
            "leave one of them out"
        )
    require_scale(request.scale)
    if request.floor_plan:
        require_floor_plans()
    if request.texture is not None:
        require_texture()
    if "usd" in request.light:
        require_package(PACKAGE, EXTRA, "--formats usd")
    if request.attributes:
        require_attributes(request.inputs, request.attributes, request.columns)
    existing = [name for name in request.result_files if (request.out / name).exists()]
    existing += request.storey_files
    if existing and not request.overwrite:
        found = f"{request.out}: holds {', '.join(existing)} already"
        if RESULT_FILES[-1] not in existing:
            found += f" but no {RESULT_FILES[-1]}, as a run that was killed while it replaced them leaves"
        raise ValueError(f"{found}; add --overwrite or name another folder")
    require_writable(request.out)


def _in_units_of(request: ScanRequest, crs: str) -> ScanRequest:
    """A scan of which the user says the system is in its units."""
    metres = unit_of(crs)
    if metres is None or (request.scale is None and metres == 1):
        return request
    if request.scale is not None and abs(request.scale / metres - 1) > _ALIKE:
        raise ValueError(
            f"--crs: expected units of {request.scale:.9g} m, as --scale says, found {metres:.9g} m in {name_of(crs)}; "
            "leave --scale away or name the system of the scan"
        )
    return replace(request, scale=metres)


def _placed(crs: str | None, up: str) -> str | None:
    """The system, where the axes of the scan are its own."""
    if crs is None or up == "z":
        return crs
    logger.warning("place     not written: %s points up in the scan, so x and y are not those of %s", up, name_of(crs))
    return None


def _teller(
    request: ScanRequest, budget: int, bars: StageBars
) -> Callable[[ScanInput, ReconstructionSettings, Plan], None]:
    """What tells of a scan that was read and planned, and refuses what takes more than the budget."""

    def tell(given: ScanInput, settings: ReconstructionSettings, plan: Plan) -> None:
        bars.close()
        guessed, scale_asked = request.up is None, request.scale is not None
        tell_input(given.summary, given.points_read, given.dropped, settings, guessed=guessed, scale_asked=scale_asked)
        tell_plan(with_outputs(plan, request), budget, disk_asked=request.through_disk)
        require_memory(plan, budget, was_asked=settings.memory_bytes is not None)
        if request.texture is not None and not given.has_colours:
            raise ValueError(
                "--texture: expected points that all have colours, found some without, or all black; leave it out"
            )

    return tell


def _make(
    request: ScanRequest,
    trained: TrainedModel,
    gathered: GatheredScan,
    crs: str | None,
    watch: _StopWatch,
    progress: Progress,
) -> dict[str, Any]:
    """Find the surface, and write it with its picture and the report; all three appear together."""
    if request.device == "cpu":
        progress = SecondForecast(progress, with_outputs(gathered.scan.plan, request))
    found = gathered.scan.find_surface(progress)
    watch.told(found.seconds)
    request.out.mkdir(parents=True, exist_ok=True)
    settings, crs = gathered.settings, _placed(crs, gathered.settings.up)
    light, pages, prj = request.light_files, request.page_files, (PRJ_FILE,) if crs is not None else ()
    removed, textures = request.removed_files, request.texture_files
    others = *light, *pages, *prj, *removed, *textures
    names = RESULT_FILES[0], *others, *RESULT_FILES[1:]  # the last vouches for the others
    with atomic_group([request.out / name for name in names]) as group:
        temporary = dict(zip(names, group.temporaries, strict=True))
        mesh_path, preview_path, report_path = (temporary[name] for name in RESULT_FILES)
        light_paths, page_paths, prj_paths, removed_paths = (
            [temporary[name] for name in some] for some in (light, pages, prj, removed)
        )
        to_ecef = None if crs is None else to_earth(crs, settings.metres_per_unit)
        paths = request.paths(mesh_path, preview_path, light_paths, gathered.scan.plan.cell_size_m, to_ecef)
        mesh = gathered.scan.write(paths, progress)
        if request.attributes:
            corner = settings.scan_frame.to_scan(gathered.scan.points.low[None])[0]
            cell = gathered.scan.plan.voxel_size_m / settings.metres_per_unit
            carry_attributes(mesh_path, request.inputs, request.attributes, request.columns, corner, cell, progress)
        watch.lap("write")
        drawn = None
        if request.floor_plan:
            floors_z = [storey.floor_z for storey in mesh.storeys]
            plans = make_floor_plans(gathered.scan, floors_z, found.threshold, progress)
            plan_names = [*(drawing_file(plan.number) for plan in plans), DXF_FILE, ROOMS_FILE]
            plan_paths = {name: group.add(request.out / name) for name in plan_names}
            drawn = write_floor_plans(plans, settings.scan_frame, crs, paths.title, plan_paths)
            watch.lap("floor_plan")
        texture = None
        if request.texture is not None:
            progress("texture", 0.0)
            glb, points = temporary[PAGE_MESH], gathered.scan.points
            texture = write_texture(temporary[TEXTURE_FILE], glb, points, request.texture, progress)
            watch.lap("texture")
        overlap = _overlap(gathered.scan.points)
        seconds = {**watch.seconds, "total": watch.total}
        plan = with_outputs(gathered.scan.plan, request)
        report = report_of(
            request.inputs, crs, gathered.given, settings, plan, found, mesh, seconds, trained, drawn, overlap, texture
        )
        for page_path in page_paths:
            progress("page", 0.0)
            light = temporary[PAGE_MESH]
            write_scan_page(
                page_path, light, gathered.scan.points, report, storeys=mesh.storeys, has_tiles=request.tiles
            )
        if request.pictures:
            progress("pictures", 0.0)
            write_pictures(temporary[PAGE_MESH], mesh.storeys, paths.title, lambda name: group.add(request.out / name))
        for prj_path in prj_paths:
            assert crs is not None
            prj_path.write_text(prj_of(crs) + "\n", encoding="utf-8")
        for removed_path in removed_paths:
            gathered.write_removed(removed_path)
        report_path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if request.overwrite:
        written = [path.name for path in group.paths]
        _remove_others(request, [*written, TILES_FOLDER] if request.tiles else written)
    return report


def _overlap(points: PointSource) -> Overlap | None:
    """What the scans miss each other by, where it is known where the scanner stood."""
    if not points.has_scanners:
        return None
    known = ((part.points_world, part.scanners_world) for part in points.parts())
    return measure_overlap(((places, scanners) for places, scanners in known if scanners is not None), points.low)


def _remove_others(request: ScanRequest, written: Sequence[str]) -> None:
    """Remove the results of an earlier run that this one did not replace: report.json does not tell of them."""
    for name in request.earlier_files:
        path = request.out / name
        if name not in written and path.is_dir():
            shutil.rmtree(path)
        elif name not in written:
            path.unlink(missing_ok=True)
