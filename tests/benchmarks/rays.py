"""Rays and nearest points in a building: embree through open3d, and the library's own search tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.building import building_of_area
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.walks import choose_stations
from sparse_convonet.mesh.raycast_open3d import Open3dEngine
from sparse_convonet.mesh.raycast_tree import TreeEngine
from tests.benchmarks.tables import column
from tests.benchmarks.timing import interleaved_seconds

TEXT = (
    "A generated furnished building, one thread, medians, taking turns, each answering the same questions: rays from "
    "stations in it, and points anywhere in it. Tree: what a machine without open3d casts its rays with "
    "(`sparse_convonet/mesh/raycast_tree.py`). Preparing: the tree of both, open3d's with one ray, which builds it."
)

_STATION_SPACING_M = 2.5


@dataclass(frozen=True)
class RaysRow:
    what: str = column("what")
    faces: int = column("faces", "{:,}")
    questions: int = column("questions", "{:,}")
    open3d_s: float = column("open3d, s", "{:.3f}")
    tree_s: float = column("tree, s", "{:.3f}")
    ratio: float = column("tree / open3d", "{:.1f}")


def run(quick: bool) -> list[RaysRow]:
    building = building_of_area(50 if quick else 400, FurnitureLibrary.load().split("test"))
    vertices, faces = building.mesh()
    centre = vertices.mean(axis=0)
    vertices = vertices - centre
    rng, count = np.random.default_rng(0), 1000 if quick else 200_000
    stations = choose_stations(building, rng, _STATION_SPACING_M) - centre
    origins = stations[rng.integers(len(stations), size=count)]
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rays = np.concatenate([origins, directions], axis=1).astype(np.float32)
    points = rng.uniform(vertices.min(axis=0), vertices.max(axis=0), (count, 3)).astype(np.float32)
    kinds = {"open3d": Open3dEngine, "tree": TreeEngine}
    engines = {name: kind(vertices, faces, 1) for name, kind in kinds.items()}
    tasks = {
        "preparing": (
            1,
            {name: lambda kind=kind: kind(vertices, faces, 1).first_hits(rays[:1]) for name, kind in kinds.items()},
        ),
        "first hits": (len(rays), {name: lambda each=each: each.first_hits(rays) for name, each in engines.items()}),
        "all hits": (len(rays), {name: lambda each=each: each.all_hits(rays) for name, each in engines.items()}),
        "nearest points": (count, {name: lambda each=each: each.nearest(points) for name, each in engines.items()}),
    }
    rows = []
    for what, (questions, both) in tasks.items():
        seconds = interleaved_seconds(both, repeats=1 if quick else 5)
        rows.append(
            RaysRow(
                what, len(faces), questions, seconds["open3d"], seconds["tree"], seconds["tree"] / seconds["open3d"]
            )
        )
    return rows
