"""Halls of 6 to 60 m and corridors up to 60 m long, many of them empty."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.buildings.floorplan import OUTSIDE, Opening, Rectangle, Region
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.buildings.furnishing import Furnisher, Stock
from sparse_convonet.data.large.hall_fittings import FITTINGS
from sparse_convonet.data.large.hall_structure import add_beams
from sparse_convonet.data.large.interiors import Interior
from sparse_convonet.data.large.shells import (
    Shell,
    add_air,
    build_shell,
    centred,
    grown,
    log_uniform,
    pierce,
    plan_shell,
    posed,
)
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

SIDE_M, HEIGHT_M = (6.0, 60.0), (2.4, 12.0)
# Of some halls: otherwise one in seventeen is so wide and high, and of these the side of the ceiling is hardest to tell.
WIDE_SIDE_M, WIDE_HEIGHT_M = (28.0, 60.0), (5.0, 12.0)
_WIDE_SHARE = 0.2
_EMPTY_SHARE = 0.42
_FURNITURE_M2 = 20.0  # at most under furniture, however large the hall is
CORRIDOR_WIDTH_M, CORRIDOR_LENGTH_M, CORRIDOR_HEIGHT_M = (1.2, 4.0), (8.0, 60.0), (2.2, 4.0)


def make_hall(rng: np.random.Generator, stock: Stock, empty_share: float = _EMPTY_SHARE) -> Scene:
    """One room of 6 to 60 m by 6 to 60 m, 2.4 to 12 m high, some of 28 m by 28 m at least; a flat, a pitched or no roof.

    empty_share: the probability that nothing stands in it.
    """
    assembly = Assembly()
    sides, heights = (WIDE_SIDE_M, WIDE_HEIGHT_M) if rng.random() < _WIDE_SHARE else (SIDE_M, HEIGHT_M)
    width, depth, height = (log_uniform(rng, *limits) for limits in (sides, sides, heights))
    outline = centred(width, depth)
    shell = plan_shell([Region("hall", (outline,))], height, rng)
    pierce(shell.walls, height, rng)
    roof = str(rng.choice(["flat", "pitched", "open"], p=[0.65, 0.2, 0.15]))
    build_shell(assembly, shell, roof, rng)
    assembly.places.append(Place("hall", np.array([outline]), 0.0, height))
    if rng.random() >= empty_share:
        _fit_out(assembly, shell, outline, roof, stock, rng)
    if roof == "open" and rng.random() < 0.5:
        add_air(assembly, outline, rng)
    return posed(assembly, rng)


def _fit_out(
    assembly: Assembly, shell: Shell, outline: Rectangle, roof: str, stock: Stock, rng: np.random.Generator
) -> None:
    """One fitting or several, then furniture between them."""
    interior = Interior(assembly, grown(outline, -shell.thickness / 2), shell.height, Footprints([]), roof != "open")
    sure = int(rng.integers(len(FITTINGS)))
    beams = False
    for number, (share, add) in enumerate(FITTINGS):
        if rng.random() < share or number == sure:
            add(interior, rng)
            beams = beams or add is add_beams
    if rng.random() < 0.5:
        density = float(rng.uniform(0.01, 0.15))
        furnish(assembly, shell, 0, interior.taken, density, roof == "flat" and not beams, stock, rng)


def furnish(
    assembly: Assembly, shell: Shell, region: int, taken: Footprints, density: float, ceiling: bool, stock: Stock,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Furniture in a region up to `density` of its floor, at most on 20 square metres, where nothing is taken."""
    place = Place("hall", np.array(shell.regions[region].rectangles), 0.0, shell.height)
    furnisher = Furnisher(assembly, stock, place, shell.bordering(region), taken.rectangles(), ceiling, rng)
    furnisher.fill(min(density, _FURNITURE_M2 / place.area_m2), 0.3)


def make_corridor(rng: np.random.Generator, stock: Stock) -> Scene:
    """A straight, L- or T-shaped corridor with niches and passages to shallow side rooms."""
    assembly = Assembly()
    width, length, height = (
        log_uniform(rng, *limits) for limits in (CORRIDOR_WIDTH_M, CORRIDOR_LENGTH_M, CORRIDOR_HEIGHT_M)
    )
    shape = str(rng.choice(["straight", "l", "t"], p=[0.5, 0.25, 0.25]))
    rectangles: list[Rectangle] = [(0.0, 0.0, length, width)]
    branch = 0.0
    if shape != "straight":
        branch = float(rng.uniform(0.0 if shape == "l" else 0.2, 0.0 if shape == "l" else 0.7)) * length
        rectangles.append((branch, width, branch + width, width + log_uniform(rng, 3.0, 40.0)))
    regions = [Region("corridor", tuple(rectangles))]
    free_sides = [-1] if shape != "straight" else [-1, 1]
    for side in free_sides:
        regions += _side_rooms(length, width, side, rng)
    shell = plan_shell(regions, height, rng)
    head = float(rng.uniform(1.95, height - 0.1))
    for wall in shell.walls:
        kinds = {regions[side].kind for side in wall.sides if side != OUTSIDE}
        if OUTSIDE not in wall.sides and "niche" in kinds:
            wall.thickness = 0.0
        elif kinds == {"corridor", "room"} and wall.length > 1.3 and rng.random() < 0.8:
            wide = float(rng.uniform(0.8, min(2.0, wall.length - 0.4)))
            low = float(rng.uniform(wall.low + 0.2, wall.high - 0.2 - wide))
            wall.openings.append(Opening(low, low + wide, 0.0, head, "door"))
    if rng.random() < 0.5:
        pierce(shell.walls, height, rng)
    build_shell(assembly, shell, "flat" if rng.random() < 0.9 else "open", rng)
    for region in regions:
        assembly.places.append(Place(region.kind, np.array(region.rectangles), 0.0, height))
    if rng.random() < 0.4:
        furnish(assembly, shell, 0, Footprints([]), float(rng.uniform(0.01, 0.06)), False, stock, rng)
    return posed(assembly, rng)


def _side_rooms(length: float, width: float, side: int, rng: np.random.Generator) -> list[Region]:
    """Niches and rooms up to 4 m deep along one side (-1 or 1) of a corridor from x = 0 to `length`."""
    regions: list[Region] = []
    along, share = float(rng.uniform(0.0, 4.0)), float(rng.choice([0.0, rng.uniform(0.2, 1.0)], p=[0.3, 0.7]))
    while along < length - 2.0 and len(regions) < 10:
        room = bool(rng.random() < 0.6)
        extent = min(float(rng.uniform(2.0, 6.0) if room else rng.uniform(0.8, 2.0)), length - along)
        deep = float(rng.uniform(1.5, 4.0) if room else rng.uniform(0.3, 1.0))
        if rng.random() < share:
            y0, y1 = (-deep, 0.0) if side < 0 else (width, width + deep)
            regions.append(Region("room" if room else "niche", ((along, y0, along + extent, y1),)))
        along += extent + float(rng.choice([0.0, rng.uniform(0.5, 8.0)]))
    return regions
