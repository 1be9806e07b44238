"""Reserve the space that storeys share: stairwells, and double-height halls with galleries and their own stairs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle, Region
from sparse_convonet.data.buildings.splitting import carve, connected_parts, subtract
from sparse_convonet.data.buildings.stairs import StairPlan, StairPose, plan_stairs

_NARROWEST_LANDING_M = 0.9


@dataclass(frozen=True)
class PlacedStairs:
    """A staircase that leads from each of `storeys` to the next."""

    plan: StairPlan
    pose: StairPose
    storeys: tuple[int, ...]

    def gaps(self, storey: int) -> list[Rectangle]:
        """Where a storey's railings leave the way to and from the stairs free."""
        gaps = [self.plan.departure] if storey in self.storeys else []
        gaps += [self.plan.arrival] if storey - 1 in self.storeys else []
        return [self.pose.rectangle(gap) for gap in gaps]


@dataclass
class Reserved:
    """Regions fixed for each storey, what is left of the outline, and the stairs."""

    storeys: int
    free: list[list[Rectangle]]  # per storey
    fixed: list[list[Region]] = field(default_factory=list)  # per storey
    stairs: list[PlacedStairs] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fixed = [[] for _ in range(self.storeys)]

    def take(self, storey: int, old: Rectangle, rest: list[Rectangle]) -> None:
        self.free[storey] = [part for part in self.free[storey] if part != old] + rest


def _largest_first(rectangles: list[Rectangle]) -> list[Rectangle]:
    return sorted(rectangles, key=lambda r: -(r[2] - r[0]) * (r[3] - r[1]))


def reserve_stairwell(reserved: Reserved, heights: list[float], rng: np.random.Generator) -> bool:
    """Find a place for stairs that join all storeys: the same plan on each. False when none fits.

    All storeys must have the same height then; stairs are planned for the first.
    """
    shapes = [str(shape) for shape in rng.permutation(["straight", "l", "u", "u"])]
    climbing = tuple(range(reserved.storeys - 1))
    for shape in [*shapes, "u", "u", "u"]:
        plan = plan_stairs(shape, heights[0], rng)
        along_y, flip_u, flip_v = (bool(bit) for bit in rng.random(3) < 0.5)
        for turn in (along_y, not along_y):
            size = plan.size[::-1] if turn else plan.size
            for rectangle in _largest_first(reserved.free[0]):
                carved = carve(rectangle, size, rng)
                if carved is None:
                    continue
                piece, rest = carved
                extent = (piece[2] - piece[0], piece[3] - piece[1])[:: -1 if turn else 1]
                spare = [have - own for have, own in zip(extent, plan.size, strict=True)]
                # What is too narrow to walk on goes to the flights, the rest to the first landing.
                filled = [
                    own + (more if more < _NARROWEST_LANDING_M else 0.0)
                    for own, more in zip(plan.size, spare, strict=True)
                ]
                plan = plan.stretched((filled[0], filled[1]))
                pose = StairPose.in_rectangle(piece, turn, flip_u, flip_v)
                for storey in range(reserved.storeys):
                    reserved.take(storey, rectangle, rest)
                    reserved.fixed[storey] += _stair_regions(plan, pose, piece)
                reserved.stairs.append(PlacedStairs(plan, pose, climbing))
                return True
    return False


def _stair_regions(plan: StairPlan, pose: StairPose, piece: Rectangle) -> list[Region]:
    flights = tuple(pose.rectangle(flight) for flight in plan.flights)
    landings = [tuple(pose.rectangle(part) for part in group) for group in plan.landings]
    spare = subtract(piece, [*flights, *(part for group in landings for part in group)])
    groups = [part for k, group in enumerate(landings) for part in connected_parts(group + (spare if k == 0 else ()))]
    return [Region("flight", flights), *(Region("landing", group) for group in groups)]


def reserve_hall(reserved: Reserved, heights: list[float], rng: np.random.Generator) -> bool:
    """A hall through the two lowest storeys with galleries, mostly with stairs to one of them. False when none fits."""
    for rectangle in _largest_first(reserved.free[0]):
        extent = np.array([rectangle[2] - rectangle[0], rectangle[3] - rectangle[1]])
        if extent.min() < 4.5 or extent.max() < 6.0:
            continue
        size = np.minimum(extent, np.maximum(rng.uniform(0.45, 1.0, 2) * extent, rng.uniform(4.5, 8.0, 2)))
        carved = carve(rectangle, (float(size[0]), float(size[1])), rng)
        if carved is None:
            continue
        piece, rest = carved
        for storey in range(2):
            reserved.take(storey, rectangle, rest)
        _fill_hall(reserved, piece, heights[0], rng)
        return True
    return False


def _fill_hall(reserved: Reserved, piece: Rectangle, height: float, rng: np.random.Generator) -> None:
    """Hall below; void and galleries above; a straight or L-shaped flight along a side when there is room for it."""
    extent = np.array([piece[2] - piece[0], piece[3] - piece[1]])
    galleries = {side: float(rng.uniform(1.2, 2.4)) for side in range(4) if rng.random() < 0.55}
    plan = plan_stairs("straight", height, rng, walkway=False)
    run = plan.size[0] - 2 * plan.departure[0]
    along_y = bool(extent[1] > extent[0])
    length, breadth = max(extent), min(extent)
    gallery = float(rng.uniform(1.2, 2.4))
    flights: list[Rectangle] = []
    if run + gallery + 1.3 < length and plan.width + 2.3 < breadth and rng.random() < 0.75:
        flip_u, flip_v = (bool(bit) for bit in rng.random(2) < 0.5)
        pose = StairPose.in_rectangle(piece, along_y, flip_u, flip_v)
        # The plan's own lower landing is stretched so that the flight ends at the gallery.
        offset = length - gallery - run - plan.departure[0]
        aside = float(rng.choice([0.0, rng.uniform(1.1, breadth - plan.width - 1.1)]))  # no narrow way beside it
        pose = StairPose(pose.origin + offset * pose.u_axis + aside * pose.v_axis, pose.u_axis, pose.v_axis)
        flights = [pose.rectangle(flight) for flight in plan.flights]
        reserved.stairs.append(PlacedStairs(plan, pose, (0,)))
        arrival_side = (1 if along_y else 0) + (0 if flip_u else 2)  # 0, 1: high x, y after adding 2; see _strip
        galleries[arrival_side] = gallery
        galleries = {side: depth for side, depth in galleries.items() if _strip_clear(piece, side, depth, flights)}
    if not galleries:
        galleries = {int(rng.integers(4)): gallery}
    strips = [_strip(piece, side, depth) for side, depth in galleries.items() if depth < extent[side % 2] * 0.4]
    void = subtract(piece, strips)
    walked = subtract(piece, list(void))
    reserved.fixed[0].append(Region("hall", subtract(piece, flights)))
    if flights:
        reserved.fixed[0].append(Region("flight", tuple(flights)))
    reserved.fixed[1] += [Region("gallery", part) for part in connected_parts(walked)]
    reserved.fixed[1].append(Region("void", void))


def _strip(piece: Rectangle, side: int, depth: float) -> Rectangle:
    """The strip of `piece` along a side: 0 low x, 1 low y, 2 high x, 3 high y."""
    x0, y0, x1, y1 = piece
    return ((x0, y0, x0 + depth, y1), (x0, y0, x1, y0 + depth), (x1 - depth, y0, x1, y1), (x0, y1 - depth, x1, y1))[
        side
    ]


def _strip_clear(piece: Rectangle, side: int, depth: float, flights: list[Rectangle]) -> bool:
    x0, y0, x1, y1 = _strip(piece, side, depth)
    return all(x1 < f[0] + 1e-6 or x0 > f[2] - 1e-6 or y1 < f[1] + 1e-6 or y0 > f[3] - 1e-6 for f in flights)
