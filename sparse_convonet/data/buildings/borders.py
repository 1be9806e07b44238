"""What stands between two regions of a storey: a wall, a railing or nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import OUTSIDE, Rectangle, Region, Wall
from sparse_convonet.data.buildings.railings import RailingStyle, add_railing
from sparse_convonet.data.scenes.assembly import Assembly


@dataclass(frozen=True)
class BorderStyle:
    """Thicknesses in metres, and shares in [0, 1] of borders that stay open or get a railing where both would do."""

    outer: float
    inner: float
    partition: float
    partition_share: float
    open_share: float
    railing_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator, wall_m: tuple[float, float]) -> BorderStyle:
        low, high = wall_m
        middle = (low + high) / 2
        return cls(
            outer=float(rng.uniform(middle, high)),
            inner=float(rng.uniform(low, high)),
            partition=float(rng.uniform(low, middle)),
            partition_share=float(rng.uniform(0.2, 1.0)),
            open_share=float(rng.uniform(0.2, 0.8)),
            railing_share=float(rng.uniform(0.2, 0.8)),
        )


def classify_borders(
    walls: list[Wall], regions: list[Region], storey: int, style: BorderStyle, rng: np.random.Generator
) -> None:
    """Set thickness and railing of all borders of a storey."""
    for wall in walls:
        kinds = {"outside" if side == OUTSIDE else regions[side].kind for side in wall.sides}
        wall.thickness = style.partition if rng.random() < style.partition_share else style.inner
        if "outside" in kinds:
            wall.thickness = style.outer
        elif kinds <= {"void", "flight"}:
            wall.thickness = 0.0
        elif "flight" in kinds and kinds & {"landing", "hall", "gallery"}:
            wall.railing = storey > 0
            wall.thickness = 0.0 if storey == 0 else 0.05
        elif "void" in kinds and (
            "gallery" in kinds or (kinds & {"corridor", "landing"} and rng.random() < style.railing_share)
        ):
            wall.railing, wall.thickness = True, 0.05
        elif len(kinds | {"corridor", "hall", "gallery", "landing"}) == 4 and rng.random() < style.open_share:
            wall.thickness = 0.0


def build_railings(
    assembly: Assembly, walls: list[Wall], gaps: list[Rectangle], floor_z: float, style: RailingStyle
) -> None:
    """Railings on the borders that have one, except along the gaps (low x, low y, high x, high y, maybe flat)."""
    for wall in walls:
        if not wall.railing:
            continue
        free = [(wall.low, wall.high)]
        for gap in gaps:
            across, along = (
                ((gap[1], gap[3]), (gap[0], gap[2])) if wall.axis == 0 else ((gap[0], gap[2]), (gap[1], gap[3]))
            )
            if across[0] - 0.05 <= wall.at <= across[1] + 0.05 and along[1] - along[0] > 0.05:
                free = [
                    piece
                    for low, high in free
                    for piece in ((low, min(high, along[0])), (max(low, along[1]), high))
                    if piece[1] - piece[0] > 0.05
                ]
        for low, high in free:
            add_railing(assembly, wall.point(low, 0.0, floor_z), wall.point(high, 0.0, floor_z), style)
