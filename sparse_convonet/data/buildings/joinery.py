"""Furniture made of boards and rods: tables, shelves, cupboards, chairs, counters, benches, plants, screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.solids import yaw_matrix


@dataclass(frozen=True)
class Board:
    """A box in a piece's frame: centre (3,), size (3,), metres; rotation (3, 3) or None for upright.

    A rod is a board whose `round` is set: its size is diameter, diameter, length.
    """

    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation: np.ndarray | None = None
    round: bool = False


@dataclass(frozen=True)
class Joinery:
    """A piece made of boards; frame: z = 0 on the floor, x and y centred, back at +y.

    size: (3,) bounding box, metres.  tops: rectangles (low x, low y, high x, high y, z) where small things can stand.
    """

    size: np.ndarray
    boards: tuple[Board, ...]
    tops: tuple[tuple[float, float, float, float, float], ...]
    against_wall: bool


def _box(x0: float, x1: float, y0: float, y1: float, z0: float, z1: float) -> Board:
    return Board(((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2), (x1 - x0, y1 - y0, z1 - z0))


def _rod(x: float, y: float, z0: float, z1: float, diameter: float) -> Board:
    return Board((x, y, (z0 + z1) / 2), (diameter, diameter, z1 - z0), None, True)


def make_table(rng: np.random.Generator) -> Joinery:
    width, depth = rng.uniform(0.5, 2.4), rng.uniform(0.45, 1.1)
    height = float(
        rng.choice([rng.uniform(0.35, 0.55), rng.uniform(0.7, 0.78), rng.uniform(0.9, 1.1)], p=[0.3, 0.6, 0.1])
    )
    top, leg = rng.uniform(0.02, 0.05), rng.uniform(0.03, 0.09)
    x, y = width / 2, depth / 2
    inset = rng.uniform(0.0, 0.08) + leg / 2
    boards = [_box(-x, x, -y, y, height - top, height)]
    if rng.random() < 0.2:  # on a central foot
        boards += [_rod(0, 0, 0.02, height - top, leg * 1.5), _box(-x / 2, x / 2, -y / 2, y / 2, 0, 0.025)]
    elif rng.random() < 0.2:  # on panels
        boards += [
            _box(s * (x - 0.06) - 0.02, s * (x - 0.06) + 0.02, -y * 0.9, y * 0.9, 0, height - top) for s in (-1, 1)
        ]
    else:
        rods = rng.random() < 0.5
        for i in (-1, 1):
            for j in (-1, 1):
                cx, cy, h = i * (x - inset), j * (y - inset), leg / 2
                foot = _rod(cx, cy, 0, height - top, leg)
                boards.append(foot if rods else _box(cx - h, cx + h, cy - h, cy + h, 0, height - top))
    return Joinery(np.array([width, depth, height]), tuple(boards), ((-x, -y, x, y, height),), False)


def make_shelf(rng: np.random.Generator) -> Joinery:
    """Boards between side panels, often with books, mostly with a back."""
    width, depth, height = rng.uniform(0.5, 2.6), rng.uniform(0.22, 0.55), rng.uniform(0.7, 2.3)
    board = rng.uniform(0.016, 0.04)
    x, y = width / 2, depth / 2
    boards = [_box(s * (x - board / 2) - board / 2, s * (x - board / 2) + board / 2, -y, y, 0, height) for s in (-1, 1)]
    if rng.random() < 0.8:
        boards.append(_box(-x, x, y - 0.015, y, 0, height))
    count = max(2, int(height / rng.uniform(0.25, 0.5)))
    levels = np.linspace(rng.uniform(0.02, 0.15), height - board, count)
    fill = rng.choice([0.0, rng.uniform(0.2, 1.0)])
    for number, z in enumerate(levels):
        boards.append(_box(-x, x, -y, y, z, z + board))
        room = (levels[number + 1] - z - board) if number + 1 < count else 0.0
        at = -x + board
        while room > 0.12 and fill > 0 and at < x - 0.08:
            book = rng.uniform(0.03, 0.3)
            end = min(at + book, x - board)
            if rng.random() < fill:
                boards.append(
                    _box(
                        at,
                        end,
                        y - rng.uniform(0.6, 0.95) * depth,
                        y - 0.015,
                        z + board,
                        z + board + room * rng.uniform(0.5, 0.95),
                    )
                )
            at = end
    tops = ((-x, -y, x, y, float(levels[-1] + board)),) if height < 1.5 else ()
    return Joinery(np.array([width, depth, max(height, levels[-1] + board)]), tuple(boards), tops, rng.random() < 0.8)


def make_cupboard(rng: np.random.Generator) -> Joinery:
    """A closed block, on a plinth or feet, sometimes with a protruding top and handles."""
    width, depth = rng.uniform(0.4, 2.5), rng.uniform(0.3, 0.65)
    height = float(rng.choice([rng.uniform(0.4, 0.8), rng.uniform(0.85, 1.2), rng.uniform(1.7, 2.2)]))
    x, y, foot = width / 2, depth / 2, float(rng.choice([0.0, rng.uniform(0.05, 0.2)]))
    front = -y + 0.03
    boards = [
        _box(-x, x, front, y, foot, height - 0.03),
        _box(-x, x, -y + rng.choice([0.0, 0.03]), y, height - 0.03, height),
    ]
    if foot > 0:
        boards += [_rod(i * (x - 0.05), j * (y - 0.06), 0, foot, 0.05) for i in (-1, 1) for j in (-1, 1)]
    doors = max(1, round(width / 0.5))
    boards += [
        _box(-x + (k + 0.8) * width / doors, -x + (k + 0.83) * width / doors, -y, front, height * 0.4, height * 0.6)
        for k in range(doors)
    ]
    return Joinery(np.array([width, depth, height]), tuple(boards), ((-x, -y, x, y, height),), True)


def make_chair(rng: np.random.Generator) -> Joinery:
    width, depth, seat = rng.uniform(0.38, 0.5), rng.uniform(0.4, 0.52), rng.uniform(0.42, 0.5)
    height, leg = rng.uniform(0.75, 1.05), rng.uniform(0.025, 0.045)
    x, y = width / 2, depth / 2
    boards = [_box(-x, x, -y, y, seat - rng.uniform(0.02, 0.06), seat)]
    for i in (-1, 1):
        boards.append(_rod(i * (x - leg / 2), -y + leg / 2, 0, seat - 0.01, leg))
        boards.append(_rod(i * (x - leg / 2), y - leg / 2, 0, height - 0.01, leg))
    boards.append(_box(-x, x, y - 0.03, y, seat + rng.uniform(0.05, 0.25), height))
    return Joinery(np.array([width, depth, height]), tuple(boards), (), False)


def make_bench(rng: np.random.Generator) -> Joinery:
    width, depth, height = rng.uniform(1.0, 2.5), rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.5)
    x, y = width / 2, depth / 2
    boards = [_box(-x, x, -y, y, height - 0.06, height)]
    boards += [_box(s * (x - 0.15) - 0.04, s * (x - 0.15) + 0.04, -y * 0.9, y * 0.9, 0, height - 0.06) for s in (-1, 1)]
    return Joinery(np.array([width, depth, height]), tuple(boards), (), rng.random() < 0.6)


def make_counter(rng: np.random.Generator) -> Joinery:
    """A reception desk or a shop's counter: a block with a higher front."""
    width, depth, height = rng.uniform(1.4, 3.5), rng.uniform(0.6, 0.9), rng.uniform(0.95, 1.2)
    x, y, panel = width / 2, depth / 2, rng.uniform(0.04, 0.12)
    boards = [
        _box(-x, x, -y, -y + panel, 0, height),
        _box(-x, x, -y, y, 0.7, 0.74),
        _box(-x, -x + 0.04, -y, y, 0, height),
    ]
    boards += [_box(x - 0.04, x, -y, y, 0, height), _box(-x, x, -y, -y + 0.3, height - 0.04, height)]
    return Joinery(np.array([width, depth, height]), tuple(boards), ((-x + 0.05, -y + 0.3, x - 0.05, y, 0.74),), False)


def make_plant(rng: np.random.Generator) -> Joinery:
    """A pot with a stem and leaves: thin boards at random angles."""
    pot, pot_height, height = rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.6), rng.uniform(0.8, 2.0)
    crown = min(rng.uniform(0.4, 1.0), height)
    boards = [_rod(0, 0, 0, pot_height, pot), _rod(0, 0, pot_height, height - crown * 0.3, rng.uniform(0.02, 0.05))]
    reach = crown / 2
    for _ in range(int(rng.integers(12, 40))):
        direction = rng.normal(size=3)
        length, width = rng.uniform(0.12, 0.35), rng.uniform(0.04, 0.12)
        where = direction / np.linalg.norm(direction) * reach * 0.6 * np.cbrt(rng.random())
        z = np.clip(height - reach + where[2], pot_height + 0.2, height - 0.2)
        pitch = rng.uniform(-0.9, 0.9)
        tilt = np.array([[np.cos(pitch), 0, -np.sin(pitch)], [0, 1, 0], [np.sin(pitch), 0, np.cos(pitch)]])
        centre = (float(where[0]), float(where[1]), float(z))
        boards.append(Board(centre, (length, width, 0.012), yaw_matrix(rng.uniform(0, 2 * np.pi)) @ tilt))
    side = max(pot, 2 * (reach * 0.6 + 0.19))
    return Joinery(np.array([side, side, height]), tuple(boards), (), False)


def make_screen(rng: np.random.Generator) -> Joinery:
    """A free-standing panel, board or low partition wall."""
    width, thickness, height = rng.uniform(0.8, 2.8), rng.uniform(0.02, 0.12), rng.uniform(1.1, 2.2)
    x, y = width / 2, thickness / 2
    lift = float(rng.choice([0.0, rng.uniform(0.05, 0.3)]))
    boards = [_box(-x, x, -y, y, lift, height)]
    foot = 0.25 if lift > 0 else y
    if lift > 0:
        for s in (-1, 1):
            boards += [_box(s * x * 0.9 - 0.02, s * x * 0.9 + 0.02, -foot, foot, 0, 0.04)]
            boards += [_box(s * x * 0.9 - 0.02, s * x * 0.9 + 0.02, -min(y, 0.02), min(y, 0.02), 0.03, lift + 0.05)]
    return Joinery(np.array([width, 2 * max(foot, y), height]), tuple(boards), (), False)


def make_crates(rng: np.random.Generator) -> Joinery:
    """Boxes of falling size on top of each other, each turned a little."""
    side, boards, z = float(rng.uniform(0.3, 0.8)), [], 0.0
    footprint = side * np.sqrt(2)
    for _ in range(int(rng.integers(1, 5))):
        height = float(rng.uniform(0.15, 0.5))
        size = (side, side * float(rng.uniform(0.6, 1.0)), height)
        boards.append(Board((0.0, 0.0, z + height / 2), size, yaw_matrix(float(rng.uniform(-0.4, 0.4)))))
        z, side = z + height, side * float(rng.uniform(0.7, 1.0))
    return Joinery(np.array([footprint, footprint, z]), tuple(boards), (), rng.random() < 0.6)


KINDS: dict[str, Callable[[np.random.Generator], Joinery]] = {
    "table": make_table, "shelf": make_shelf, "cupboard": make_cupboard, "chair": make_chair, "bench": make_bench,
    "counter": make_counter, "plant": make_plant, "screen": make_screen, "crates": make_crates,
}  # fmt: skip


def build(assembly: Assembly, piece: Joinery, position: np.ndarray, yaw: float) -> None:
    """Add a piece's boards, its frame's origin at `position` (3,), turned by `yaw` radians about z."""
    turn = yaw_matrix(yaw)
    for board in piece.boards:
        centre = turn @ np.array(board.centre) + position
        rotation = turn if board.rotation is None else turn @ board.rotation
        if board.round:
            half = rotation[:, 2] * board.size[2] / 2
            assembly.rod(centre - half, centre + half, board.size[0] / 2)
        else:
            assembly.turned_box(centre, board.size, rotation)
