"""Tall inside spaces with columns and galleries: churches and atria."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.buildings.borders import build_railings
from sparse_convonet.data.buildings.floorplan import (
    OUTSIDE,
    Rectangle,
    Region,
    Wall,
    build_slab,
    build_walls,
    find_walls,
)
from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.buildings.roofs import add_pitched_roof
from sparse_convonet.data.buildings.splitting import connected_parts, subtract
from sparse_convonet.data.large.hall_structure import draw_railing
from sparse_convonet.data.large.interiors import add_column
from sparse_convonet.data.large.shells import SLAB_M, WALL_M, add_window_row, centred, log_uniform, pierce, posed
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

_MOST_PEWS = 24


def make_church(rng: np.random.Generator, stock: Stock) -> Scene:
    """A nave between aisles: arcades of columns, high windows, a pitched roof, a raised choir, mostly pews."""
    assembly = Assembly()
    nave, aisle, length = float(rng.uniform(5.0, 13.0)), float(rng.uniform(2.0, 6.0)), log_uniform(rng, 14.0, 58.0)
    height = float(rng.uniform(8.0, 16.0))
    low = float(rng.uniform(0.4, 0.65)) * height  # of the aisles
    thickness, slab = float(rng.uniform(*WALL_M)), float(rng.uniform(*SLAB_M))
    outline = centred(length, nave + 2 * aisle)
    middle: Rectangle = (-length / 2, -nave / 2, length / 2, nave / 2)
    regions = [Region("nave", (outline,))]
    walls = find_walls(regions)
    for wall in walls:
        wall.thickness = thickness
        width = float(rng.uniform(0.6, 1.8))
        if wall.axis == 0:
            add_window_row(wall, width, float(rng.uniform(1.5, 4.0)), 0.3 * low, 0.85 * low)
    pierce(walls, low, rng)
    build_slab(assembly, regions, (), 0.0, slab)
    build_walls(assembly, walls, 0.0, -slab, low + slab)
    for part in subtract(outline, [middle]):
        assembly.box((*part[:2], low), (*part[2:], low + slab))
    upper = find_walls([Region("nave", (middle,))])
    for wall in upper:
        wall.thickness = thickness
        if wall.axis == 0:
            add_window_row(wall, float(rng.uniform(0.6, 1.5)), 2.5, 0.2 * (height - low) + slab, 0.8 * (height - low))
    # Above the arcades and above both ends of the nave.
    build_walls(assembly, upper, low, low, height)
    add_pitched_roof(assembly, middle, height, thickness, rng)
    if rng.random() < 0.5:  # a flat ceiling below the roof
        assembly.box((*middle[:2], height - 0.2), (*middle[2:], height))
    _add_arcades(assembly, length, nave, low, thickness, rng)
    _furnish_church(assembly, length, nave, rng)
    assembly.places.append(Place("nave", np.array([outline]), 0.0, low))
    return posed(assembly, rng)


def _add_arcades(
    assembly: Assembly, length: float, nave: float, top: float, thickness: float, rng: np.random.Generator
) -> None:
    """Two rows of columns with bases and capitals."""
    bays, half = max(2, int(length / rng.uniform(3.0, 6.5))), float(rng.uniform(0.2, 0.6))
    round_ones, lintel = bool(rng.random() < 0.7), float(rng.uniform(0.3, 1.2))
    for side in (-nave / 2, nave / 2):
        for bay in range(1, bays):
            planar = np.array([-length / 2 + bay * length / bays, side])
            add_column(assembly, planar, half, (0.0, top), round_ones)
            add_column(assembly, planar, half + 0.1, (0.0, 0.4), False)
            add_column(assembly, planar, half + 0.08, (top - lintel - 0.3, top - lintel), False)
        reach = np.array([length / 2, thickness / 2])
        assembly.box((-reach[0], side - reach[1], top - lintel), (reach[0], side + reach[1], top))


def _furnish_church(assembly: Assembly, length: float, nave: float, rng: np.random.Generator) -> None:
    """A choir of a few steps with an altar at the high end of x, and two blocks of pews."""
    steps, choir = int(rng.integers(1, 5)), float(rng.uniform(0.12, 0.3)) * length
    for step in range(steps):
        front = length / 2 - choir - (steps - 1 - step) * 0.35
        assembly.box((front, -nave / 2, -0.05), (length / 2, nave / 2, 0.15 * (step + 1)))
    altar = length / 2 - choir * float(rng.uniform(0.3, 0.6))
    assembly.box((altar, -1.0, 0.0), (altar + 0.9, 1.0, 0.15 * steps + 1.0))
    if rng.random() < 0.3:
        return
    pitch, seat, back = float(rng.uniform(0.85, 1.3)), float(rng.uniform(0.04, 0.08)), float(rng.uniform(0.03, 0.06))
    first = -length / 2 + 3.0
    rows = min(_MOST_PEWS, int((length - choir - 6.0) / pitch))
    aisle = float(rng.uniform(0.6, 1.0))
    for row in range(rows):
        x = first + row * pitch
        for y0, y1 in ((-nave / 2 + 0.9, -aisle), (aisle, nave / 2 - 0.9)):
            if y1 - y0 > 0.8:
                assembly.box((x, y0, 0.45 - seat), (x + 0.4, y1, 0.45))
                assembly.box((x - back, y0, 0.0), (x, y1, 0.95))
                for end in (y0, y1 - 0.05):
                    assembly.box((x - back, end, 0.0), (x + 0.45, end + 0.05, 0.9))


def make_atrium(rng: np.random.Generator, stock: Stock) -> Scene:
    """A void through two to four storeys with galleries and railings round it, under a flat, pitched or no roof."""
    assembly = Assembly()
    storeys, storey = int(rng.integers(2, 5)), float(rng.uniform(3.0, 5.0))
    width, depth = log_uniform(rng, 12.0, 50.0), log_uniform(rng, 12.0, 50.0)
    thickness, slab = float(rng.uniform(*WALL_M)), float(rng.uniform(*SLAB_M))
    outline = centred(width, depth)
    x0, y0, x1, y1 = outline
    deep = np.where(rng.random(4) < 0.75, rng.uniform(1.8, 0.3 * min(width, depth), 4), 0.0)
    deep[int(rng.integers(4))] = float(rng.uniform(1.8, 3.5))
    void: Rectangle = (x0 + float(deep[0]), y0 + float(deep[1]), x1 - float(deep[2]), y1 - float(deep[3]))
    parts = connected_parts(subtract(outline, [void]))
    railing = draw_railing(rng, width + depth)
    pitched = rng.random() < 0.25
    roof = bool(pitched or rng.random() < 0.75)
    for number in range(storeys):
        floor, last = number * storey, number + 1 == storeys
        upper = [*(Region("gallery", part) for part in parts), Region("void", (void,))]
        regions = [Region("hall", (outline,))] if number == 0 else upper
        walls = find_walls(regions)
        _raise_storey(walls, regions, thickness)
        pierce([wall for wall in walls if wall.solid], storey - slab, rng)
        build_slab(assembly, regions, ("void",) if number else (), floor, slab)
        top = floor + storey + (0.0 if pitched else slab) if last else floor + storey - slab
        build_walls(assembly, walls, floor, floor - slab, top)
        build_railings(assembly, walls, [], floor, railing)
        for region in regions:
            if region.kind != "void":
                clear = storeys * storey if number == 0 else storey - slab
                assembly.places.append(Place(region.kind, np.array(region.rectangles), floor, clear, number))
    if pitched:
        add_pitched_roof(assembly, outline, storeys * storey, thickness, rng, pitch_deg=(6.0, 25.0))
    elif roof:
        _add_flat_roof(assembly, outline, void, storeys * storey, slab, rng)
    _add_posts(assembly, void, deep, (storeys - 1) * storey - slab, rng)
    return posed(assembly, rng)


def _raise_storey(walls: list[Wall], regions: list[Region], thickness: float) -> None:
    """Walls outside and railings between galleries and the void."""
    for wall in walls:
        wall.thickness = thickness
        if OUTSIDE not in wall.sides:
            wall.railing, wall.thickness = True, 0.05


def _add_flat_roof(
    assembly: Assembly, outline: Rectangle, void: Rectangle, z: float, slab: float, rng: np.random.Generator
) -> None:
    """A slab over everything, or with a skylight over the void, with beams across it."""
    if rng.random() < 0.6:
        assembly.box((*outline[:2], z), (*outline[2:], z + slab))
        return
    for part in subtract(outline, [void]):
        assembly.box((*part[:2], z), (*part[2:], z + slab))
    for x in np.linspace(void[0], void[2], int(rng.integers(3, 9)))[1:-1]:
        assembly.box((x - 0.08, void[1], z), (x + 0.08, void[3], z + slab))


def _add_posts(assembly: Assembly, void: Rectangle, deep: np.ndarray, top: float, rng: np.random.Generator) -> None:
    """Columns under the edges of the galleries, from the floor of the hall to the uppermost gallery."""
    if rng.random() < 0.3:
        return
    x0, y0, x1, y1 = void
    pitch, half, round_ones = float(rng.uniform(3.0, 8.0)), float(rng.uniform(0.1, 0.35)), bool(rng.random() < 0.5)
    inset = half + 0.1
    sides = (
        ((x0 - inset, y0), (x0 - inset, y1)), ((x0, y0 - inset), (x1, y0 - inset)),
        ((x1 + inset, y0), (x1 + inset, y1)), ((x0, y1 + inset), (x1, y1 + inset)),
    )  # fmt: skip
    for (start, end), gallery in zip(sides, deep, strict=True):
        count = int(np.linalg.norm(np.subtract(end, start)) / pitch)
        for share in (np.arange(count) + 0.5) / max(count, 1) if gallery > 0 else []:
            add_column(assembly, np.add(start, share * np.subtract(end, start)), half, (0.0, top), round_ones)
