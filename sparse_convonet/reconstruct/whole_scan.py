"""A scan in memory on its way to a mesh, in one piece; out_of_core.stored_scan is the same for one in tiles on the disk."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from sparse_convonet.coordinates import VoxelFrame, one_scene
from sparse_convonet.encode.hints import directions_to_scanners
from sparse_convonet.extract.mise import ExtractionSettings, extract_mesh, threshold_logit
from sparse_convonet.extract.refine import refine
from sparse_convonet.extract.seeds import finest_cells_per_seed, seed_cells
from sparse_convonet.fields.free_space import FreeSpace
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.mesh.cleanup import remove_pieces
from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.expected_error import ScanScale, error_attributes
from sparse_convonet.mesh.finish import finish_mesh
from sparse_convonet.mesh.normals import with_field_normals
from sparse_convonet.mesh.point_support import SupportingPoints
from sparse_convonet.mesh.surface_cuts import SurfacePoints, cut_surface
from sparse_convonet.model.field_queries import SECOND_SHIFT, FieldQueries
from sparse_convonet.model.weights import TrainedModel
from sparse_convonet.out_of_core.assembly.held_mesh import HeldMesh
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths, WrittenMesh
from sparse_convonet.out_of_core.points.cloud_points import CloudPoints
from sparse_convonet.out_of_core.points.point_store import StoredPoints
from sparse_convonet.out_of_core.tiles.carving import cubic_metres, free_bricks
from sparse_convonet.plan.plan import CloudDensity, Plan, make_plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.stages import FoundSurface
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh, PointCloud

logger = logging.getLogger(__name__)


def plan_in_memory(cloud: PointCloud, settings: ReconstructionSettings, model: TrainedModel) -> Plan:
    """The sizes for a scan, and what it would cost in one piece.  cloud: in the frame of the scan."""
    density = CloudDensity(settings.scan_frame.to_world(cloud.points))
    share = model.config.mesh.cell_share
    return make_plan(density, settings, share)


def takes_scanners(cloud: PointCloud, model: TrainedModel) -> bool:
    """Whether the network is told of the cloud's scanners; logs where it has some and is not."""
    if cloud.scanners is not None and not model.sparse.takes_hints:
        logger.info("scanners  the model %s takes no directions to them, which are left out", model.name)
    return cloud.scanners is not None and model.sparse.takes_hints


class WholeScan:
    """cloud: clean, in the frame of the scan.  plan: of plan_in_memory; it is followed whatever memory that takes."""

    def __init__(self, cloud: PointCloud, settings: ReconstructionSettings, model: TrainedModel, plan: Plan) -> None:
        self.plan = plan
        self._settings, self._model, self._network = settings, model, model.sparse
        scan = settings.scan_frame
        points_world = scan.to_world(cloud.points)
        scanners_world = None if cloud.scanners is None else scan.to_world(cloud.scanners)
        self._points = StoredPoints(points_world, cloud.colours, scanners_world)
        self._tells_scanners = takes_scanners(cloud, model)
        voxels = VoxelFrame.around(points_world, plan.voxel_size_m)
        self._frame = TileFrame(voxels, plan.cell_size_m / plan.voxel_size_m, scan)
        self._threshold = settings.threshold or model.threshold
        self._found: tuple[Mesh, int] | None = None  # until it is taken
        self._points_per_voxel = 1.0  # until it is encoded

    @property
    def voxels(self) -> VoxelFrame:
        """Where its voxels stand in the world."""
        return self._frame.voxels

    @property
    def points(self) -> CloudPoints:
        """The points of the cloud, in the world."""
        return CloudPoints(self._points)

    def find_surface(self, progress: Progress) -> FoundSurface:
        """Encode, search and mesh."""
        started = time.monotonic()
        points_voxel = self._frame.voxels.snap_to_voxels(self._points.points_world)
        field = self._encode(points_voxel, progress)
        second = self._second(progress)
        encoded = time.monotonic()
        free = self._free_space(progress)
        carved = time.monotonic()
        queries = FieldQueries(self._network, field, free, second)
        self._found = self._mesh(field, queries, points_voxel, progress)
        del queries, second
        level_cells = {level.stride: len(level.keys) for level in field.levels}
        self._points_per_voxel = len(points_voxel) / level_cells[min(level_cells)]
        seconds = {"encode": encoded - started, "mesh": time.monotonic() - carved}
        if free is not None:
            seconds["free_space"] = carved - encoded
        free_m3 = None if free is None else cubic_metres(free.cells, self.voxels)
        return FoundSurface(level_cells, self._threshold, seconds, free_m3)

    def whole_mesh(self, progress: Progress) -> tuple[Mesh, int]:
        """The finished mesh in the world, metres, z up, which may be empty, and how many pieces were removed."""
        assert self._found is not None, "find_surface comes first"
        (mesh, removed), self._found = self._found, None
        return_freed_memory()
        world = Mesh(self._frame.voxels.to_world(mesh.vertices), mesh.faces, mesh.normals)
        del mesh
        points, settings = self._points, self._settings

        def dress(mesh: Mesh) -> Mesh:
            if points.colours is not None:
                mesh = with_colours(mesh, PointCloud(points.points_world, points.colours))
            return self._with_errors(mesh)

        return finish_mesh(world, settings.simplify_faces, settings.simplify_error_m, dress, progress), removed

    def write(self, paths: ResultPaths, progress: Progress) -> WrittenMesh:
        """Write the mesh and what else is asked for.  Raises ValueError where there is no surface."""
        world, removed = self.whole_mesh(progress)
        held = HeldMesh(world, removed, self.points, self._frame, self._with_errors)
        del world
        distances = self.plan.cell_size_m, self.plan.voxel_size_m
        return held.write(paths, distances, progress)

    @cached_property
    def _supporting(self) -> SupportingPoints:
        return SupportingPoints(self.voxels.to_voxels(self._points.points_world))

    def _with_errors(self, mesh: Mesh) -> Mesh:
        """A mesh in the world, with normals, with the errors expected of its vertices."""
        assert mesh.normals is not None
        support = self._supporting.support(self.voxels.to_voxels(mesh.vertices), mesh.normals)
        scale = ScanScale(self.voxels.voxel_size_m, self._points_per_voxel)
        return replace(mesh, attributes=error_attributes(support, scale))

    def queries(self, progress: Progress) -> FieldQueries:
        """What answers queries about the field."""
        points_voxel = self._frame.voxels.snap_to_voxels(self._points.points_world)
        field, second = self._encode(points_voxel, progress), self._second(progress)
        return FieldQueries(self._network, field, self._free_space(progress), second)

    def _second(self, progress: Progress) -> SparseField | None:
        """The scan encoded with voxels elsewhere, if that is wanted."""
        if not self._settings.twice:
            return None
        moved = self.voxels.moved(SECOND_SHIFT)
        return self._encode(moved.snap_to_voxels(self._points.points_world), progress, "encode again")

    def _free_space(self, progress: Progress) -> FreeSpace | None:
        if not (self._settings.carve and self.points.has_scanners):
            return None
        progress("free space", 0.0)
        return FreeSpace.joined([found for _, found in free_bricks(self.points, self.voxels)])

    def _hints(self) -> np.ndarray | None:
        """(N, HINTS) float32 of the points, where the scanner of one is known."""
        stored = self._points
        if stored.scanners_world is None:
            return None
        return directions_to_scanners(stored.points_world, stored.scanners_world)

    @torch.no_grad()
    def _encode(self, points_voxel: np.ndarray, progress: Progress, stage: str = "encode") -> SparseField:
        progress(stage, 0.0)
        device = next(self._network.parameters()).device
        points, hints = torch.from_numpy(points_voxel).to(device), None
        if self._tells_scanners and (told := self._hints()) is not None:
            hints = torch.from_numpy(told).to(device)
        field = self._network.encode(points, one_scene(points), hints)
        progress(stage, 1.0)
        return field

    @torch.no_grad()
    def _mesh(
        self, field: SparseField, queries: FieldQueries, points_voxel: np.ndarray, progress: Progress
    ) -> tuple[Mesh, int]:
        """The surface in voxel coordinates, and how many small pieces were removed.

        The order of out_of_core.assembly.finishing.
        """
        settings, plan = self._settings, self.plan
        cell, logit = self._frame.cell_voxels, threshold_logit(self._threshold)

        def tell(edge: int, done: int, total: int) -> None:
            progress(f"mesh, cells of {edge * plan.cell_size_m:.2g} m", done / max(1, total))

        finest_per_seed = finest_cells_per_seed(cell)
        seeds = seed_cells(field, cell, finest_per_seed)
        extraction = ExtractionSettings(cell=cell, threshold=logit)
        mesh = extract_mesh(queries.logits, seeds, finest_per_seed, points_voxel, extraction, progress=tell)
        mesh, removed = remove_pieces(mesh, points_voxel, settings.piece_rules, plan.voxel_size_m)
        cut = settings.surface_cut(plan.voxel_size_m)
        if cut is not None:
            hints = self._hints() if cut.needs_directions else None
            seen = SurfacePoints(points_voxel, None if hints is None else hints[:, :3])
            mesh = cut_surface(mesh, seen, cut).mesh
        if settings.refine_steps:
            progress("refine", 0.0)
            mesh = refine(mesh, queries.value_and_gradient, settings.refine_steps, cell=cell, threshold=logit)
        if cut is not None:  # what hung together by surface that went
            mesh, left_over = remove_pieces(mesh, points_voxel, settings.piece_rules, plan.voxel_size_m)
            removed += left_over
        if settings.field_normals and len(mesh.faces):
            progress("normals", 0.0)
            mesh = with_field_normals(mesh, queries.gradient)
        return mesh, removed
