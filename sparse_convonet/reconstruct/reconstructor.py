"""The whole pipeline: points in, one mesh out, with progress, a plan and a report of what was done."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from sparse_convonet.clouds.cleaning import require_surface
from sparse_convonet.clouds.coincidence import repeats_earlier
from sparse_convonet.clouds.summary import describe
from sparse_convonet.clouds.units import metres_per_unit, require_fine_steps
from sparse_convonet.cluster import LocalRunner
from sparse_convonet.config.models import EngineName
from sparse_convonet.config.pretrained import DEFAULT_MODEL
from sparse_convonet.extract.compile_ahead import compile_ahead
from sparse_convonet.io.conversion import point_cloud_with_scanners
from sparse_convonet.mesh.cleanup import no_surface
from sparse_convonet.mesh.placed import in_scan
from sparse_convonet.model.weights import TrainedModel, load_model, save_weights
from sparse_convonet.out_of_core.tiles.plan_tiles import plan_tiles
from sparse_convonet.out_of_core.work_folder import WorkFolder
from sparse_convonet.plan.plan import Plan, memory_budget, require_memory
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.backend import PlannedScan
from sparse_convonet.reconstruct.occupancy_field import OccupancyField
from sparse_convonet.reconstruct.whole_scan import WholeScan, plan_in_memory, takes_scanners
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.structures import Mesh, PointCloud


@dataclass(frozen=True)
class Reconstruction:
    """A mesh in the frame and units of the scan, and how it came about."""

    mesh: Mesh
    plan: Plan
    threshold: float
    level_cells: dict[int, int]  # stride in voxels -> number of cells
    removed_pieces: int
    seconds: dict[str, float] = field(default_factory=dict)


class Reconstructor:
    """Turns point clouds into meshes with a trained model."""

    def __init__(
        self, model: TrainedModel, settings: ReconstructionSettings | None = None, progress: Progress | None = None
    ) -> None:
        self.model = model
        self.settings = settings or ReconstructionSettings()
        self._progress = progress or untold
        compile_ahead()

    @classmethod
    def from_pretrained(
        cls,
        name: str = DEFAULT_MODEL,
        *,
        device: str = "cpu",
        engine: EngineName | None = None,
        settings: ReconstructionSettings | None = None,
        progress: Progress | None = None,
    ) -> Reconstructor:
        """With a shipped model (config.pretrained lists them) or a .safetensors file of one's own training."""
        return cls(load_model(name, engine=engine, device=device), settings, progress)

    def reconstruct(self, points: Any, scanners: np.ndarray | None = None) -> trimesh.Trimesh:
        """Points, (N, 3) in metres or an open3d or trimesh point cloud -> mesh in the same frame.

        scanners: where the scanner stood that measured each point, (N, 3), or (3,) for all, in the frame of the points;
        NaN or infinity where that is not known.  It tells on which side of a surface the room is, and nothing is built
        where its rays passed (ReconstructionSettings.carve).
        Returns a trimesh.Trimesh, the type that other libraries and viewers take; `run` also tells sizes and times.
        Raises ValueError where there are too few points, they are not finite, their numbers are hardly metres and the
        settings have no scale, they were rounded to coarser steps than they are apart, or there are not as many
        scanners, and as `run` does.
        """
        found = self.run(self._checked(points, scanners))
        if len(found.mesh.faces) == 0:
            raise no_surface(found.removed_pieces)
        return found.mesh.to_trimesh()

    def encode(self, points: Any, scanners: np.ndarray | None = None) -> OccupancyField:
        """Points and scanners as of `reconstruct` -> the field, to be asked for the occupancy anywhere.

        A scan that would take more memory than the settings allow is encoded in a folder of the system's for temporary
        files, which is removed with the field.  Raises as `reconstruct` does.
        """
        with ExitStack() as folders:
            scan = self._planned(self._checked(points, scanners), None, folders)
            field = OccupancyField(
                queries=scan.queries(self._progress),
                voxels=scan.voxels,
                scan=self.settings.scan_frame,
                threshold=self.settings.threshold or self.model.threshold,
            )
            weakref.finalize(field, folders.pop_all().close)
        return field

    def _checked(self, points: Any, scanners: np.ndarray | None) -> PointCloud:
        """The cloud.  Raises ValueError where its numbers cannot be right: hardly metres, or rounded too coarsely."""
        cloud, settings = point_cloud_with_scanners(points, scanners), self.settings
        is_one_place = len(cloud) > 0 and bool((cloud.points == cloud.points[0]).all())
        require_surface(len(cloud), cloud.points[0] if is_one_place else None, len(cloud))
        summary = describe(cloud)
        scale = metres_per_unit(summary, settings.scale, "ReconstructionSettings(scale={:g})")
        if scale != settings.metres_per_unit:
            raise ValueError(
                f"points: expected metres, found {summary.units}, as their file declares; "
                f"pass ReconstructionSettings(scale={scale:.9g})"
            )
        if summary.step:  # or none can be too coarse, and there is no need to look for repeated points
            repeated = repeats_earlier(cloud.points)
            require_fine_steps(describe(cloud.select(~repeated)), scale, int(repeated.sum()), settings.voxel_size_m)
        return cloud

    def plan(self, cloud: PointCloud) -> Plan:
        """The sizes that `run` would use for a scan, and what it would cost in one piece."""
        return plan_in_memory(cloud, self.settings, self.model)

    def run(self, cloud: PointCloud, plan: Plan | None = None) -> Reconstruction:
        """Reconstruct a clean scan (finite points); see ReconstructionSettings.  plan: of `plan`, if it is known already.

        Returns more than a mesh: also what was planned, removed and measured, which reports need.  `reconstruct` is the
        short way for whoever has an array and goes on with trimesh.  A scan that would take more memory than the
        settings allow goes through the disk, in a folder of the system's for temporary files (TMPDIR) that is removed
        in the end: the same mesh.
        Raises ValueError where even the smallest tiles would take more, OSError where the disk has no room.
        """
        with ExitStack() as folders:
            scan = self._planned(cloud, plan, folders)
            found = scan.find_surface(self._progress)
            finishing = time.monotonic()
            mesh_world, removed = scan.whole_mesh(self._progress)
        mesh = in_scan(mesh_world, self.settings.scan_frame)
        seconds = {**found.seconds, "mesh": found.seconds["mesh"] + time.monotonic() - finishing}
        return Reconstruction(mesh, scan.plan, found.threshold, found.level_cells, removed, seconds)

    def _planned(self, cloud: PointCloud, plan: Plan | None, folders: ExitStack) -> PlannedScan:
        """The scan in memory, where it fits, or in a folder that goes with `folders`."""
        plan, budget = plan or self.plan(cloud), memory_budget(self.settings.memory_bytes)
        if plan.memory_bytes <= budget:
            return WholeScan(cloud, self.settings, self.model, plan)
        settings = replace(self.settings, voxel_size_m=plan.voxel_size_m, cell_size_m=plan.cell_size_m)
        cut = settings.surface_cut(plan.voxel_size_m)
        needs_scanners = settings.carve or (cut is not None and cut.needs_directions)
        with_scanners = takes_scanners(cloud, self.model) or (needs_scanners and cloud.scanners is not None)
        arrays = cloud.points, cloud.colours, cloud.scanners if with_scanners else None
        held = sum(array.nbytes for array in arrays if array is not None)
        folder = Path(tempfile.mkdtemp(prefix="sparse_convonet_"))
        folders.callback(shutil.rmtree, folder, ignore_errors=True)
        work = WorkFolder(folder)
        store = work.take(cloud, settings, with_scanners, self._progress)
        tiled = plan_tiles(store, settings, self.model, budget - held)
        require_memory(tiled.plan, budget - held, was_asked=settings.memory_bytes is not None)
        tiled = replace(tiled, plan=replace(tiled.plan, reason=plan.reason, expected=plan.expected))
        weights, model = folder / "given.safetensors", self.model
        save_weights(model.network.state_dict(), model.config, weights, threshold=model.threshold, record=model.record)
        return work.prepare(tiled, settings, weights, store, model.sparse.unet, LocalRunner())
