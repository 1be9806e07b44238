"""What all tasks of one reconstruction need to know, and where its files stand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.coordinates import VoxelFrame
from sparse_convonet.extract.mise import ExtractionSettings, threshold_logit
from sparse_convonet.model.field_queries import SECOND_SHIFT
from sparse_convonet.out_of_core.tiles.tile_folder import TileFolder
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import reading_work
from sparse_convonet.tile_grid import TileGrid

PLAN_FILE, MODEL_FILE = "plan.json", "model.safetensors"
POINTS, ENCODED, MESHES = "points", "encoded", "meshes"
SECOND = "second"  # a folder within, with a plan and encoded tiles of its own, where a scan is encoded twice


@dataclass(frozen=True)
class WorkPlan:
    """The frame, the sizes and the two grids of tiles of one reconstruction.

    origin_world: metres.  threshold: a probability.  encoding: tiles in voxels.  meshing: tiles in seed cells, which
    are `finest_per_seed` cells long.  engine: of the network; device: torch's name.  refine_steps, field_normals, twice:
    as of ReconstructionSettings.  is_second: made by `second`, for a folder within that of the first.
    """

    origin_world: tuple[float, float, float]
    voxel_size_m: float
    cell_size_m: float
    threshold: float
    encoding: TileGrid
    meshing: TileGrid
    finest_per_seed: int
    engine: str
    device: str
    refine_steps: int = 0
    field_normals: bool = False
    twice: bool = False
    is_second: bool = False

    @property
    def frame(self) -> VoxelFrame:
        return VoxelFrame(np.array(self.origin_world), self.voxel_size_m)

    @property
    def cell(self) -> float:
        """Edge of the finest cells in voxels."""
        return self.cell_size_m / self.voxel_size_m

    @property
    def levels(self) -> int:
        """How often seed cells are halved."""
        return self.finest_per_seed.bit_length() - 1

    @property
    def extraction(self) -> ExtractionSettings:
        return ExtractionSettings(cell=self.cell, threshold=threshold_logit(self.threshold))

    @property
    def meshing_finest(self) -> TileGrid:
        """The tiles of the meshing in finest cells."""
        return self.meshing.scaled(self.finest_per_seed)

    def second(self) -> WorkPlan:
        """That of the same scan with voxels elsewhere."""
        x, y, z = self.frame.moved(SECOND_SHIFT).origin_world.tolist()
        return replace(self, origin_world=(x, y, z), twice=False, is_second=True)

    def save(self, folder: Path) -> None:
        with atomic_path(folder / PLAN_FILE) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> WorkPlan:
        """The plan that `save` wrote to a folder."""
        with reading_work(folder / PLAN_FILE):
            values = json.loads((folder / PLAN_FILE).read_text(encoding="utf-8"))
            grids = {name: _grid(values.pop(name)) for name in ("encoding", "meshing")}
            return cls(**{**values, **grids, "origin_world": tuple(values["origin_world"])})


def _grid(values: dict[str, list[int]]) -> TileGrid:
    (x, y, z), (a, b, c) = values["origin"], values["edges"]
    return TileGrid((x, y, z), (a, b, c))


def encoded_tiles(folder: Path, plan: WorkPlan) -> TileFolder:
    """The files of the tiles of the encoding, in a work folder."""
    return TileFolder(folder / ENCODED, plan.encoding)


def mesh_tiles(folder: Path, plan: WorkPlan) -> TileFolder:
    """The files of the tiles of the meshing, in a work folder; the grid is in finest cells."""
    return TileFolder(folder / MESHES, plan.meshing_finest)
