"""What the tasks in one work folder share within a process: plan, network and points."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from sparse_convonet.coordinates import one_scene
from sparse_convonet.encode.context import Context
from sparse_convonet.encode.hints import directions_to_scanners
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model.weights import load_model
from sparse_convonet.out_of_core.points.store_points import PointStore, StoredPoints
from sparse_convonet.out_of_core.tiles.cell_files import load_all_cells
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.out_of_core.tiles.work_plan import MODEL_FILE, POINTS, SECOND, WorkPlan, encoded_tiles, mesh_tiles
from sparse_convonet.structures import PointSet

_SNAP_MARGIN = 1  # voxels: snapping moves points by less


class Work:
    """The plan of a work folder, and what its tasks use of it.

    The folder of a second encoding shares model and points of the one that it lies in.
    """

    def __init__(self, folder: Path) -> None:
        self.plan = WorkPlan.load(folder)
        shared = folder.parent if self.plan.is_second else folder
        trained = load_model(shared / MODEL_FILE, engine=self.plan.engine, device=self.plan.device)  # type: ignore[arg-type]
        self.network: SparseOccupancyNetwork = trained.sparse
        self.points = PointStore.open(shared / POINTS)
        self.encoded: TileFolder = encoded_tiles(folder, self.plan)
        self.meshes: TileFolder = mesh_tiles(folder, self.plan)
        self._second = folder / SECOND

    @cached_property
    def second(self) -> Work | None:
        """The work of the same scan with voxels elsewhere, where it is encoded twice."""
        return Work(self._second) if self.plan.twice else None

    @property
    def context_place(self) -> Path:
        """Where the context of the whole scan stands (see surroundings.make_context)."""
        return self.encoded.folder / "context"

    @cached_property
    def context(self) -> Context | None:
        """That context, once it is made; None for a network without one."""
        if self.network.context is None:
            return None
        cells = load_all_cells(self.context_place)
        keys, features = torch.from_numpy(cells.keys), torch.from_numpy(cells.features)
        return Context(keys.to(self.plan.device), features.to(self.plan.device))

    def points_within(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(N, 3) float64 voxel coordinates of the points in a box of voxel coordinates, in the order of the scan."""
        return self._within(low, high)[1]

    def observed_within(self, low: np.ndarray, high: np.ndarray) -> PointSet:
        """The same points on the network's device, with what it takes besides: all that it is told of the box."""
        return self.observed(*self._within(low, high))

    def observed(self, stored: StoredPoints, points_voxel: np.ndarray) -> PointSet:
        """Some stored points and where they lie (N, 3) in voxels, with the hints that the network takes."""
        hints = None
        if stored.scanners_world is not None and self.network.takes_hints:
            hints = torch.from_numpy(directions_to_scanners(stored.points_world, stored.scanners_world))
        points = torch.from_numpy(points_voxel)
        return PointSet(points, one_scene(points), hints).to(torch.device(self.plan.device))

    def _within(self, low: np.ndarray, high: np.ndarray) -> tuple[StoredPoints, np.ndarray]:
        """The stored points in the box, and where they lie (N, 3) in voxels."""
        frame = self.plan.frame
        found = self.points.within(frame.to_world(low - _SNAP_MARGIN), frame.to_world(high + _SNAP_MARGIN))
        points = frame.snap_to_voxels(found.points_world)
        rows = np.flatnonzero(((points >= low) & (points < high)).all(axis=1))
        return found.select(rows), points[rows]


@lru_cache(maxsize=1)
def shared_work(folder: str) -> Work:
    """That of a folder, once per process."""
    return Work(Path(folder))


def forget_work() -> None:
    """Let go of the network and the points that tasks in this process share."""
    shared_work.cache_clear()
