"""What the tasks in one work folder share within a process: plan, network and points."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch

from sparse_convonet.encode.context import Context
from sparse_convonet.fields.sparse import SparseField
from sparse_convonet.model.field_queries import FieldQueries
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model.weights import load_model
from sparse_convonet.out_of_core.points.store_points import PointStore
from sparse_convonet.out_of_core.tiles.cell_files import load_all_cells
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.out_of_core.tiles.work_plan import MODEL_FILE, POINTS, WorkPlan, encoded_tiles, mesh_tiles

_SNAP_MARGIN = 1  # voxels: snapping moves points by less


class Work:
    """The plan of a work folder, and what its tasks use of it."""

    def __init__(self, folder: Path) -> None:
        self.plan = WorkPlan.load(folder)
        trained = load_model(folder / MODEL_FILE, engine=self.plan.engine, device=self.plan.device)  # type: ignore[arg-type]
        self.network: SparseOccupancyNetwork = trained.sparse
        self.points = PointStore.open(folder / POINTS)
        self.encoded: TileFolder = encoded_tiles(folder, self.plan)
        self.meshes: TileFolder = mesh_tiles(folder, self.plan)

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
        frame = self.plan.frame
        found = self.points.within(frame.to_world(low - _SNAP_MARGIN), frame.to_world(high + _SNAP_MARGIN))
        points = frame.snap_to_voxels(found.points_world)
        return points[((points >= low) & (points < high)).all(axis=1)]

    def queries(self, field: SparseField) -> FieldQueries:
        """What answers queries, (Q, 3) voxel coordinates, about a part of the scan's field."""
        return FieldQueries(self.network, field)


@lru_cache(maxsize=1)
def shared_work(folder: str) -> Work:
    """That of a folder, once per process."""
    return Work(Path(folder))


def forget_work() -> None:
    """Let go of the network and the points that tasks in this process share."""
    shared_work.cache_clear()
