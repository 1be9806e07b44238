"""What encloses a large scene: outlines, walls with gates and rows of windows, roofs, and the scene's pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import (
    OUTSIDE,
    Opening,
    Rectangle,
    Region,
    Wall,
    build_slab,
    build_walls,
    find_walls,
)
from sparse_convonet.data.buildings.roofs import add_pitched_roof
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

WALL_M = (0.1, 0.4)
SLAB_M = (0.15, 0.4)
_SHIFT_M = 3.0
_MOST_WINDOWS = 12  # in one wall
_MARGIN_M = 0.2  # between openings, and from an opening to a corner or to the top of the wall
_AIR_M = (3.0, 25.0)  # a scanner that looks from above flies so high
_AIR_DEPTH_M = 3.0


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between low and high whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def centred(width: float, depth: float) -> Rectangle:
    """The rectangle of that size about the origin."""
    return -width / 2, -depth / 2, width / 2, depth / 2


def grown(rectangle: Rectangle, margin: float) -> Rectangle:
    """The rectangle, `margin` metres larger on every side."""
    x0, y0, x1, y1 = rectangle
    return x0 - margin, y0 - margin, x1 + margin, y1 + margin


def posed(assembly: Assembly, rng: np.random.Generator) -> Scene:
    """The finished scene, turned by any angle and shifted by up to 3 m, its floor by up to 0.5 m."""
    shift = rng.uniform(-_SHIFT_M, _SHIFT_M, 3) * (1.0, 1.0, 1 / 6)
    return assembly.finish(float(rng.uniform(0, 2 * np.pi)), shift)


def add_air(assembly: Assembly, rectangle: Rectangle, rng: np.random.Generator) -> None:
    """A place 3 to 25 m above the ground, on a storey of its own, for scanners that look from above."""
    storey = 1 + max((place.storey for place in assembly.places), default=0)
    height = log_uniform(rng, *_AIR_M)
    assembly.places.append(Place("air", np.array([rectangle]), height, _AIR_DEPTH_M, storey))


@dataclass(frozen=True)
class Shell:
    """The walls of a storey; wall thickness, slab thickness and clear height in metres; floor at z = 0."""

    regions: list[Region]
    walls: list[Wall]
    thickness: float
    slab: float
    height: float

    def bordering(self, region: int) -> list[tuple[Wall, int]]:
        """The walls round a region, each with +1 where the region lies above the wall's line, else -1."""
        return [(wall, 1 if wall.sides[1] == region else -1) for wall in self.walls if region in wall.sides]


def plan_shell(regions: list[Region], height: float, rng: np.random.Generator) -> Shell:
    """Walls of one thickness round and between all regions, still without openings and not yet built."""
    walls = find_walls(regions)
    thickness, slab = float(rng.uniform(*WALL_M)), float(rng.uniform(*SLAB_M))
    for wall in walls:
        wall.thickness = thickness
    return Shell(regions, walls, thickness, slab, height)


def pierce(walls: list[Wall], height: float, rng: np.random.Generator) -> None:
    """Doors, gates and rows of windows in the outer ones of the walls, of clear height `height`."""
    gate_share, window_share = float(rng.uniform(0.1, 0.7)), float(rng.choice([0.0, 0.5, 1.0]))
    high_windows = height > 3.5 and rng.random() < 0.5
    sill = float(rng.uniform(0.55, 0.75) * height if high_windows else rng.uniform(0.3, 1.2))
    head = float(rng.uniform(sill + 0.5, max(sill + 0.6, min(height - _MARGIN_M, sill + 4.0))))
    head = min(head, height - 0.1)
    width, gap = float(rng.uniform(0.6, 4.0)), float(rng.uniform(0.5, 3.0))
    for wall in walls:
        if OUTSIDE not in wall.sides:
            continue
        if rng.random() < gate_share and wall.length > 2.0:
            wide = float(rng.uniform(0.85, min(6.0, max(0.9, wall.length / 3))))
            low = float(rng.uniform(wall.low + 0.4, wall.high - 0.4 - wide))
            top = float(rng.uniform(2.0, max(2.05, min(height - _MARGIN_M, 1.0 + wide, 5.0))))
            wall.openings.append(Opening(low, low + wide, 0.0, top, "passage"))
        if rng.random() < window_share:
            add_window_row(wall, width, gap, sill, head)


def add_window_row(wall: Wall, width: float, gap: float, sill: float, head: float) -> None:
    """Up to twelve equal windows, `gap` metres or more apart, wherever no other opening is in the way."""
    count = min(int((wall.length - gap) / (width + gap)), _MOST_WINDOWS)
    for number in range(count):
        low = wall.low + (number + 0.5) * wall.length / count - width / 2
        if wall.has_space(low, low + width, _MARGIN_M):
            wall.openings.append(Opening(low, low + width, sill, head, "window"))


def build_shell(assembly: Assembly, shell: Shell, roof: str, rng: np.random.Generator) -> None:
    """The floor at z = 0, the walls, and a roof: "flat", "pitched" (over the first rectangle) or "open"."""
    top = shell.height + (shell.slab if roof == "flat" else 0.0)
    build_slab(assembly, shell.regions, (), 0.0, shell.slab)
    build_walls(assembly, shell.walls, 0.0, -shell.slab, top)
    if roof == "flat":
        build_slab(assembly, shell.regions, (), top, shell.slab)
    elif roof == "pitched":
        outline = shell.regions[0].rectangles[0]
        add_pitched_roof(assembly, outline, shell.height, shell.thickness, rng, pitch_deg=(6.0, 30.0))
