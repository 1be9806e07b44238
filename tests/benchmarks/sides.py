"""On which side of the points the shipped model puts surfaces: empty halls with exact walls, and a building with a hall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.empty_halls import EmptyHall
from sparse_convonet.evaluation.sides import (
    SidesRow,
    building_sides,
    building_with_hall,
    hall_sides,
    reconstruction_of,
)
from sparse_convonet.evaluation.usual_halls import DEFAULT_HALLS, DEFAULT_VOXELS_M
from sparse_convonet.model.weights import load_model
from tests.benchmarks.tables import column

TEXT = (
    "Shipped models, as `sparse-convonet validate MODEL --sides --split test` measures them. Rays from inside: wrong "
    "side is the share that first meets the mesh more than 0.4 voxels before the true surface, so that the room is too "
    "small; holes the share that meets nothing until more than 10 cm behind it; phantoms the share that meets something "
    "more than 20 cm before it. Halls: length x height (height 0: a floor alone, seen from above), empty and closed, "
    "exact walls, 3 mm noise, at most 4000 points per m² and four million in all, 30,000 rays at each of floor, ceiling "
    "and walls. Building: generated, furnished, with a hall through two storeys, scanned virtually with a noise of 1 "
    "cm; whatever faces up counts as floor, whatever faces down as ceiling."
)
MODELS = ("building", "building_wide")


@dataclass(frozen=True)
class SidesTableRow:
    model: str = column("model")
    scene: str = column("scene")
    voxel_cm: float = column("voxels, cm", "{:g}")
    target: str = column("surface")
    wrong_side: float = column("wrong side", "{:.1%}")
    holes: float = column("holes", "{:.1%}")
    phantoms: float = column("phantoms", "{:.1%}")


def run(quick: bool) -> list[SidesTableRow]:
    return [
        SidesTableRow(name, row.scene, 100 * row.voxel_size_m, target, found.wrong_side, found.holes, found.phantoms)
        for name in MODELS
        for row in _measure(name, quick)
        for target, found in row.targets.items()
    ]


def _measure(name: str, quick: bool) -> Iterator[SidesRow]:
    reconstruct = reconstruction_of(load_model(name))
    if quick:
        yield hall_sides(reconstruct, EmptyHall.from_text("3x2.5"), 0.12, points_per_m2=300, rays=100)
        return
    for text in DEFAULT_HALLS:
        for voxel_size_m in DEFAULT_VOXELS_M:
            yield hall_sides(reconstruct, EmptyHall.from_text(text), voxel_size_m)
    seed, scene = building_with_hall(FurnitureLibrary.load().split("test"), 0)
    yield from building_sides(reconstruct, f"building {seed}", scene, DEFAULT_VOXELS_M)
