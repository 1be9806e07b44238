"""The whole pipeline: points in, one mesh out, with progress, a plan and a report of what was done."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import trimesh

from sparse_convonet.coordinates import VoxelFrame, up_rotation
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.io.conversion import as_point_cloud
from sparse_convonet.mesh.cleanup import observed_only, remove_small_components
from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.mise import ExtractionSettings, extract_mesh
from sparse_convonet.mesh.normals import with_area_normals, with_field_normals
from sparse_convonet.mesh.refine import refine
from sparse_convonet.mesh.seeds import SEED_STRIDE, seed_cells
from sparse_convonet.mesh.topology import face_areas
from sparse_convonet.model_config import EngineName
from sparse_convonet.plan import Plan, make_plan
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.weights import TrainedModel, load_model

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]  # stage, share done from 0 to 1

_QUERY_CHUNK = 1 << 17
# Pieces smaller than both are crumbs: bits of wall seen through a door, noise in mid-air.
_CRUMB_M2, _CRUMB_SHARE = 2.0, 0.01


@dataclass(frozen=True)
class ReconstructionSettings:
    """What a user may choose; None leaves the choice to the plan or to the weights.

    voxel_size_m, cell_size_m: metres.  up: axis that points up in the scan.  scale: metres per unit of the
    scan.  threshold: tau, a probability.  observed_only_voxels: cut surface farther from every point.
    smallest_piece_m2: connected pieces of less surface are
    removed; None: less than 2 m2 and less than 1 % of the whole surface.  simplify_faces / simplify_error_mm: at
    most one of them.  refine_steps: steps that move vertices onto the field's surface.  field_normals: along the field's
    gradient; otherwise averaged over the faces around, which is faster and nearer to the truth (docs/MEASURED.md).
    """

    voxel_size_m: float | None = None
    cell_size_m: float | None = None
    up: str = "z"
    scale: float = 1.0
    threshold: float | None = None
    observed_only_voxels: float | None = None
    smallest_piece_m2: float | None = None
    simplify_faces: int | None = None
    simplify_error_mm: float | None = None
    refine_steps: int = 0
    field_normals: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale: expected a positive number (metres per unit of the scan), found {self.scale}")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(f"tau: expected a probability between 0 and 1, found {self.threshold}")
        if self.observed_only_voxels is not None and not self.observed_only_voxels > 0:
            raise ValueError(
                f"observed-only: expected a positive distance in voxels, found {self.observed_only_voxels}"
            )
        if self.simplify_faces is not None and self.simplify_error_mm is not None:
            raise ValueError("simplify: expected a number of faces or an error in mm, found both; give one")
        if self.refine_steps < 0:
            raise ValueError(f"refine: expected 0 or more steps, found {self.refine_steps}")
        up_rotation(self.up)


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
        self._progress = progress or (lambda stage, share: None)
        self.device = next(model.network.parameters()).device

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

    def reconstruct(self, points: Any) -> trimesh.Trimesh:
        """Points, (N, 3) in metres or an open3d or trimesh point cloud -> mesh in the same frame.

        Raises ValueError where there are too few points or they are not finite.
        """
        cloud = as_point_cloud(points)
        if not np.isfinite(cloud.points).all():
            raise ValueError("points: expected finite coordinates, found NaN or infinite ones; remove them first")
        return self.run(cloud).mesh.to_trimesh()

    def plan(self, cloud: PointCloud) -> Plan:
        """The sizes that `run` would use for a scan, and what they would cost."""
        share = self.model.config.mesh.cell_share
        return make_plan(self._to_world(cloud.points), self.settings.voxel_size_m, self.settings.cell_size_m, share)

    @torch.no_grad()
    def run(self, cloud: PointCloud, plan: Plan | None = None) -> Reconstruction:
        """Reconstruct a clean scan (finite points); see ReconstructionSettings."""
        plan = plan or self.plan(cloud)
        points_world = self._to_world(cloud.points)
        frame = VoxelFrame.around(points_world, plan.voxel_size_m)
        points_voxel = frame.snap_to_voxels(points_world)
        started = time.monotonic()
        self._progress("encode", 0.0)
        scene_field = self._encode(points_voxel)
        self._progress("encode", 1.0)
        encoded = time.monotonic()
        threshold = self.settings.threshold or self.model.threshold
        mesh, removed = self._mesh(scene_field, points_voxel, plan, threshold)
        mesh = Mesh(frame.to_world(mesh.vertices), mesh.faces, mesh.normals)
        mesh = self._finish(mesh, PointCloud(points_world, cloud.colours))
        return Reconstruction(
            mesh=self._from_world(mesh),
            plan=plan,
            threshold=threshold,
            level_cells={level.stride: len(level.keys) for level in scene_field.levels},
            removed_pieces=removed,
            seconds={"encode": encoded - started, "mesh": time.monotonic() - encoded},
        )

    def _encode(self, points_voxel: np.ndarray) -> SparseField:
        points = torch.from_numpy(points_voxel).to(self.device)
        return self._network.encode(points, torch.zeros(len(points), dtype=torch.int64, device=self.device))

    def _mesh(
        self, scene_field: SparseField, points_voxel: np.ndarray, plan: Plan, threshold: float
    ) -> tuple[Mesh, int]:
        """The cleaned mesh in voxel coordinates, and how many small pieces were removed."""
        cell = plan.cell_size_m / plan.voxel_size_m

        def evaluate(queries: np.ndarray) -> np.ndarray:
            parts = [queries[start : start + _QUERY_CHUNK] for start in range(0, len(queries), _QUERY_CHUNK)]
            return np.concatenate([self._logits(scene_field, part) for part in parts]) if parts else np.zeros(0)

        logit = math.log(threshold / (1 - threshold))
        finest_per_seed = 1 << max(0, round(math.log2(SEED_STRIDE / cell)))
        mesh = extract_mesh(
            evaluate,
            seed_cells(scene_field, cell, finest_per_seed),
            finest_per_seed,
            points_voxel,
            ExtractionSettings(cell=cell, threshold=logit),
            progress=lambda edge, done, total: self._progress(
                f"mesh, cells of {edge * plan.cell_size_m:.2g} m", done / max(1, total)
            ),
        )
        least_m2 = self.settings.smallest_piece_m2
        if least_m2 is None:
            least_m2 = min(_CRUMB_M2, _CRUMB_SHARE * float(face_areas(mesh).sum()) * plan.voxel_size_m**2)
        cleaned = remove_small_components(mesh, min_area=least_m2 / plan.voxel_size_m**2)
        mesh, removed = cleaned.mesh, cleaned.removed_components
        if self.settings.observed_only_voxels is not None:
            mesh = observed_only(mesh, points_voxel, self.settings.observed_only_voxels).mesh
        if self.settings.refine_steps:
            self._progress("refine", 0.0)
            mesh = refine(
                mesh, self._value_and_gradient(scene_field), self.settings.refine_steps, cell=cell, threshold=logit
            )
        if self.settings.field_normals and len(mesh.faces):
            self._progress("normals", 0.0)
            gradient = self._value_and_gradient(scene_field)
            mesh = with_field_normals(mesh, lambda queries: gradient(queries)[1])
        return mesh, removed

    def _finish(self, mesh: Mesh, cloud: PointCloud) -> Mesh:
        """Simplify and colour a mesh in world metres."""
        faces, error_mm = self.settings.simplify_faces, self.settings.simplify_error_mm
        if faces is not None or error_mm is not None:
            self._progress("simplify", 0.0)
            from sparse_convonet.mesh.simplify import simplify_to_error, simplify_to_faces  # open3d imports slowly

            mesh = (
                simplify_to_faces(mesh, faces)
                if faces is not None
                else simplify_to_error(mesh, (error_mm or 0) / 1000).mesh
            )
        if mesh.normals is None:
            mesh = with_area_normals(mesh)
        return mesh if cloud.colours is None or len(mesh.vertices) == 0 else with_colours(mesh, cloud)

    def _logits(self, scene_field: SparseField, queries: np.ndarray) -> np.ndarray:
        points = torch.from_numpy(np.ascontiguousarray(queries)).to(self.device)
        batch = torch.zeros(len(points), dtype=torch.int64, device=self.device)
        return self._network.occupancy(scene_field, points, batch)[0].cpu().numpy()

    def _value_and_gradient(self, scene_field: SparseField) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        def value_and_gradient(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with torch.enable_grad():
                points = torch.from_numpy(np.ascontiguousarray(queries)).to(self.device).requires_grad_()
                batch = torch.zeros(len(points), dtype=torch.int64, device=self.device)
                logits, _ = self._network.occupancy(scene_field, points, batch)
                (gradient,) = torch.autograd.grad(logits.sum(), points)
            return logits.detach().cpu().numpy(), gradient.cpu().numpy()

        return value_and_gradient

    def to_upright_metres(self, mesh: Mesh) -> Mesh:
        """A mesh in the frame of the scan -> the same mesh in metres, z up."""
        normals = None if mesh.normals is None else (mesh.normals @ up_rotation(self.settings.up).T).astype(np.float32)
        return Mesh(self._to_world(mesh.vertices), mesh.faces, normals, mesh.colours)

    def _to_world(self, points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, dtype=np.float64) * self.settings.scale) @ up_rotation(self.settings.up).T

    def _from_world(self, mesh: Mesh) -> Mesh:
        rotation = up_rotation(self.settings.up)
        normals = None if mesh.normals is None else (mesh.normals @ rotation).astype(np.float32)
        return Mesh((mesh.vertices @ rotation) / self.settings.scale, mesh.faces, normals, mesh.colours)
