"""From scan files to a planned scan: read, clean, describe, plan; in memory where that fits, else in a work folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped, clean_points, describe
from sparse_convonet.clouds.ghosts import without_ghosts
from sparse_convonet.clouds.outliers import without_outliers
from sparse_convonet.clouds.units import likely_metres, metres_per_unit, require_fine_steps
from sparse_convonet.cluster import TaskRunner
from sparse_convonet.io.expected_points import expected_points
from sparse_convonet.io.ply import write_point_parts
from sparse_convonet.io.trajectory import Trajectory, read_trajectory
from sparse_convonet.model.weights import TrainedModel, weights_path
from sparse_convonet.out_of_core.points.origin import Stations
from sparse_convonet.out_of_core.tiles.plan_tiles import plan_tiles
from sparse_convonet.out_of_core.work_folder import WorkFolder
from sparse_convonet.plan.plan import Plan, holds_points
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.backend import PlannedScan
from sparse_convonet.reconstruct.whole_scan import WholeScan, plan_in_memory
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.scan.inputs import read_inputs
from sparse_convonet.scan.report import ScanInput
from sparse_convonet.scan.request import ScanRequest
from sparse_convonet.structures import PointCloud

WORK_FOLDER = "work"
_Without = Callable[[PointCloud, float], tuple[PointCloud, PointCloud]]  # what is kept, what is taken
Tell = Callable[[ScanInput, ReconstructionSettings, Plan], None]  # and refuse


@dataclass(frozen=True)
class GatheredScan:
    """given: what the points are like.  settings: with the axis and scale that the scan turned out to have.  work: the
    folder that holds it; None: it is in memory.  write_removed: writes the points left out as ghosts or outliers to a file.
    """

    given: ScanInput
    settings: ReconstructionSettings
    scan: PlannedScan
    work: WorkFolder | None
    write_removed: Callable[[Path], None]


def gather(
    request: ScanRequest, trained: TrainedModel, budget: int, runner: TaskRunner, tell: Tell, progress: Progress
) -> GatheredScan:
    """budget: bytes.  tell: is told what was read and planned, before anything is made of it; what it raises is raised.

    Raises ValueError or OSError, in one sentence, for input that cannot be used; then nothing is left behind.
    """
    points = sum(expected_points(path) for path in request.inputs)
    gathered = None
    trajectory = None if request.trajectory is None else read_trajectory(request.trajectory)
    if not request.through_disk and holds_points(points, budget):
        gathered = _in_memory(request, trained, budget, trajectory, tell)
    return gathered or _on_disk(request, trained, budget, trajectory, runner, tell, progress)


def _in_memory(
    request: ScanRequest, trained: TrainedModel, budget: int, trajectory: Trajectory | None, tell: Tell
) -> GatheredScan | None:
    """None where the plan says that it would take too much."""
    cloud, points_read = read_inputs(request.inputs, request.seed, _stations(request), request.columns, trajectory)
    metres, has_colours = likely_metres(request.scale, cloud.unit), cloud.colours is not None
    removed: list[PointCloud] = []

    def taking(without: _Without) -> Callable[[PointCloud], PointCloud]:
        def take(cloud: PointCloud) -> PointCloud:
            kept, taken = without(cloud, metres)
            removed.append(taken)
            return kept

        return take

    def write_removed(path: Path) -> None:
        write_point_parts(path, sum(map(len, removed)), colours=has_colours, parts=removed)

    cloud, dropped = clean_points(
        cloud,
        taking(without_ghosts) if request.sought.ghosts else None,
        taking(without_outliers) if request.sought.outliers else None,
    )
    summary = describe(cloud)
    settings = _settings(request, summary, dropped)
    plan = plan_in_memory(cloud, settings, trained)
    if plan.memory_bytes > budget:
        return None
    given = ScanInput(points_read, len(cloud), dropped, summary, request.up is None, cloud.colours is not None)
    tell(given, settings, plan)
    return GatheredScan(given, settings, WholeScan(cloud, settings, trained, plan), None, write_removed)


def _on_disk(
    request: ScanRequest,
    trained: TrainedModel,
    budget: int,
    trajectory: Trajectory | None,
    runner: TaskRunner,
    tell: Tell,
    progress: Progress,
) -> GatheredScan:
    is_new, work = not request.out.exists(), WorkFolder(request.work or request.out / WORK_FOLDER)
    try:
        read = work.read(
            request.inputs,
            up=request.up,
            scale=request.scale,
            seed=request.seed,
            stations=_stations(request),
            columns=request.columns,
            trajectory=trajectory,
            sought=request.sought,
            progress=progress,
        )
        settings = _settings(request, read.summary, read.dropped)
        tiles = plan_tiles(read.store, settings, trained, budget)
        given = ScanInput(
            read.points_read, read.store.count, read.dropped, read.summary, request.up is None, read.store.has_colours
        )
        tell(given, settings, tiles.plan)
    except (ValueError, OSError):
        if request.work is None:
            work.remove()
            if is_new and request.out.is_dir():
                request.out.rmdir()
        raise
    weights, unet = weights_path(request.model), trained.sparse.unet
    scan = work.prepare(tiles, settings, weights, read.store, unet, runner, memory_bytes=budget)

    def write_removed(path: Path) -> None:
        if work.removed.exists():
            shutil.copyfile(work.removed, path)
        else:
            write_point_parts(path, 0, colours=read.store.has_colours, parts=[])

    return GatheredScan(given, settings, scan, work, write_removed)


def _stations(request: ScanRequest) -> Stations:
    """One for each input, or none."""
    stations, inputs = request.stations, request.inputs
    return tuple(stations) * len(inputs) if len(stations) == 1 else stations


def _settings(request: ScanRequest, summary: CloudSummary, dropped: Dropped) -> ReconstructionSettings:
    """With the axis and the scale.  Raises ValueError where the numbers of the scan cannot be right."""
    scale = metres_per_unit(summary, request.scale)
    require_fine_steps(summary, scale, dropped.duplicates, request.settings.voxel_size_m)
    return replace(request.settings, up=request.up or summary.up, scale=scale)
