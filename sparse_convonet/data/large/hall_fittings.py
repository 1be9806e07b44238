"""What stands in a large hall: racks, goods and machines, stages, tiers and benches, partitions, rails and pipes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse_convonet.data.buildings.railings import add_railing
from sparse_convonet.data.large.hall_structure import add_beams, add_columns, add_gallery, draw_railing
from sparse_convonet.data.large.interiors import Interior
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.solids import yaw_matrix

_MOST_RACK_POSTS, _MOST_GOODS = 140, 60


def add_racks(interior: Interior, rng: np.random.Generator) -> None:
    """Rows of warehouse racks: posts, thin shelves, goods on some."""
    along = int(interior.size.argmax())
    depth, aisle = float(rng.uniform(0.6, 1.4)), float(rng.uniform(1.4, 3.5))
    length = float(interior.size[along] - 2 * rng.uniform(1.2, 3.0))
    bay, height = float(rng.uniform(1.8, 3.5)), float(rng.uniform(1.8, max(1.9, min(8.0, interior.height - 0.3))))
    bays = max(1, int(length / bay))
    rows = int((interior.size[1 - along] - aisle) / (depth + aisle))
    rows = min(rows, max(1, _MOST_RACK_POSTS // (2 * bays + 2)))
    levels = np.linspace(
        float(rng.uniform(0.08, 0.3)), height - 0.1, int(np.clip(height / rng.uniform(0.7, 2.0), 2, 6))
    )
    shelf, post, fill = float(rng.uniform(0.02, 0.12)), float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.0, 0.7))
    start, goods = interior.low[along] + (interior.size[along] - bays * bay) / 2, 0

    def box(a: tuple[float, float], b: tuple[float, float], z: tuple[float, float]) -> None:
        low, high = ((a[k], b[k]) if along == 0 else (b[k], a[k]) for k in (0, 1))
        interior.assembly.box([*low, z[0]], [*high, z[1]])

    for row in range(rows):
        front = interior.low[1 - along] + aisle + row * (depth + aisle)
        middle, half = np.array([start + bays * bay / 2, front + depth / 2]), np.array([bays * bay, depth]) / 2
        if not interior.claim(*((middle, half) if along == 0 else (middle[::-1], half[::-1]))):
            continue
        for z in levels:
            box((start, start + bays * bay), (front, front + depth), (z, z + shelf))
        for number in range(bays + 1):
            at = start + number * bay
            for side in (front, front + depth - post):
                box((at - post / 2, at + post / 2), (side, side + post), (0.0, height))
        for number in range(bays):
            level = float(rng.choice(levels)) + shelf
            if rng.random() < fill and goods < _MOST_GOODS:
                goods += 1
                size = rng.uniform(0.4, 0.85, 2) * (bay, depth)
                low = start + number * bay + (bay - size[0]) / 2
                tall = float(rng.uniform(0.2, 1.2))
                box((low, low + size[0]), (front + 0.05, front + 0.05 + size[1]), (level, level + tall))


def add_goods(interior: Interior, rng: np.random.Generator) -> None:
    """Boxes, barrels, pallets, plinths and machines of boxes and cylinders, wherever there is room."""
    aligned = rng.random() < 0.5
    for _ in range(int(rng.integers(2, 30))):
        size = rng.uniform(0.25, 2.5, 2) if rng.random() < 0.7 else np.full(2, rng.uniform(0.3, 1.2))
        height = float(min(log_height(rng), interior.height - 0.3))
        yaw = 0.0 if aligned else float(rng.uniform(0, np.pi))
        planar = interior.low + rng.random(2) * interior.size
        if interior.claim(planar, size / 2, yaw):
            _goods(interior.assembly, planar, size, height, yaw, rng)


def log_height(rng: np.random.Generator) -> float:
    """The height of a thing on the floor, 0.1 to 3 m."""
    return float(np.exp(rng.uniform(np.log(0.1), np.log(3.0))))


def _goods(
    assembly: Assembly, planar: np.ndarray, size: np.ndarray, height: float, yaw: float, rng: np.random.Generator
) -> None:
    turn = yaw_matrix(yaw)
    kind = str(rng.choice(["box", "barrel", "pallet", "machine"], p=[0.45, 0.2, 0.15, 0.2]))
    if kind == "barrel":
        assembly.rod([*planar, 0.0], [*planar, height], float(size.min()) / 2)
        return
    if kind == "pallet":
        deck = 0.03
        assembly.turned_box([*planar, 0.13], (*size, deck), turn)
        for share in (-0.45, 0.0, 0.45):
            foot = turn @ np.array([0.0, share * (size[1] - 0.1), 0.0]) + [*planar, 0.06]
            assembly.turned_box(foot, (size[0], 0.1, 0.12), turn)
        return
    assembly.turned_box([*planar, height / 2], (*size, height), turn)
    if kind == "machine":
        tall = float(rng.uniform(0.1, 0.6)) * height
        assembly.turned_box([*planar, height + tall / 2], (*(size * rng.uniform(0.3, 0.7, 2)), tall), turn)
        assembly.rod([*planar, height], [*planar, height + 2 * tall], 0.12 * float(size.min()))


def add_stage(interior: Interior, rng: np.random.Generator) -> None:
    """A platform along one end with steps before it."""
    (x0, y0), (x1, y1) = interior.low, interior.low + interior.size
    depth = float(rng.uniform(0.1, 0.35) * (x1 - x0))
    height, tread = float(rng.uniform(0.15, 1.1)), float(rng.uniform(0.25, 0.45))
    steps = max(1, round(height / 0.18))
    low = float(rng.uniform(y0, y0 + 0.6 * (y1 - y0)))
    high = y1 if rng.random() < 0.5 else min(y1, low + float(rng.uniform(1.0, 4.0)))
    if not interior.claim(
        np.array([x0 + depth / 2 + 0.01, (y0 + y1) / 2]), np.array([depth, y1 - y0]) / 2 - 0.005, gap=0
    ):
        return
    interior.assembly.box([x0, y0, 0.0], [x0 + depth, y1, height])
    for step in range(1, steps):
        front = x0 + depth + step * tread
        interior.assembly.box([x0 + depth, low, 0.0], [front, high, height * (steps - step) / steps])


def add_stand(interior: Interior, rng: np.random.Generator) -> None:
    """Tiers of a sports hall along one side, or rows of low benches."""
    (x0, y0), (x1, y1) = interior.low, interior.low + interior.size
    if rng.random() < 0.5:
        tiers, tread, rise = int(rng.integers(2, 8)), float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.2, 0.45))
        tiers = min(tiers, int(0.4 * (y1 - y0) / tread), int(0.5 * interior.height / rise))
        for tier in range(tiers):
            back = y1 - tier * tread
            interior.assembly.box([x0 + 0.5, back - tread, 0.0], [x1 - 0.5, back, rise * (tiers - tier)])
        if tiers > 0:
            centre = np.array([(x0 + x1) / 2, y1 - tiers * tread / 2])
            interior.taken.add(np.array([*centre, (x1 - x0) / 2, tiers * tread / 2, 0.0]))
        return
    long, deep = float(rng.uniform(1.5, min(5.0, 0.8 * (x1 - x0)))), float(rng.uniform(0.25, 0.45))
    pitch, height, board = float(rng.uniform(0.8, 1.6)), float(rng.uniform(0.35, 0.5)), float(rng.uniform(0.03, 0.07))
    for number in range(min(12, int((y1 - y0 - 2.0) / pitch))):
        planar = np.array([(x0 + x1) / 2, y0 + 1.0 + number * pitch])
        if interior.claim(planar, np.array([long, deep]) / 2):
            reach = np.array([long, deep]) / 2
            interior.assembly.box([*(planar - reach), height - board], [*(planar + reach), height])
            for side in (-0.4, 0.4):
                foot = planar + (side * long, 0.0)
                interior.assembly.box([*(foot - (0.03, deep / 2)), 0.0], [*(foot + (0.03, deep / 2)), height - board])


def add_partitions(interior: Interior, rng: np.random.Generator) -> None:
    """Free-standing walls, most of them lower than the hall."""
    whole = rng.random() < 0.25
    for _ in range(int(rng.integers(1, 7))):
        length, thickness = float(rng.uniform(1.0, min(12.0, 0.8 * interior.size.max()))), float(rng.uniform(0.05, 0.3))
        half = np.array([length, thickness])[:: 1 if rng.random() < 0.5 else -1] / 2
        height = interior.height if whole else float(min(rng.uniform(0.8, 3.0), interior.height - 0.1))
        planar = interior.low + rng.random(2) * interior.size
        if interior.claim(planar, half):
            interior.assembly.box([*(planar - half), 0.0], [*(planar + half), height])


def add_rails(interior: Interior, rng: np.random.Generator) -> None:
    """Thin things: free-standing railings, poles, and pipes under the roof."""
    for _ in range(int(rng.integers(0, 4))):
        start = interior.low + rng.random(2) * interior.size
        yaw, length = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(1.5, 8.0))
        end = start + length * np.array([np.cos(yaw), np.sin(yaw)])
        if interior.claim((start + end) / 2, np.array([length / 2 + 0.1, 0.1]), yaw):
            add_railing(interior.assembly, np.array([*start, 0.0]), np.array([*end, 0.0]), draw_railing(rng, length))
    for _ in range(int(rng.integers(0, 8))):
        planar, radius = interior.low + rng.random(2) * interior.size, float(rng.uniform(0.01, 0.08))
        if interior.claim(planar, np.full(2, radius)):
            top = float(rng.choice([interior.height, min(interior.height, rng.uniform(0.8, 4.0))]))
            interior.assembly.rod([*planar, 0.0], [*planar, top], radius)
    if not interior.roof:
        return
    axis, z = int(rng.integers(2)), interior.height - float(rng.uniform(0.15, 0.5))
    for _ in range(int(rng.integers(0, 4))):
        start, end = interior.low.copy(), interior.low + interior.size
        start[1 - axis] = end[1 - axis] = interior.low[1 - axis] + rng.uniform(0.1, 0.9) * interior.size[1 - axis]
        interior.assembly.rod([*start, z], [*end, z], float(rng.uniform(0.02, 0.3)))


Fitting = Callable[[Interior, np.random.Generator], None]
# In the order in which they are built: what is bound to walls comes before what stands anywhere.
FITTINGS: tuple[tuple[float, Fitting], ...] = (
    (0.3, add_beams), (0.3, add_gallery), (0.2, add_stage), (0.2, add_stand), (0.45, add_columns), (0.25, add_racks),
    (0.25, add_partitions), (0.5, add_goods), (0.35, add_rails),
)  # fmt: skip
