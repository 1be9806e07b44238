"""Split the outline of a storey into rooms and corridors; cut out space for stairs and halls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle, Region, merge_cells

_NARROWEST_M = 1.5  # what is left over and narrower than this goes to its neighbour


@dataclass(frozen=True)
class SplitStyle:
    """How one building is divided: rooms up to `room_side` long, corridors of width `corridor`, metres."""

    room_side: float
    corridor: float
    corridor_share: float
    merge_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SplitStyle:
        room_side = float(rng.choice([rng.uniform(3.8, 6.0), rng.uniform(6.0, 12.0)], p=[0.65, 0.35]))
        return cls(room_side, float(rng.uniform(1.1, 2.6)), float(rng.uniform(0.4, 1.0)), float(rng.uniform(0.0, 0.3)))


def outline(shape: str, width: float, depth: float, rng: np.random.Generator) -> list[Rectangle]:
    """Wings of a building about the origin; shape: "rectangle", "l" or "u". Wings touch along whole sides."""
    x, y = width / 2, depth / 2
    if shape == "rectangle":
        return [(-x, -y, x, y)]
    main = float(rng.uniform(0.4, 0.6)) * depth
    if shape == "l":
        wing = float(rng.uniform(0.35, 0.6)) * width
        low = -x if rng.random() < 0.5 else x - wing
        return [(-x, -y, x, -y + main), (low, -y + main, low + wing, y)]
    if shape == "u":
        first, second = rng.uniform(0.28, 0.38, size=2) * width
        wings: list[Rectangle] = [(-x, -y, x, -y + main), (-x, -y + main, -x + first, y), (x - second, -y + main, x, y)]
        return wings
    raise ValueError(f"shape: expected rectangle, l or u, found {shape!r}")


def carve(
    rectangle: Rectangle, size: tuple[float, float], rng: np.random.Generator
) -> tuple[Rectangle, list[Rectangle]] | None:
    """Cut a piece of at least `size` (x, y) from a random corner: the piece and the rest. None when it does not fit."""
    x0, y0, x1, y1 = rectangle
    if size[0] > x1 - x0 or size[1] > y1 - y0:
        return None
    width = x1 - x0 if x1 - x0 - size[0] < _NARROWEST_M else size[0]
    depth = y1 - y0 if y1 - y0 - size[1] < _NARROWEST_M else size[1]
    right, upper, column_first = rng.random(3) < 0.5
    px, py = (x1 - width if right else x0), (y1 - depth if upper else y0)
    piece = (px, py, px + width, py + depth)
    side_x = (x0, px) if right else (px + width, x1)
    side_y = (y0, py) if upper else (py + depth, y1)
    if column_first:
        rest = [(side_x[0], y0, side_x[1], y1), (px, side_y[0], px + width, side_y[1])]
    else:
        rest = [(x0, side_y[0], x1, side_y[1]), (side_x[0], py, side_x[1], py + depth)]
    return piece, [part for part in rest if part[2] - part[0] > 1e-9 and part[3] - part[1] > 1e-9]


def subtract(rectangle: Rectangle, holes: list[Rectangle]) -> tuple[Rectangle, ...]:
    """Rectangles that cover `rectangle` without the holes."""
    everything = np.array([rectangle, *holes])
    xs, ys = np.unique(everything[:, [0, 2]].round(6)), np.unique(everything[:, [1, 3]].round(6))
    middle_x, middle_y = (xs[:-1] + xs[1:])[:, None] / 2, (ys[:-1] + ys[1:])[None] / 2

    def covers(r: Rectangle) -> np.ndarray:
        return (middle_x > r[0]) & (middle_x < r[2]) & (middle_y > r[1]) & (middle_y < r[3])

    left = covers(rectangle)
    for hole in holes:
        left &= ~covers(hole)
    return tuple(merge_cells(left, xs, ys))


def connected_parts(rectangles: tuple[Rectangle, ...]) -> list[tuple[Rectangle, ...]]:
    """Groups of rectangles that hang together along borders of some length."""
    parts: list[list[Rectangle]] = []
    for rectangle in rectangles:
        joined = [part for part in parts if any(_shared_border(rectangle, other) > 0.5 for other in part)]
        parts = [part for part in parts if part not in joined]
        parts.append([rectangle, *(other for part in joined for other in part)])
    return [tuple(part) for part in parts]


def _shared_border(first: Rectangle, second: Rectangle) -> float:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = first, second
    shared_x, shared_y = min(ax1, bx1) - max(ax0, bx0), min(ay1, by1) - max(ay0, by0)
    if abs(shared_x) < 1e-6:
        return shared_y
    return shared_x if abs(shared_y) < 1e-6 else 0.0


def split_rooms(rectangles: list[Rectangle], style: SplitStyle, rng: np.random.Generator) -> list[Region]:
    """Rooms and corridors that fill the rectangles."""
    regions: list[Region] = []
    for rectangle in rectangles:
        regions += _split(rectangle, style, rng, allow_corridor=True)
    return _merge_some(regions, style.merge_share, rng)


def _split(rectangle: Rectangle, style: SplitStyle, rng: np.random.Generator, allow_corridor: bool) -> list[Region]:
    x0, y0, x1, y1 = rectangle
    along_x = x1 - x0 >= y1 - y0
    length, breadth = max(x1 - x0, y1 - y0), min(x1 - x0, y1 - y0)
    if breadth < 2.2 and length > 2.5 * breadth:
        return [Region("corridor", (rectangle,))]
    if allow_corridor and length > 7.0 and breadth > style.corridor + 4.2 and rng.random() < style.corridor_share:
        return _split_by_corridor(rectangle, along_x, style, rng)
    limit = style.room_side * rng.uniform(0.75, 1.3)
    if length <= limit or length < 4.0:
        return [Region("room", (rectangle,))]
    share = float(np.clip(rng.uniform(0.32, 0.68), 1.7 / length, 1 - 1.7 / length))
    parts = _cut(rectangle, along_x, (x0 if along_x else y0) + share * length)
    return [region for part in parts for region in _split(part, style, rng, allow_corridor)]


def _split_by_corridor(
    rectangle: Rectangle, along_x: bool, style: SplitStyle, rng: np.random.Generator
) -> list[Region]:
    x0, y0, x1, y1 = rectangle
    low, high = (y0, y1) if along_x else (x0, x1)
    least = 2.1
    start = float(rng.uniform(low + least, high - least - style.corridor))
    if high - low < 7.0 and rng.random() < 0.4:
        start = low  # rooms on one side only
    parts = []
    if start > low:
        part, rest = _cut(rectangle, not along_x, start)
        parts.append(part)
        corridor, part = _cut(rest, not along_x, start + style.corridor)
    else:
        corridor, part = _cut(rectangle, not along_x, start + style.corridor)
    parts.append(part)
    rooms = [region for part in parts for region in _split(part, style, rng, allow_corridor=False)]
    return [Region("corridor", (corridor,)), *rooms]


def _cut(rectangle: Rectangle, at_x: bool, at: float) -> tuple[Rectangle, Rectangle]:
    x0, y0, x1, y1 = rectangle
    return ((x0, y0, at, y1), (at, y0, x1, y1)) if at_x else ((x0, y0, x1, at), (x0, at, x1, y1))


def _merge_some(regions: list[Region], share: float, rng: np.random.Generator) -> list[Region]:
    """Some pairs of neighbouring rooms become one L-shaped or long room."""
    merged: list[Region] = []
    for region in regions:
        partner = next((k for k, other in enumerate(merged) if _touch(region, other)), None)
        if region.kind == "room" and partner is not None and rng.random() < share:
            merged[partner] = Region("room", merged[partner].rectangles + region.rectangles)
        else:
            merged.append(region)
    return merged


def _touch(first: Region, second: Region) -> bool:
    """Whether two rooms of one rectangle each share more than 1.5 m of border."""
    if (first.kind, second.kind) != ("room", "room") or len(first.rectangles) + len(second.rectangles) > 2:
        return False
    return _shared_border(first.rectangles[0], second.rectangles[0]) > 1.5
