"""The folder of a reconstruction through the disk: points, plan, tiles; what is finished in it stays done."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sparse_convonet.clouds.cleaning import CloudSummary, Dropped, Sought
from sparse_convonet.cluster import TaskRunner
from sparse_convonet.encode.sparse_unet import SparseUNet
from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.out_of_core.points.origin import Stations
from sparse_convonet.out_of_core.points.store_points import REMOVED, PointStore, store_cloud, store_points
from sparse_convonet.out_of_core.stored_scan import StoredScan
from sparse_convonet.out_of_core.tiles.plan_tiles import TiledPlan
from sparse_convonet.out_of_core.tiles.work_plan import ENCODED, MESHES, MODEL_FILE, PLAN_FILE, POINTS, SECOND
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.progress import Progress
from sparse_convonet.structures import PointCloud

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
        columns: Sequence[str] | None,
        trajectory: Trajectory | None,
        sought: Sought,
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
            columns=columns,
            trajectory=trajectory,
            sought=sought,
            progress=progress,
        )
        return ReadPoints(*found)

    @property
    def removed(self) -> Path:
        """The file of the ghosts and outliers that were left out."""
        return self.folder / POINTS / REMOVED

    def take(
        self, cloud: PointCloud, settings: ReconstructionSettings, with_scanners: bool, progress: Progress
    ) -> PointStore:
        """Bring the points of a clean cloud to the disk, all of them, as they are; with_scanners: and their scanners."""
        return store_cloud(
            cloud,
            self.folder / POINTS,
            up=settings.up,
            scale=settings.metres_per_unit,
            with_scanners=with_scanners,
            progress=progress,
        )

    def prepare(
        self,
        planned: TiledPlan,
        settings: ReconstructionSettings,
        weights: Path,
        store: PointStore,
        unet: SparseUNet,
        runner: TaskRunner,
        memory_bytes: int | None = None,
    ) -> StoredScan:
        """Make the folder ready for the tasks of a plan.  weights: the file of the model.  Others: of StoredScan.

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
            if planned.work.twice:
                (self.folder / SECOND).mkdir(exist_ok=True)
                planned.work.second().save(self.folder / SECOND)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(wanted), encoding="utf-8")
        elif any((self.folder / ENCODED).glob("*_*_*")):
            logger.info("resume    finished tiles in %s", self.folder)
        return StoredScan(
            folder=self.folder,
            store=store,
            planned=planned,
            settings=settings,
            unet=unet,
            runner=runner,
            memory_bytes=memory_bytes,
        )

    def _remove_tiles(self) -> None:
        for name in (ENCODED, MESHES, SECOND):
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

    def remove(self) -> None:
        """Take away what the folder held, after the result was written."""
        (self.folder / _REQUEST).unlink(missing_ok=True)
        self._remove_tiles()
        shutil.rmtree(self.folder / POINTS, ignore_errors=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
