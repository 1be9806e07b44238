"""One procedural room: floor, walls with openings, mostly a ceiling, and furniture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.data.buildings.circulation import keep_clear
from sparse_convonet.data.buildings.fittings import Galleries, add_columns, add_curtains, add_room_fittings
from sparse_convonet.data.buildings.floorplan import OUTSIDE, Region, Wall, build_slab, build_walls, find_walls
from sparse_convonet.data.buildings.furnishing import Furnisher, Stock
from sparse_convonet.data.buildings.openings import OpeningStyle, add_windows, fit_openings
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

_SHIFT_M = 2.0  # scenes stand up to this far from the origin, so that nothing is tied to a voxel grid


@dataclass(frozen=True)
class RoomSettings:
    """Ranges (low, high) in metres that rooms are drawn from, and shares in [0, 1]."""

    side_m: tuple[float, float] = (2.5, 7.0)
    height_m: tuple[float, float] = (2.3, 3.6)
    wall_m: tuple[float, float] = (0.03, 0.25)
    slab_m: tuple[float, float] = (0.05, 0.30)
    ceiling_share: float = 0.8
    l_shape_share: float = 0.25
    density: tuple[float, float] = (0.03, 0.35)  # share of the floor under furniture, at most
    any_yaw: bool = True

    def __post_init__(self) -> None:
        for name in ("side_m", "height_m", "wall_m", "slab_m"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name}: expected 0 < low <= high metres, found ({low}, {high}); give a valid range")


def make_room(seed: int, library: FurnitureLibrary, settings: RoomSettings = RoomSettings()) -> Scene:
    """A furnished room, a function of its arguments alone; world metres, z up, the floor near z = 0."""
    rng = np.random.default_rng(seed)
    assembly = Assembly()
    region = _draw_region(rng, settings)
    height, slab = float(rng.uniform(*settings.height_m)), float(rng.uniform(*settings.slab_m))
    ceiling = rng.random() < settings.ceiling_share
    walls = find_walls([region])
    thickness = float(rng.uniform(*settings.wall_m))
    mixed = rng.random() < 0.2
    for wall in walls:
        wall.thickness = float(rng.uniform(*settings.wall_m)) if mixed else thickness
    place = Place("room", np.array(region.rectangles), 0.0, height)
    style = OpeningStyle.draw(rng, height)
    add_windows(walls, style, rng, entrance=True)
    top = height + slab if ceiling else height
    build_walls(assembly, walls, 0.0, -slab, top)
    leaves = fit_openings(assembly, walls, [region], 0.0, style, rng)
    build_slab(assembly, [region], (), 0.0, slab)
    if ceiling:
        build_slab(assembly, [region], (), top, slab)
    assembly.places.append(place)
    furnish_place(assembly, Stock.of(library), place, walls, 0, leaves, settings.density, ceiling, rng)
    yaw = float(rng.uniform(0, 2 * np.pi)) if settings.any_yaw else 0.0
    return assembly.finish(yaw, rng.uniform(-_SHIFT_M, _SHIFT_M, 3))


def _draw_region(rng: np.random.Generator, settings: RoomSettings) -> Region:
    """A rectangle about the origin, or one with a corner cut out."""
    width, depth = rng.uniform(*settings.side_m, size=2)
    x, y = width / 2, depth / 2
    if rng.random() > settings.l_shape_share or min(width, depth) < 3.0:
        return Region("room", ((-x, -y, x, y),))
    cut_x, cut_y = rng.uniform(0.25, 0.6) * width, rng.uniform(0.25, 0.6) * depth
    left, low = rng.random(2) < 0.5
    inner = -x + cut_x if left else x - cut_x
    full = (inner, -y, x, y) if left else (-x, -y, inner, y)
    part = (-x, -y + cut_y, inner, y) if left and low else (-x, -y, inner, y - cut_y)
    if not left:
        part = (inner, -y + cut_y, x, y) if low else (inner, -y, x, y - cut_y)
    return Region("room", (full, part))


def furnish_place(
    assembly: Assembly, stock: Stock, place: Place, walls: list[Wall], region: int, obstacles: list[np.ndarray],
    density: tuple[float, float], ceiling: bool, rng: np.random.Generator, above: Galleries = Galleries(),
) -> None:  # fmt: skip
    """Columns, beams, curtains and furniture of the place that is region number `region` of its storey.

    obstacles: footprints (5,) that stay free, besides the ways through the place.  above: galleries over a part of it.
    """
    bordering = [(wall, 1 if wall.sides[1] == region else -1) for wall in walls if region in wall.sides]
    obstacles = [*obstacles, *keep_clear(place, walls, region, rng)]
    fitted, clear_height = add_room_fittings(assembly, place, bordering, obstacles, ceiling, rng)
    obstacles += fitted
    obstacles += add_columns(assembly, place, obstacles, above, rng)
    curtains = rng.random() < 0.35
    for wall, side in bordering:
        for opening in wall.openings if wall.solid and OUTSIDE in wall.sides and curtains else []:
            if opening.kind == "window" and rng.random() < 0.7:
                obstacles.append(add_curtains(assembly, wall, side, opening, place, rng))
    # Under beams and ducts nothing hangs from the ceiling, and nothing reaches up to them.
    ceiling = ceiling and clear_height == place.height
    furnisher = Furnisher(assembly, stock, replace(place, height=clear_height), bordering, obstacles, ceiling, rng)
    if place.area_m2 > 20 and rng.random() < 0.2:
        furnisher.shelve()
    joinery_share = float(rng.choice([0.1, 0.5])) if stock.floor else 1.0
    furnisher.fill(float(rng.uniform(*density)), joinery_share)
