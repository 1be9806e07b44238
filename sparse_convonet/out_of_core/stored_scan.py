"""A scan in a work folder on its way to a mesh, tile by tile; reconstruct.whole_scan is the same for one in memory."""

from __future__ import annotations

import time
from pathlib import Path

from sparse_convonet.cluster import TaskNeeds, TaskRunner
from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.out_of_core.assembly.assemble import AssemblySettings, assemble
from sparse_convonet.out_of_core.assembly.finishing import finish_tiles
from sparse_convonet.out_of_core.assembly.joined_tiles import whole_mesh
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.assembly.written_mesh import ResultPaths, WrittenMesh
from sparse_convonet.out_of_core.points.store_points import PointStore
from sparse_convonet.out_of_core.tiles.carving import FreeSpaceJob, cubic_metres, make_free_space
from sparse_convonet.out_of_core.tiles.field_queries import StoredQueries
from sparse_convonet.out_of_core.tiles.plan_tiles import TiledPlan
from sparse_convonet.out_of_core.tiles.schedule import Encoding, encode_all, mesh_all, search_all
from sparse_convonet.out_of_core.tiles.work import Work, forget_work
from sparse_convonet.out_of_core.tiles.work_plan import SECOND, mesh_tiles
from sparse_convonet.plan.plan import Plan
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.plan.stages import FoundSurface
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh


class StoredScan:
    """folder: a WorkFolder's that was prepared for what was planned.  runner: does the tiles.

    memory_bytes: what a mesh that is simplified, which is held whole, may take; None: anything.
    """

    def __init__(
        self,
        *,
        folder: Path,
        store: PointStore,
        planned: TiledPlan,
        settings: ReconstructionSettings,
        unet: SparseUNet,
        runner: TaskRunner,
        memory_bytes: int | None = None,
    ) -> None:
        self._folder, self._store, self._planned, self._settings = folder, store, planned, settings
        self._unet, self._runner, self._memory_bytes = unet, runner, memory_bytes
        self._points_per_voxel = 1.0  # until it is encoded
        gpus = int(planned.work.device.startswith("cuda"))
        self._needs = TaskNeeds(memory_bytes=planned.plan.memory_bytes, gpus=gpus)
        self._frame = TileFrame(planned.work.frame, planned.work.cell, settings.scan_frame)

    @property
    def plan(self) -> Plan:
        return self._planned.plan

    @property
    def voxels(self) -> VoxelFrame:
        """Where its voxels stand in the world."""
        return self._frame.voxels

    @property
    def points(self) -> PointStore:
        """The points of the scan, in the world."""
        return self._store

    def find_surface(self, progress: Progress) -> FoundSurface:
        """Encode, search and mesh all tiles, with what the runner offers.  Raises as it does."""
        started = time.monotonic()
        encoding = self._encode(progress)
        encoded = time.monotonic()
        free_m3 = self._carve(progress)
        cells = encoding.level_cells
        self._points_per_voxel = self._store.count / cells[min(cells)]
        carved = time.monotonic()
        search_all(self._folder, encoding.seed_tiles, self._runner, self._needs, progress)
        mesh_all(self._folder, self._runner, self._needs, progress)
        forget_work()
        return_freed_memory()
        seconds = {"encode": encoded - started, "mesh": time.monotonic() - carved}
        if free_m3 is not None:
            seconds["free_space"] = carved - encoded
        return FoundSurface(encoding.level_cells, self._planned.work.threshold, seconds, free_m3)

    def whole_mesh(self, progress: Progress) -> tuple[Mesh, int]:
        """The finished mesh in the world, metres, z up, which may be empty, and how many pieces were removed."""
        tiles = mesh_tiles(self._folder, self._planned.work)
        finished = finish_tiles(tiles, self._store, self._frame, self._settings.piece_rules, self._settings, progress)
        per_voxel = self._points_per_voxel
        mesh = whole_mesh(finished, self._store, self._frame, self._settings, per_voxel, progress)
        return mesh, finished.removed_pieces

    def write(self, paths: ResultPaths, progress: Progress) -> WrittenMesh:
        """Write the mesh and what else is asked for; errors as assemble's."""
        distances = self.plan.cell_size_m, self.plan.voxel_size_m
        return assemble(
            mesh_tiles(self._folder, self._planned.work),
            self._store,
            self._frame,
            AssemblySettings(
                self._settings.piece_rules, distances, self._settings, self._memory_bytes, self._points_per_voxel
            ),
            paths,
            progress=progress,
        )

    def queries(self, progress: Progress) -> StoredQueries:
        """What answers queries about the field, which is encoded first; it reads the folder."""
        self._encode(progress)
        self._carve(progress)
        forget_work()
        return StoredQueries(Work(self._folder))

    def _carve(self, progress: Progress) -> float | None:
        """Find the space that is free for sure, if that is wanted and known; its cubic metres."""
        if not (self._settings.carve and self._store.has_scanners):
            return None
        progress("free space", 0.0)
        job = FreeSpaceJob(str(self._folder))
        ((_, cells),) = self._runner.run(make_free_space, [job], lambda job: self._needs)
        return cubic_metres(cells, self.voxels)

    def _encode(self, progress: Progress) -> Encoding:
        forget_work()  # of a former plan
        self._runner.require_shared(self._folder)
        tiles = self._planned.encoded
        if self._planned.work.twice:

            def tell(stage: str, share: float) -> None:
                progress(f"{stage} again", share)

            encode_all(self._folder / SECOND, self._unet, tiles, self._runner, self._needs, tell)
            forget_work()
        return encode_all(self._folder, self._unet, tiles, self._runner, self._needs, progress)
