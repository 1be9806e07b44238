"""Outside: streets and courtyards between closed buildings, and a wall that stands alone beside a strip of ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle, Region, build_walls, find_walls
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.buildings.splitting import subtract
from sparse_convonet.data.large.facades import FacadeStyle, add_mass
from sparse_convonet.data.large.hall_fittings import add_goods, add_rails
from sparse_convonet.data.large.interiors import Interior
from sparse_convonet.data.large.shells import WALL_M, add_air, add_window_row, centred, grown, log_uniform, posed
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

GROUND_THICKNESS_M = (0.3, 1.0)
_STREET_HEIGHT_M = 5.0
_DEPTH_M = (6.0, 14.0)  # of buildings


def make_outside(rng: np.random.Generator, stock: Stock) -> Scene:
    """A street, a courtyard (L, U or O) or a lone building, seen from the ground and often from above."""
    assembly = Assembly()
    layout = str(rng.choice(["street", "l", "u", "o", "alone"], p=[0.25, 0.15, 0.2, 0.2, 0.2]))
    ground, masses = _street(rng) if layout == "street" else _courtyard(layout, rng)
    assembly.box((*ground[:2], -float(rng.uniform(*GROUND_THICKNESS_M))), (*ground[2:], 0.0))
    style, height = FacadeStyle.draw(rng), log_uniform(rng, 3.5, 20.0)
    for mass in masses:
        own = style if rng.random() < 0.5 else FacadeStyle.draw(rng)
        add_mass(assembly, mass, max(3.0, height * float(rng.uniform(0.8, 1.2))), own, rng)
    built = [rectangle for mass in masses for rectangle in mass]
    _furnish_ground(assembly, ground, built, rng)
    free = subtract(ground, [grown(rectangle, style.recess) for rectangle in built])
    kind = "street" if layout == "street" else "courtyard"
    assembly.places.append(Place(kind, np.array(free), 0.0, _STREET_HEIGHT_M))
    if rng.random() < 0.6:
        add_air(assembly, ground, rng)
    return posed(assembly, rng)


def _street(rng: np.random.Generator) -> tuple[Rectangle, list[tuple[Rectangle, ...]]]:
    """The ground, and buildings in one row or two along it, with gaps between some of them."""
    width, length, depth = log_uniform(rng, 4.0, 20.0), log_uniform(rng, 12.0, 60.0), float(rng.uniform(*_DEPTH_M))
    masses: list[tuple[Rectangle, ...]] = []
    rows = 2 if rng.random() < 0.7 else 1
    for side in range(rows):
        along = -length / 2
        while along < length / 2 - 3.0:
            end = min(along + float(rng.uniform(8.0, 25.0)), length / 2)
            y0, y1 = (-width / 2 - depth, -width / 2) if side == 0 else (width / 2, width / 2 + depth)
            masses.append(((along, y0, end, y1),))
            along = end + float(rng.choice([0.0, rng.uniform(1.5, 6.0)]))
    far = width / 2 + (depth if rows == 2 else 0.0)
    return grown((-length / 2, -width / 2 - depth, length / 2, far), float(rng.uniform(0.5, 2.0))), masses


def _courtyard(layout: str, rng: np.random.Generator) -> tuple[Rectangle, list[tuple[Rectangle, ...]]]:
    """The ground, and wings of one building round a court on two, three or four sides, or in the middle of it."""
    width, depth, wing = log_uniform(rng, 6.0, 35.0), log_uniform(rng, 6.0, 35.0), float(rng.uniform(*_DEPTH_M))
    x0, y0, x1, y1 = court = centred(width, depth)
    if layout == "alone":
        around = log_uniform(rng, 3.0, 20.0)
        return grown(court, around), [(court,)]
    wings: list[Rectangle] = [(x0 - wing, y0 - wing, x0, y1), (x0, y0 - wing, x1, y0)]
    if layout in ("u", "o"):
        wings.append((x1, y0 - wing, x1 + wing, y1))
    if layout == "o":
        wings.append((x0 - wing, y1, x1 + wing, y1 + wing))
    # One building throughout, or one for each wing, which touch.
    masses: list[tuple[Rectangle, ...]] = [tuple(wings)]
    if rng.random() >= 0.6:
        masses = [(each,) for each in wings]
    corners = list(zip(court, *wings, strict=True))
    everything = min(corners[0]), min(corners[1]), max(corners[2]), max(corners[3])
    return grown(everything, float(rng.uniform(0.5, 8.0))), masses


def _furnish_ground(assembly: Assembly, ground: Rectangle, built: list[Rectangle], rng: np.random.Generator) -> None:
    """Pavements along the buildings, boxes, poles and railings."""
    taken = [
        np.array([(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2 + 0.6, (y1 - y0) / 2 + 0.6, 0.0])
        for x0, y0, x1, y1 in built
    ]
    interior = Interior(assembly, ground, _STREET_HEIGHT_M, Footprints(taken), roof=False)
    if rng.random() < 0.4:
        kerb, reach = float(rng.uniform(0.06, 0.18)), float(rng.uniform(0.8, 2.5))
        for rectangle in built:
            x0, y0, x1, y1 = grown(rectangle, reach)
            low, high = np.maximum((x0, y0), ground[:2]), np.minimum((x1, y1), ground[2:])
            assembly.box((*low, -0.05), (*high, kerb))
    for add in (add_goods, add_rails):
        if rng.random() < 0.5:
            add(interior, rng)


def make_lone_wall(rng: np.random.Generator, stock: Stock) -> Scene:
    """A free-standing wall of 0.1 to 0.4 m, up to 40 m long, with ground on one side of it only."""
    assembly = Assembly()
    length, height, depth = log_uniform(rng, 2.0, 40.0), log_uniform(rng, 1.0, 8.0), log_uniform(rng, 1.5, 12.0)
    thickness, ground = float(rng.uniform(*WALL_M)), float(rng.uniform(*GROUND_THICKNESS_M))
    border = centred(length, depth)
    front = next(wall for wall in find_walls([Region("strip", (border,))]) if wall.axis == 0 and wall.at > 0)
    front = replace(front, thickness=thickness, at=depth / 2 + thickness / 2)
    if rng.random() < 0.4 and height > 2.0:
        sill = float(rng.uniform(0.0, 0.4 * height))
        wide, gap = log_uniform(rng, 0.5, 3.0), log_uniform(rng, 0.5, 4.0)
        add_window_row(front, wide, gap, sill, float(rng.uniform(sill + 0.4, height - 0.1)))
    build_walls(assembly, [front], 0.0, -ground, height)
    assembly.box((*border[:2], -ground), (*border[2:], 0.0))
    if rng.random() < 0.3:
        add_goods(Interior(assembly, border, height, Footprints([]), roof=False), rng)
    assembly.places.append(Place("ground", np.array([border]), 0.0, _STREET_HEIGHT_M))
    if rng.random() < 0.4:
        add_air(assembly, border, rng)
    return posed(assembly, rng)
