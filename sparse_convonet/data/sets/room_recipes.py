"""What is written into the folder of one generated model: the papers' rooms, or rooms and buildings in metres."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.buildings.building import make_building
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.convonet.samples import (
    OccupancySamples,
    Precision,
    SurfaceSamples,
    write_occupancy,
    write_surface,
)
from sparse_convonet.data.convonet.sidecar import write_frame
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.scene import Scene
from sparse_convonet.data.sets.model_set import ModelJob
from sparse_convonet.data.sets.paper_rooms import (
    make_paper_room,
    room_queries,
    sample_room_occupancy,
    sample_room_surface,
)
from sparse_convonet.data.sets.shape_stock import PackStock, RememberedStock, ShapeStock
from sparse_convonet.data.sets.shapenet import WatertightShapes

ITEM_FILE = "item.json"
_LAYOUT, _SURFACE, _OCCUPANCY = 1, 2, 3  # streams of random numbers that never meet
_QUERY_BORDER_UNIT = 0.05  # queries of metric scenes reach this far around the box of the scene
_SEEDS_TRIED = 20  # one in many seeds of a building has no connected plan


@dataclass(frozen=True)
class PaperRoomRecipe:
    """Rooms as published: several files of surface points and of queries each.

    plane_density: of walls and ground, in terms of the objects' (0.2 in the published set, 1 for real scans).
    shapes: watertight ShapeNet (shapenet.WatertightShapes), and shape_lists: its splits, None: beside it.  Without
    shapes the objects come from the furniture pack; None: the shipped one.  skip_broken: shapes on a list that are
    missing are left out.
    """

    seed: int = 0
    plane_density: float = 0.2
    files: int = 10
    points: int = 100_000
    queries: int = 100_000
    furniture: Path | None = None
    shapes: Path | None = None
    shape_lists: Path | None = None
    skip_broken: bool = False

    def describe(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""
        return {"kind": "paper rooms", **_plain(self)}

    def __call__(self, job: ModelJob, folder: Path) -> None:
        objects = int(job.category[-2:])
        place = (self.seed, objects, job.number)
        room = make_paper_room(objects, _stock(self), job.split, np.random.default_rng([*place, _LAYOUT]))
        (folder / "pointcloud").mkdir()
        (folder / "points_iou").mkdir()
        for file in range(self.files):
            rng = np.random.default_rng([*place, _SURFACE, file])
            surface = sample_room_surface(room, self.points, self.plane_density, rng)
            write_surface(folder / "pointcloud" / f"pointcloud_{file:02d}.npz", surface)
            queries = room_queries(self.queries, np.random.default_rng([*place, _OCCUPANCY, file]))
            truth = sample_room_occupancy(room, _as_stored(queries, "float16"))
            write_occupancy(folder / "points_iou" / f"points_iou_{file:02d}.npz", truth)
        item = {"split": job.split, **room.describe()}
        (folder / ITEM_FILE).write_text(json.dumps(item, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class MetricRecipe:
    """Generated rooms or buildings of known size: one file of surface points, one of queries, and frame.json.

    points: uniform by area on every surface, inside and outside; queries: uniform in the scene's box, a twentieth of
    its longest side wider on every side.
    """

    scene: Literal["room", "building"] = "room"
    seed: int = 0
    points: int = 60_000
    queries: int = 60_000
    precision: Precision = "float16"
    furniture: Path | None = None

    def describe(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""
        return {"kind": f"metric {self.scene}s", **_plain(self)}

    def __call__(self, job: ModelJob, folder: Path) -> None:
        place = (self.seed, int(self.scene == "building"), job.number)
        scene = self._make(job, np.random.default_rng([*place, _LAYOUT]))
        frame = UnitFrame.around(scene.bounds)
        points, normals = scene.sample_surface(self.points, np.random.default_rng([*place, _SURFACE]))
        upright = UnitFrame(np.zeros(3), 1.0)  # directions turn as points do
        surface = SurfaceSamples(frame.to_unit(points), upright.to_unit(normals))
        write_surface(folder / "pointcloud.npz", surface, self.precision)
        border = _QUERY_BORDER_UNIT * frame.metres_per_unit
        low, high = scene.bounds[0] - border, scene.bounds[1] + border
        queries = np.random.default_rng([*place, _OCCUPANCY]).uniform(low, high, (self.queries, 3))
        stored = _as_stored(frame.to_unit(queries), self.precision)
        truth = OccupancySamples(stored, scene.occupied(frame.to_world(stored)))
        write_occupancy(folder / "points_iou.npz", truth, self.precision)
        write_frame(folder, frame)

    def _make(self, job: ModelJob, rng: np.random.Generator) -> Scene:
        library = _library(self.furniture).split(job.split)
        if self.scene == "room":
            return make_room(int(rng.integers(2**31)), library)
        for _ in range(_SEEDS_TRIED):
            seed = int(rng.integers(2**31))
            try:
                return make_building(seed, library)
            except ValueError as error:
                refusal = error
        raise ValueError(f"{job.category} {job.name}: no building in {_SEEDS_TRIED} attempts: {refusal}")


def _plain(recipe: PaperRoomRecipe | MetricRecipe) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(recipe).items()}


def _as_stored(points: np.ndarray, precision: Precision) -> np.ndarray:
    """Rounded as the file rounds them, so that the truth is that of the point in the file."""
    return points.astype(precision).astype(np.float64)


@lru_cache(maxsize=2)
def _library(pack: Path | None) -> FurnitureLibrary:
    return FurnitureLibrary.load(pack)


@lru_cache(maxsize=2)
def _stock(recipe: PaperRoomRecipe) -> ShapeStock:
    if recipe.shapes is None:
        return PackStock(_library(recipe.furniture))
    return RememberedStock(WatertightShapes(recipe.shapes, recipe.shape_lists, skip_broken=recipe.skip_broken))
