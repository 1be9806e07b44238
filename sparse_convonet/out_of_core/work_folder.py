"""A whole reconstruction through the disk: points, plan, tiles, mesh; what is finished in its work folder stays done."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped
from sparse_convonet.cluster import TaskNeeds, TaskRunner
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.out_of_core.assembly.assemble import AssemblyResult, AssemblySettings, assemble
from sparse_convonet.out_of_core.assembly.finishing import finish_tiles
from sparse_convonet.out_of_core.assembly.joined_tiles import join_tiles
from sparse_convonet.out_of_core.assembly.tile_frame import TileFrame
from sparse_convonet.out_of_core.points.spool import Stations
from sparse_convonet.out_of_core.points.store_points import PointStore, store_cloud, store_points
from sparse_convonet.out_of_core.tiles.plan_tiles import TiledPlan
from sparse_convonet.out_of_core.tiles.schedule import encode_all, mesh_all, search_all
from sparse_convonet.out_of_core.tiles.work import forget_work
from sparse_convonet.out_of_core.tiles.work_plan import ENCODED, MESHES, MODEL_FILE, PLAN_FILE, POINTS, mesh_tiles
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.memory import return_freed_memory
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import Mesh, PointCloud

logger = logging.getLogger(__name__)

_REQUEST = "request.json"
_AFTER_TILES = ("simplify_faces", "simplify_error_mm", "memory_bytes")  # settings that the tiles do not depend on


@dataclass(frozen=True)
class ReadPoints:
    """The points of a scan on disk, what they are like, what was left out, and how many were read."""

    store: PointStore
    summary: CloudSummary
    dropped: Dropped
    points_read: int


@dataclass(frozen=True)
class MadeTiles:
    """level_cells: by stride in voxels.  visits: of tiles by the search.  seconds: by stage, of this run alone."""

    level_cells: dict[int, int]
    visits: int
    seconds: dict[str, float]


class WorkFolder:
    """The folder in which one reconstruction keeps its points, plan and tiles until it is finished.

    A run with the same inputs goes on with their points, and one with the same settings as well with the tiles that
    are finished; those of other settings are removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()  # workers elsewhere stand in other folders

    def read(
        self,
        inputs: Sequence[Path],
        *,
        up: str | None,
        scale: float | None,
        seed: int,
        stations: Stations,
        check: Callable[[CloudSummary], None],
        progress: Progress,
    ) -> ReadPoints:
        """Bring the points of all inputs to the disk, cleaned; arguments and errors as store_points."""
        found = store_points(
            inputs,
            self.folder / POINTS,
            up=up,
            scale=scale,
            seed=seed,
            stations=stations,
            check=check,
            progress=progress,
        )
        return ReadPoints(*found)

    def take(
        self, cloud: PointCloud, settings: ReconstructionSettings, with_scanners: bool, progress: Progress
    ) -> PointStore:
        """Bring the points of a clean cloud to the disk, all of them, as they are; with_scanners: and their scanners."""
        return store_cloud(
            cloud,
            self.folder / POINTS,
            up=settings.up,
            scale=settings.scale,
            with_scanners=with_scanners,
            progress=progress,
        )

    def prepare(self, planned: TiledPlan, settings: ReconstructionSettings, weights: Path) -> None:
        """Make the folder ready for the tasks of a plan.  weights: the file of the model.

        Raises OSError where the disk has no room for what they will write.
        """
        wanted = {
            "settings": {name: value for name, value in asdict(settings).items() if name not in _AFTER_TILES},
            "plan": asdict(planned.work),
            "model": hashlib.sha256(weights.read_bytes()).hexdigest(),
        }
        wanted = json.loads(json.dumps(wanted))  # as it comes back from the file
        path = self.folder / _REQUEST
        if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != wanted:
            path.unlink(missing_ok=True)
            self._remove_tiles()
            self._require_room(planned.disk_bytes)
            with atomic_path(self.folder / MODEL_FILE) as temporary:
                shutil.copyfile(weights, temporary)
            planned.work.save(self.folder)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(wanted), encoding="utf-8")
        elif any((self.folder / ENCODED).glob("*_*_*")):
            logger.info("resume    finished tiles in %s", self.folder)

    def _remove_tiles(self) -> None:
        for name in (ENCODED, MESHES):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in (PLAN_FILE, MODEL_FILE):
            (self.folder / name).unlink(missing_ok=True)

    def _require_room(self, expected: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < expected:
            raise OSError(
                f"{self.folder}: expected about {expected / 1e9:.1f} GB of free disk for the tiles and the mesh, found "
                f"{free / 1e9:.1f} GB; free some, name another folder, or use larger voxels with --voxel-size"
            )

    def make_tiles(self, planned: TiledPlan, unet: SparseUNet, runner: TaskRunner, progress: Progress) -> MadeTiles:
        """Encode, search and mesh all tiles, with what the runner offers.  Raises as it does."""
        forget_work()  # of a former plan
        runner.require_shared(self.folder)
        needs = TaskNeeds(memory_bytes=planned.plan.memory_bytes, gpus=int(planned.work.device.startswith("cuda")))
        started = time.monotonic()
        encoding = encode_all(self.folder, unet, planned.encoded, runner, needs, progress)
        encoded = time.monotonic()
        visits = search_all(self.folder, encoding.seed_tiles, runner, needs, progress)
        mesh_all(self.folder, runner, needs, progress)
        forget_work()
        return_freed_memory()
        return MadeTiles(
            encoding.level_cells, visits, {"encode": encoded - started, "mesh": time.monotonic() - encoded}
        )

    def join(
        self,
        planned: TiledPlan,
        store: PointStore,
        settings: ReconstructionSettings,
        mesh_path: Path,
        preview_path: Path,
        tiles_path: Path | None,
        memory_bytes: int,
        progress: Progress,
    ) -> AssemblyResult:
        """Write the mesh of all tiles, its picture and, if asked for, the folder of 3D Tiles; errors as assemble's."""
        distances = (planned.plan.cell_size_m, planned.plan.voxel_size_m)
        return assemble(
            mesh_tiles(self.folder, planned.work),
            store,
            _frame(planned, settings),
            AssemblySettings(settings.piece_rules, distances, settings, memory_bytes),
            mesh_path,
            preview_path,
            tiles_path=tiles_path,
            progress=progress,
        )

    def join_in_memory(
        self, planned: TiledPlan, store: PointStore, settings: ReconstructionSettings, progress: Progress
    ) -> tuple[Mesh, int]:
        """(mesh of all tiles in world metres, how many pieces were removed): as it is in one piece before it is
        simplified and coloured; it may be empty."""
        tiles, frame = mesh_tiles(self.folder, planned.work), _frame(planned, settings)
        finished = finish_tiles(tiles, store, frame, settings.piece_rules, settings, progress)
        mesh = join_tiles(finished)
        return replace(mesh, vertices=frame.voxels.to_world(mesh.vertices)), finished.removed_pieces

    def remove(self) -> None:
        """Take away what the folder held, after the result was written."""
        (self.folder / _REQUEST).unlink(missing_ok=True)
        self._remove_tiles()
        shutil.rmtree(self.folder / POINTS, ignore_errors=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _frame(planned: TiledPlan, settings: ReconstructionSettings) -> TileFrame:
    return TileFrame(planned.work.frame, planned.work.cell, settings.up, settings.scale)
