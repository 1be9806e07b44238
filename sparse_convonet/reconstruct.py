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

from sparse_convonet.coordinates import VoxelFrame, one_scene, up_rotation
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.io.conversion import point_cloud_with_scanners
from sparse_convonet.mesh.cleanup import Cleaned, observed_only, remove_small_components, remove_unsupported
from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.compile_ahead import compile_ahead
from sparse_convonet.mesh.joining import joined
from sparse_convonet.mesh.lattice import EDGE
from sparse_convonet.mesh.mise import ExtractionSettings, extract_mesh, threshold_logit
from sparse_convonet.mesh.normals import with_area_normals, with_field_normals
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.mesh.refine import refine
from sparse_convonet.mesh.seeds import SEED_STRIDE, finest_cells_per_seed, seed_cells
from sparse_convonet.mesh.tiles import extract_tiles
from sparse_convonet.mesh.topology import face_areas
from sparse_convonet.model.sparse import HINTS
from sparse_convonet.model_config import EngineName
from sparse_convonet.occupancy_field import OccupancyField
from sparse_convonet.plan import CloudDensity, Plan, make_plan, memory_budget, with_tiles
from sparse_convonet.progress import Progress, untold
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.tiling import encode_tiled, encoding_grid, return_freed_memory
from sparse_convonet.weights import TrainedModel, load_model

logger = logging.getLogger(__name__)

# Pieces smaller than both may be crumbs: bits of wall seen through a door, noise in mid-air.  Most have less than half as
# many points per surface as the whole (a real hall: nearly all 0 to 45 %; furniture of a known house: most over 75 %).
CRUMB_M2, CRUMB_SHARE, CRUMB_POINTS_SHARE = 2.0, 0.01, 0.5
CRUMB_REACH_VOXELS = 0.5  # of points to the vertices of a piece
DUST_M2 = 0.1  # pieces this small are removed however many points they have


@dataclass(frozen=True)
class ReconstructionSettings:
    """What a user may choose; None leaves the choice to the plan or to the weights.

    voxel_size_m, cell_size_m: metres.  up: axis that points up in the scan.  scale: metres per unit of the
    scan.  threshold: tau, a probability.  observed_only_voxels: cut surface farther from every point.
    smallest_piece_m2: connected pieces of less surface are removed; None: less than 0.1 m2, or less than 2 m2 where few
    points show them, at most 1 % of the whole surface.  simplify_faces / simplify_error_mm: at most one of them.
    refine_steps: steps that move vertices onto the field's surface.  field_normals: along the field's
    gradient; otherwise averaged over the faces around, which is faster and nearer to the truth (docs/MEASURED.md).
    memory_bytes: the scan is encoded and meshed in tiles where it would take more; None: what the machine can give.
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
    memory_bytes: int | None = None

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
        if self.memory_bytes is not None and self.memory_bytes < 1:
            raise ValueError(f"memory: expected a positive number of bytes, found {self.memory_bytes}")
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
        Raises ValueError where there are too few points, they are not finite, or there are not as many scanners.
        """
        return self.run(point_cloud_with_scanners(points, scanners)).mesh.to_trimesh()

    @torch.no_grad()
    def encode(self, points: Any, scanners: np.ndarray | None = None) -> OccupancyField:
        """Points and scanners as of `reconstruct` -> the field, to be asked for the occupancy anywhere.

        For scans that fit the memory: one that would take more than `memory_bytes` of the settings allows is encoded tile
        by tile, with the same values, but its field, some 300 bytes a voxel, is held as a whole.  Where even that is
        too much, `reconstruct_scan` goes through the disk; it leaves a mesh and no field.
        Raises ValueError as `reconstruct` does.
        """
        cloud = point_cloud_with_scanners(points, scanners)
        plan = self.plan(cloud)
        points_world = self._to_world(cloud.points)
        frame = VoxelFrame.around(points_world, plan.voxel_size_m)
        hints = self._hints(cloud, points_world)
        return OccupancyField(
            network=self._network,
            scene_field=self._encode(frame.snap_to_voxels(points_world), plan.tile_voxels, hints),
            frame=frame,
            threshold=self.settings.threshold or self.model.threshold,
            up=self.settings.up,
            scale=self.settings.scale,
        )

    def plan(self, cloud: PointCloud) -> Plan:
        """The sizes that `run` would use for a scan, and what they would cost."""
        share = self.model.config.mesh.cell_share
        points_world = self._to_world(cloud.points)
        plan = make_plan(CloudDensity(points_world), self.settings.voxel_size_m, self.settings.cell_size_m, share)
        points_voxel = VoxelFrame.around(points_world, plan.voxel_size_m).snap_to_voxels(points_world)
        return with_tiles(plan, points_voxel, self._network.unet, memory_budget(self.settings.memory_bytes))

    @torch.no_grad()
    def run(self, cloud: PointCloud, plan: Plan | None = None) -> Reconstruction:
        """Reconstruct a clean scan (finite points); see ReconstructionSettings.

        Returns more than a mesh: also what was planned, removed and measured, which reports need.  `reconstruct` is the
        short way for whoever has an array and goes on with trimesh.
        """
        plan = plan or self.plan(cloud)
        points_world = self._to_world(cloud.points)
        frame = VoxelFrame.around(points_world, plan.voxel_size_m)
        points_voxel = frame.snap_to_voxels(points_world)
        started = time.monotonic()
        self._progress("encode", 0.0)
        scene_field = self._encode(points_voxel, plan.tile_voxels, self._hints(cloud, points_world))
        self._progress("encode", 1.0)
        encoded = time.monotonic()
        threshold = self.settings.threshold or self.model.threshold
        mesh, removed = self._mesh(scene_field, points_voxel, plan, threshold)
        level_cells = {level.stride: len(level.keys) for level in scene_field.levels}
        del scene_field, points_voxel
        return_freed_memory()
        mesh = Mesh(frame.to_world(mesh.vertices), mesh.faces, mesh.normals)
        mesh = self._finish(mesh, PointCloud(points_world, cloud.colours))
        return Reconstruction(
            mesh=self._from_world(mesh),
            plan=plan,
            threshold=threshold,
            level_cells=level_cells,
            removed_pieces=removed,
            seconds={"encode": encoded - started, "mesh": time.monotonic() - encoded},
        )

    def _hints(self, cloud: PointCloud, points_world: np.ndarray) -> torch.Tensor | None:
        """(N, 6) what the network takes besides the points: the direction to the scanner, where that is known."""
        if cloud.scanners is None:
            return None
        if not self._network.takes_hints:
            logger.info("scanners  the model %s does not take their positions, which are left out", self.model.name)
            return None
        known = np.isfinite(cloud.scanners).all(axis=1, keepdims=True)
        way = self._to_world(np.where(known, cloud.scanners, 0.0)) - points_world
        length = np.linalg.norm(way, axis=1, keepdims=True)
        known &= length > 0
        hints = np.zeros((len(way), HINTS), dtype=np.float32)
        hints[:, :3] = np.where(known, way / np.where(known, length, 1.0), 0.0)
        return torch.from_numpy(hints).to(self.device)

    def _encode(
        self, points_voxel: np.ndarray, tile_voxels: int | None = None, hints: torch.Tensor | None = None
    ) -> SparseField:
        if tile_voxels is not None:
            grid = encoding_grid(points_voxel, self._network.unet, tile_voxels)
            return encode_tiled(
                self._network, points_voxel, grid, lambda done, total: self._progress("encode", done / total), hints
            )
        points = torch.from_numpy(points_voxel).to(self.device)
        return self._network.encode(points, one_scene(points), hints)

    def _surface(self, scene_field: SparseField, points_voxel: np.ndarray, plan: Plan, threshold: float) -> Cleaned:
        """The surface in voxel coordinates without its small pieces."""
        cell = plan.cell_size_m / plan.voxel_size_m

        def evaluate(queries: np.ndarray) -> np.ndarray:
            parts = [self._logits(scene_field, queries[chunk]) for chunk in query_chunks(len(queries))]
            return np.concatenate(parts) if parts else np.zeros(0)

        finest_per_seed = finest_cells_per_seed(cell)
        seeds = seed_cells(scene_field, cell, finest_per_seed)
        extraction = ExtractionSettings(cell=cell, threshold=threshold_logit(threshold))
        asked_m2 = self.settings.smallest_piece_m2
        least_m2, share = (DUST_M2, CRUMB_SHARE) if asked_m2 is None else (asked_m2, None)
        if plan.tile_voxels is not None:
            tile_seeds = EDGE * max(1, round(plan.tile_voxels / (EDGE * SEED_STRIDE)))
            tiled = extract_tiles(
                evaluate, seeds, finest_per_seed, points_voxel, extraction, tile_seeds,
                lambda done, total: self._progress("mesh, in tiles", done / max(1, total)),
            )  # fmt: skip
            return_freed_memory()
            return joined(tiled, least_m2 / plan.voxel_size_m**2, share)
        mesh = extract_mesh(
            evaluate,
            seeds,
            finest_per_seed,
            points_voxel,
            extraction,
            progress=lambda edge, done, total: self._progress(
                f"mesh, cells of {edge * plan.cell_size_m:.2g} m", done / max(1, total)
            ),
        )
        if share is not None:
            least_m2 = min(least_m2, share * float(face_areas(mesh).sum()) * plan.voxel_size_m**2)
        return remove_small_components(mesh, min_area=least_m2 / plan.voxel_size_m**2)

    def _mesh(
        self, scene_field: SparseField, points_voxel: np.ndarray, plan: Plan, threshold: float
    ) -> tuple[Mesh, int]:
        """The cleaned mesh in voxel coordinates, and how many small pieces were removed."""
        cleaned = self._surface(scene_field, points_voxel, plan, threshold)
        mesh, removed = cleaned.mesh, cleaned.removed_components
        if self.settings.smallest_piece_m2 is None and len(mesh.faces):
            surface = float(face_areas(mesh).sum())
            below = min(CRUMB_M2 / plan.voxel_size_m**2, CRUMB_SHARE * surface)
            cleaned = remove_unsupported(
                mesh, points_voxel, CRUMB_REACH_VOXELS, below_area=below, least_share=CRUMB_POINTS_SHARE
            )
            mesh, removed = cleaned.mesh, removed + cleaned.removed_components
        cell, logit = plan.cell_size_m / plan.voxel_size_m, threshold_logit(threshold)
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
        return self._network.occupancy(scene_field, points, one_scene(points))[0].cpu().numpy()

    def _value_and_gradient(self, scene_field: SparseField) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
        def value_and_gradient(queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with torch.enable_grad():
                points = torch.from_numpy(np.ascontiguousarray(queries)).to(self.device).requires_grad_()
                logits, _ = self._network.occupancy(scene_field, points, one_scene(points))
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
