"""Scenes without anything overhead: level ground alone, and storeys whose rooms have no ceilings."""

from __future__ import annotations

import numpy as np

from sparse_convonet.data.buildings.floorplan import OUTSIDE, Region, find_walls
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.buildings.openings import OpeningStyle, add_doors, add_windows
from sparse_convonet.data.buildings.splitting import SplitStyle, outline, split_rooms
from sparse_convonet.data.large.hall_fittings import add_goods, add_partitions, add_rails
from sparse_convonet.data.large.interiors import Interior
from sparse_convonet.data.large.large_halls import furnish
from sparse_convonet.data.large.shells import SLAB_M, WALL_M, Shell, add_air, build_shell, centred, log_uniform, posed
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

GROUND_M = (4.0, 40.0)
_BARE_SHARE = 0.35
_THING_HEIGHT_M = 4.0  # poles on open ground are no higher
_FURNISHED_ROOMS = 4
_PLAN_ATTEMPTS = 20


def make_open_ground(rng: np.random.Generator, stock: Stock) -> Scene:
    """A lone level slab of 4 to 40 m: bare, or with slopes beside it, kerbs, steps, low walls, boxes and poles."""
    assembly = Assembly()
    width, depth = log_uniform(rng, *GROUND_M), log_uniform(rng, *GROUND_M)
    thickness = float(rng.uniform(*SLAB_M))
    x0, y0, x1, y1 = ground = centred(width, depth)
    assembly.box((x0, y0, -thickness), (x1, y1, 0.0))
    assembly.places.append(Place("ground", np.array([ground]), 0.0, _THING_HEIGHT_M))
    if rng.random() >= _BARE_SHARE:
        if rng.random() < 0.4:
            _add_slope(assembly, ground, thickness, rng)
        interior = Interior(assembly, ground, _THING_HEIGHT_M, Footprints([]), roof=False)
        if rng.random() < 0.4:
            _add_kerb(assembly, interior, rng)
        for add in (add_partitions, add_goods, add_rails):
            if rng.random() < 0.4:
                add(interior, rng)
    if rng.random() < 0.5:
        add_air(assembly, ground, rng)
    return posed(assembly, rng)


def _add_slope(
    assembly: Assembly, ground: tuple[float, float, float, float], thickness: float, rng: np.random.Generator
) -> None:
    """A strip that rises or falls gently from one edge of the slab."""
    x0, y0, x1, y1 = ground
    angle, length = np.deg2rad(rng.uniform(1.0, 9.0) * rng.choice([-1.0, 1.0])), log_uniform(rng, 3.0, 20.0)
    # The upper sides of slab and strip meet in the edge, where the two boxes overlap.
    down = thickness / 2 * np.array([np.sin(angle), 0.0, -np.cos(angle)])
    start = np.array([x1, (y0 + y1) / 2, 0.0]) + down
    run = np.array([np.cos(angle), 0.0, np.sin(angle)])
    assembly.beam(start - 0.02 * run, start + length * run, y1 - y0, thickness)


def _add_kerb(assembly: Assembly, interior: Interior, rng: np.random.Generator) -> None:
    """A raised strip along one side, of one step or several, sometimes with a low wall at its back."""
    (x0, y0), (x1, y1) = interior.low, interior.low + interior.size
    rise, depth = float(rng.uniform(0.06, 0.2)), float(rng.uniform(0.15, 0.3) * (y1 - y0))
    steps, tread = int(rng.choice([1, 1, 2, 4, 7])), float(rng.uniform(0.28, 0.5))
    steps = min(steps, max(1, int(0.4 * (y1 - y0) / tread)))
    for step in range(steps):
        front = y1 - depth - (steps - 1 - step) * tread
        assembly.box((x0, front, -0.05), (x1, y1, rise * (step + 1)))
    far = y1 - depth - (steps - 1) * tread
    interior.taken.add(np.array([(x0 + x1) / 2, (far + y1) / 2, (x1 - x0) / 2, (y1 - far) / 2, 0.0]))
    if rng.random() < 0.4:
        wall = float(rng.uniform(*WALL_M))
        assembly.box((x0, y1 - wall, -0.05), (x1, y1, rise * steps + float(rng.uniform(0.3, 1.5))))


def make_roofless_storey(rng: np.random.Generator, stock: Stock) -> Scene:
    """Several rooms with walls of 2.2 to 4 m and doors, but no ceilings, 8 to 40 m across."""
    for _ in range(_PLAN_ATTEMPTS):
        width, depth = log_uniform(rng, 8.0, 40.0), log_uniform(rng, 8.0, 40.0)
        shape = str(rng.choice(["rectangle", "l", "u"])) if min(width, depth) > 12 else "rectangle"
        style = SplitStyle(float(rng.uniform(5.0, 12.0)), float(rng.uniform(1.2, 3.0)), 0.5, 0.2)
        regions = split_rooms(outline(shape, width, depth, rng), style, rng)
        height = float(rng.uniform(2.2, 4.0))
        openings = OpeningStyle.draw(rng, height)
        shell = Shell(regions, find_walls(regions), float(rng.uniform(*WALL_M)), float(rng.uniform(*SLAB_M)), height)
        inner = float(rng.uniform(0.08, shell.thickness))
        for wall in shell.walls:
            wall.thickness = shell.thickness if OUTSIDE in wall.sides else inner
        if add_doors(shell.walls, regions, openings, rng):
            break
    if rng.random() < 0.6:
        add_windows(shell.walls, openings, rng, entrance=True)
    assembly = Assembly()
    build_shell(assembly, shell, "open", rng)
    _fill_rooms(assembly, shell, regions, stock, rng)
    if rng.random() < 0.5:
        add_air(assembly, centred(width, depth), rng)
    return posed(assembly, rng)


def _fill_rooms(
    assembly: Assembly, shell: Shell, regions: list[Region], stock: Stock, rng: np.random.Generator
) -> None:
    """Places everywhere, furniture in four rooms at most."""
    furnished = rng.permutation(len(regions))[: int(rng.integers(0, _FURNISHED_ROOMS + 1))]
    for index, region in enumerate(regions):
        assembly.places.append(Place(region.kind, np.array(region.rectangles), 0.0, shell.height))
        if index in furnished:
            furnish(assembly, shell, index, Footprints([]), float(rng.uniform(0.03, 0.2)), False, stock, rng)
