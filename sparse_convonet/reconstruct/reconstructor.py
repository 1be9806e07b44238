"""The whole pipeline: points in, one mesh out, with progress, a plan and a report of what was done."""

from __future__ import annotations

import logging
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from sparse_convonet.cluster import LocalRunner
from sparse_convonet.config.models import EngineName
from sparse_convonet.coordinates import VoxelFrame, one_scene, up_rotation
from sparse_convonet.encode.hints import directions_to_scanners
from sparse_convonet.extract.compile_ahead import compile_ahead
from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh, threshold_logit
from sparse_convonet.extract.refine import refine
from sparse_convonet.extract.seeds import finest_cells_per_seed, seed_cells
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.io.conversion import point_cloud_with_scanners
from sparse_convonet.mesh.cleanup import observed_only, remove_pieces
from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.finish import finish_mesh
from sparse_convonet.mesh.normals import with_field_normals
from sparse_convonet.model.field_queries import FieldQueries
from sparse_convonet.model.weights import TrainedModel, load_model, save_weights
from sparse_convonet.out_of_core.tiles.plan_tiles import plan_tiles
from sparse_convonet.out_of_core.work_folder import WorkFolder
from sparse_convonet.plan.plan import CloudDensity, Plan, make_plan, memory_budget, require_memory
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.reconstruct.occupancy_field import OccupancyField
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.structures import Mesh, PointCloud

logger = logging.getLogger(__name__)


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
        self._network = model.sparse
        self.settings = settings or ReconstructionSettings()
        self._progress = progress or untold
        self.device = next(model.network.parameters()).device
        compile_ahead()

    @classmethod
    def from_pretrained(
        cls,
        name: str = "building",
        *,
        device: str = "cpu",
        engine: EngineName | None = None,
        settings: ReconstructionSettings | None = None,
        progress: Progress | None = None,
    ) -> Reconstructor:
        """With a shipped model ("building") or a .safetensors file of one's own training."""
        return cls(load_model(name, engine=engine, device=device), settings, progress)

    def reconstruct(self, points: Any, scanners: np.ndarray | None = None) -> trimesh.Trimesh:
        """Points, (N, 3) in metres or an open3d or trimesh point cloud -> mesh in the same frame.

        scanners: where the scanner stood that measured each point, (N, 3), or (3,) for all, in the frame of the points;
        NaN or infinity where that is not known.  It tells on which side of a surface the room is.
        Returns a trimesh.Trimesh, the type that other libraries and viewers take; `run` also tells sizes and times.
        Raises ValueError where there are too few points, they are not finite, or there are not as many scanners, and as
        `run` does.
        """
        return self.run(point_cloud_with_scanners(points, scanners)).mesh.to_trimesh()

    @torch.no_grad()
    def encode(self, points: Any, scanners: np.ndarray | None = None) -> OccupancyField:
        """Points and scanners as of `reconstruct` -> the field, to be asked for the occupancy anywhere.

        For scans that fit the memory.  Raises ValueError for larger ones, and as `reconstruct` does.
        """
        cloud = point_cloud_with_scanners(points, scanners)
        plan, budget = self.plan(cloud), memory_budget(self.settings.memory_bytes)
        if plan.memory_bytes > budget:
            raise ValueError(
                f"encode: expected a scan that fits {budget / 1e9:.1f} GB of memory in one piece, found one of "
                f"{plan.voxels} voxels, which takes {plan.memory_bytes / 1e9:.1f} GB; use larger voxels, allow more, or "
                "make a mesh with reconstruct, which goes through the disk"
            )
        points_world = self.to_world(cloud.points)
        frame = VoxelFrame.around(points_world, plan.voxel_size_m)
        return OccupancyField(
            network=self._network,
            scene_field=self._encode(frame.snap_to_voxels(points_world), self._hints(cloud, points_world)),
            frame=frame,
            threshold=self._threshold,
            up=self.settings.up,
            scale=self.settings.scale,
        )

    def plan(self, cloud: PointCloud) -> Plan:
        """The sizes that `run` would use for a scan, and what it would cost in one piece."""
        density, share = CloudDensity(self.to_world(cloud.points)), self.model.config.mesh.cell_share
        return make_plan(density, self.settings.voxel_size_m, self.settings.cell_size_m, share)

    def run(self, cloud: PointCloud, plan: Plan | None = None) -> Reconstruction:
        """Reconstruct a clean scan (finite points); see ReconstructionSettings.

        Returns more than a mesh: also what was planned, removed and measured, which reports need.  `reconstruct` is the
        short way for whoever has an array and goes on with trimesh.  A scan that would take more memory than the
        settings allow goes through the disk, in a folder of the system's for temporary files (TMPDIR) that is removed
        in the end: the same mesh.
        Raises ValueError where even the smallest tiles would take more, OSError where the disk has no room.
        """
        plan, budget = plan or self.plan(cloud), memory_budget(self.settings.memory_bytes)
        return self.run_in_one_piece(cloud, plan) if plan.memory_bytes <= budget else self._on_disk(cloud, plan, budget)

    @torch.no_grad()
    def run_in_one_piece(self, cloud: PointCloud, plan: Plan) -> Reconstruction:
        """`run` in memory, whatever it takes.  plan: of `plan`."""
        points_world = self.to_world(cloud.points)
        frame = VoxelFrame.around(points_world, plan.voxel_size_m)
        points_voxel = frame.snap_to_voxels(points_world)
        started = time.monotonic()
        self._progress("encode", 0.0)
        scene_field = self._encode(points_voxel, self._hints(cloud, points_world))
        self._progress("encode", 1.0)
        encoded = time.monotonic()
        mesh, removed = self._mesh(scene_field, points_voxel, plan)
        level_cells = {level.stride: len(level.keys) for level in scene_field.levels}
        del scene_field, points_voxel
        return_freed_memory()
        mesh = Mesh(frame.to_world(mesh.vertices), mesh.faces, mesh.normals)
        mesh = self._finish(mesh, PointCloud(points_world, cloud.colours))
        seconds = {"encode": encoded - started, "mesh": time.monotonic() - encoded}
        return Reconstruction(self._from_world(mesh), plan, self._threshold, level_cells, removed, seconds)

    def _on_disk(self, cloud: PointCloud, plan: Plan, budget: int) -> Reconstruction:
        """`run` through the disk, up to the tiles; the mesh of all of them is finished in memory."""
        settings = replace(self.settings, voxel_size_m=plan.voxel_size_m, cell_size_m=plan.cell_size_m)
        with_scanners = self._takes_scanners(cloud)
        arrays = cloud.points, cloud.colours, cloud.scanners if with_scanners else None
        held = sum(array.nbytes for array in arrays if array is not None)
        with tempfile.TemporaryDirectory(prefix="sparse_convonet_") as name:
            work = WorkFolder(Path(name))
            store = work.take(cloud, settings, with_scanners, self._progress)
            planned = plan_tiles(store, settings, self.model, budget - held)
            require_memory(planned.plan, budget - held, was_asked=settings.memory_bytes is not None)
            weights = Path(name) / "given.safetensors"
            model = self.model
            save_weights(
                model.network.state_dict(), model.config, weights, threshold=model.threshold, record=model.record
            )
            work.prepare(planned, settings, weights)
            made = work.make_tiles(planned, self._network.unet, LocalRunner(), self._progress)
            joining = time.monotonic()
            mesh, removed = work.join_in_memory(planned, store, settings, self._progress)
        mesh = self._finish(mesh, PointCloud(self.to_world(cloud.points), cloud.colours))
        seconds = {**made.seconds, "mesh": made.seconds["mesh"] + time.monotonic() - joining}
        plan = replace(planned.plan, reason=plan.reason)
        return Reconstruction(self._from_world(mesh), plan, self._threshold, made.level_cells, removed, seconds)

    @property
    def _threshold(self) -> float:
        return self.settings.threshold or self.model.threshold

    def _takes_scanners(self, cloud: PointCloud) -> bool:
        """Whether the network is told of the cloud's scanners; logs where it has some and is not."""
        if cloud.scanners is not None and not self._network.takes_hints:
            logger.info("scanners  the model %s does not take their positions, which are left out", self.model.name)
        return cloud.scanners is not None and self._network.takes_hints

    def _hints(self, cloud: PointCloud, points_world: np.ndarray) -> torch.Tensor | None:
        """(N, HINTS) what the network takes besides the points: the direction to the scanner, where that is known."""
        if cloud.scanners is None or not self._takes_scanners(cloud):
            return None
        return torch.from_numpy(directions_to_scanners(points_world, self.to_world(cloud.scanners))).to(self.device)

    def _encode(self, points_voxel: np.ndarray, hints: torch.Tensor | None = None) -> SparseField:
        points = torch.from_numpy(points_voxel).to(self.device)
        return self._network.encode(points, one_scene(points), hints)

    def _mesh(self, scene_field: SparseField, points_voxel: np.ndarray, plan: Plan) -> tuple[Mesh, int]:
        """The finished surface in voxel coordinates, and how many small pieces were removed.

        The order of out_of_core.assembly.finishing.
        """
        settings, queries = self.settings, FieldQueries(self._network, scene_field)
        cell, logit = plan.cell_size_m / plan.voxel_size_m, threshold_logit(self._threshold)

        def tell(edge: int, done: int, total: int) -> None:
            self._progress(f"mesh, cells of {edge * plan.cell_size_m:.2g} m", done / max(1, total))

        finest_per_seed = finest_cells_per_seed(cell)
        seeds = seed_cells(scene_field, cell, finest_per_seed)
        extraction = ExtractionSettings(cell=cell, threshold=logit)
        mesh = extract_mesh(queries.logits, seeds, finest_per_seed, points_voxel, extraction, progress=tell)
        mesh, removed = remove_pieces(mesh, points_voxel, settings.piece_rules, plan.voxel_size_m)
        if settings.observed_only_voxels is not None:
            mesh = observed_only(mesh, points_voxel, settings.observed_only_voxels).mesh
        if settings.refine_steps:
            self._progress("refine", 0.0)
            mesh = refine(mesh, queries.value_and_gradient, settings.refine_steps, cell=cell, threshold=logit)
        if settings.field_normals and len(mesh.faces):
            self._progress("normals", 0.0)
            mesh = with_field_normals(mesh, queries.gradient)
        return mesh, removed

    def _finish(self, mesh: Mesh, cloud: PointCloud) -> Mesh:
        """Simplify and colour a mesh in world metres."""
        faces, error_mm = self.settings.simplify_faces, self.settings.simplify_error_mm
        error_m = None if error_mm is None else error_mm / 1000
        colour = None if cloud.colours is None else lambda mesh: with_colours(mesh, cloud)
        return finish_mesh(mesh, faces, error_m, colour, self._progress)

    def to_upright_metres(self, mesh: Mesh) -> Mesh:
        """A mesh in the frame of the scan -> the same mesh in metres, z up."""
        normals = None if mesh.normals is None else (mesh.normals @ up_rotation(self.settings.up).T).astype(np.float32)
        return Mesh(self.to_world(mesh.vertices), mesh.faces, normals, mesh.colours)

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) in the frame of the scan -> metres, z up; what is not finite, as unknown scanners are, stays so."""
        with np.errstate(invalid="ignore"):  # infinity times the zeros of the rotation is NaN
            return (np.asarray(points, dtype=np.float64) * self.settings.scale) @ up_rotation(self.settings.up).T

    def _from_world(self, mesh: Mesh) -> Mesh:
        rotation = up_rotation(self.settings.up)
        normals = None if mesh.normals is None else (mesh.normals @ rotation).astype(np.float32)
        return Mesh((mesh.vertices @ rotation) / self.settings.scale, mesh.faces, normals, mesh.colours)
