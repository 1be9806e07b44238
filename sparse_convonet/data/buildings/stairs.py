"""Staircases from one storey to the next: straight, L-shaped and U-shaped, with real steps and railings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle
from sparse_convonet.data.buildings.railings import RailingStyle, add_railing
from sparse_convonet.data.scenes.assembly import Assembly


@dataclass(frozen=True)
class Leg:
    """A straight run of steps in the staircase's own plan (u, v), metres.

    foot: (2,) middle of the lower edge of its first riser.  direction: (2,) unit vector uphill, along u or v.
    risers: their number; the last one meets a platform or the floor above.  first: risers below its foot.
    """

    foot: tuple[float, float]
    direction: tuple[int, int]
    risers: int
    first: int


@dataclass(frozen=True)
class StairPlan:
    """A staircase in its own plan, low corner at (0, 0).

    size: (u, v).  flights: rectangles without a floor above.  landings: the rest of the size; each group hangs together.
    departure, arrival: flat rectangles on the border between flights and landings, where one steps off the lower floor
    and onto the upper one.  platforms: rectangles with the risers below them.
    """

    size: tuple[float, float]
    width: float
    tread: float
    risers: int
    flights: tuple[Rectangle, ...]
    landings: tuple[tuple[Rectangle, ...], ...]
    departure: Rectangle
    arrival: Rectangle
    legs: tuple[Leg, ...]
    platforms: tuple[tuple[Rectangle, int], ...] = ()

    def stretched(self, size: tuple[float, float]) -> StairPlan:
        """The plan with its outermost rectangles widened to `size`, not smaller than its own; the legs stay."""

        def widen(rectangle: Rectangle) -> Rectangle:
            u0, v0, u1, v1 = rectangle
            return u0, v0, size[0] if u1 == self.size[0] else u1, size[1] if v1 == self.size[1] else v1

        return replace(
            self,
            size=size,
            flights=tuple(widen(flight) for flight in self.flights),
            landings=tuple(tuple(widen(part) for part in group) for group in self.landings),
            departure=widen(self.departure),
            arrival=widen(self.arrival),
            platforms=tuple((widen(platform), below) for platform, below in self.platforms),
        )


@dataclass(frozen=True)
class StairStyle:
    """kind: "block" (solid down to the floor), "slab" (an inclined slab carries the steps) or "open" (treads only)."""

    kind: str
    slab: float
    tread_thickness: float
    stringer: float
    central_stringer: bool
    railing: RailingStyle

    @classmethod
    def draw(cls, rng: np.random.Generator, railing: RailingStyle) -> StairStyle:
        kind = str(rng.choice(["block", "slab", "open"], p=[0.2, 0.5, 0.3]))
        return cls(
            kind, float(rng.uniform(0.12, 0.22)), float(rng.uniform(0.03, 0.07)), float(rng.uniform(0.04, 0.08)),
            bool(rng.random() < 0.3), railing,
        )  # fmt: skip


def plan_stairs(shape: str, height: float, rng: np.random.Generator, walkway: bool = True) -> StairPlan:
    """A plan for `height` metres; shape: "straight", "l" or "u".

    walkway: a straight staircase gets a way beside it that joins its two landings.
    """
    risers = max(4, round(height / rng.uniform(0.16, 0.19)))
    tread, width, landing = float(rng.uniform(0.24, 0.31)), float(rng.uniform(0.85, 1.5)), float(rng.uniform(1.1, 1.6))
    if shape == "straight":
        return _straight(risers, tread, width, landing, float(rng.uniform(1.0, 1.5)) if walkway else 0.0)
    if shape == "l":
        return _l_shaped(risers, tread, width, landing, float(rng.uniform(0.35, 0.65)))
    if shape == "u":
        return _u_shaped(risers, tread, width, landing, float(rng.choice([0.1, rng.uniform(0.1, 1.0)])))
    raise ValueError(f"shape: expected straight, l or u, found {shape!r}")


def _straight(risers: int, tread: float, width: float, landing: float, walkway: float) -> StairPlan:
    run = (risers - 1) * tread
    end, total, across = landing + run, 2 * landing + run, width + walkway
    ends: list[tuple[Rectangle, ...]] = [((0, 0, landing, across),), ((end, 0, total, across),)]
    if walkway:
        ends = [(*ends[0], *ends[1], (landing, width, end, across))]
    return StairPlan(
        (total, across), width, tread, risers, ((landing, 0, end, width),), tuple(ends),
        (landing, 0, landing, width), (end, 0, end, width), (Leg((landing, width / 2), (1, 0), risers, 0),),
    )  # fmt: skip


def _l_shaped(risers: int, tread: float, width: float, landing: float, share: float) -> StairPlan:
    lower = int(np.clip(round(risers * share), 2, risers - 2))
    upper = risers - lower
    corner, top = landing + (lower - 1) * tread, width + (upper - 1) * tread
    size = corner + width, top + landing
    rest = ((0.0, 0.0, landing, width), (0.0, width, corner, size[1]), (corner, top, size[0], size[1]))
    legs = (
        Leg((landing, width / 2), (1, 0), lower, 0),
        Leg((corner + width / 2, width), (0, 1), upper, lower),
    )
    flights = ((landing, 0.0, size[0], width), (corner, width, size[0], top))
    platform = ((corner, 0.0, size[0], width), lower)
    return StairPlan(
        size,
        width,
        tread,
        risers,
        flights,
        (rest,),
        (landing, 0, landing, width),
        (corner, top, size[0], top),
        legs,
        (platform,),
    )


def _u_shaped(risers: int, tread: float, width: float, landing: float, eye: float) -> StairPlan:
    risers += risers % 2  # legs of equal length start and end at the same landing
    lower = upper = risers // 2
    run, across = (upper - 1) * tread, 2 * width + eye
    turn, total = landing + run, landing + run + width
    legs = (
        Leg((landing, width / 2), (1, 0), lower, 0),
        Leg((turn, width * 1.5 + eye), (-1, 0), upper, lower),
    )
    platform = ((turn, 0.0, total, across), lower)
    return StairPlan(
        (total, across), width, tread, risers, ((landing, 0.0, total, across),), (((0.0, 0.0, landing, across),),),
        (landing, 0, landing, width), (landing, width + eye, landing, across), legs, (platform,),
    )  # fmt: skip


@dataclass(frozen=True)
class StairPose:
    """Where a plan stands: building = origin + u * u_axis + v * v_axis; the axes are along +-x and +-y."""

    origin: np.ndarray
    u_axis: np.ndarray
    v_axis: np.ndarray

    @classmethod
    def in_rectangle(cls, rectangle: Rectangle, along_y: bool, flip_u: bool, flip_v: bool) -> StairPose:
        """Into a corner of a rectangle; u along x, or along y."""
        x0, y0, x1, y1 = rectangle
        u_axis, v_axis = (np.eye(2)[1], np.eye(2)[0]) if along_y else (np.eye(2)[0], np.eye(2)[1])
        origin = np.array([x0, y0])
        extent = np.array([x1 - x0, y1 - y0])
        origin = origin + u_axis * extent * flip_u + v_axis * extent * flip_v
        return cls(origin, -u_axis if flip_u else u_axis, -v_axis if flip_v else v_axis)

    def point(self, u: float, v: float, z: float) -> np.ndarray:
        return np.append(self.origin + u * self.u_axis + v * self.v_axis, z)

    def rectangle(self, rectangle: Rectangle) -> Rectangle:
        a, b = self.point(rectangle[0], rectangle[1], 0), self.point(rectangle[2], rectangle[3], 0)
        low, high = np.minimum(a, b), np.maximum(a, b)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def build_stairs(
    assembly: Assembly, plan: StairPlan, pose: StairPose, floor_z: float, height: float, style: StairStyle, lowest: bool,
    at_wall: Callable[[np.ndarray], bool],
) -> None:  # fmt: skip
    """Steps, platforms and railings from floor_z up by `height`, and the climb that leads over them.

    lowest: the floor below is closed, so that block steps can stand on it.  at_wall: whether a point (3,) is beside a
    wall, where no railing is needed.
    """
    rise = height / plan.risers
    climb: list[np.ndarray] = []
    for leg in plan.legs:
        _build_leg(assembly, plan, pose, leg, floor_z, rise, style, lowest, at_wall)
        climb += _feet(plan, pose, leg, floor_z, rise)
    for rectangle, below in plan.platforms:
        x0, y0, x1, y1 = pose.rectangle(rectangle)
        top = floor_z + below * rise
        bottom = floor_z if style.kind == "block" and lowest else top - style.slab
        assembly.box((x0, y0, bottom), (x1, y1, top))
    assembly.climbs.append(np.array(climb))


def _feet(plan: StairPlan, pose: StairPose, leg: Leg, floor_z: float, rise: float) -> list[np.ndarray]:
    along = np.array([-0.35, *((np.arange(1, leg.risers) - 0.5) * plan.tread), (leg.risers - 1) * plan.tread + 0.35])
    risers = np.arange(leg.risers + 1)
    return [
        pose.point(
            leg.foot[0] + a * leg.direction[0], leg.foot[1] + a * leg.direction[1], floor_z + (leg.first + n) * rise
        )
        for a, n in zip(along, risers, strict=True)
    ]


def _build_leg(
    assembly: Assembly, plan: StairPlan, pose: StairPose, leg: Leg, floor_z: float, rise: float, style: StairStyle,
    lowest: bool, at_wall: Callable[[np.ndarray], bool],
) -> None:  # fmt: skip
    base, half = floor_z + leg.first * rise, plan.width / 2
    forward = np.array(leg.direction, dtype=np.float64)
    left = np.array([-forward[1], forward[0]])

    def at(along: float, across: float, z: float) -> np.ndarray:
        u, v = np.array(leg.foot) + along * forward + across * left
        return pose.point(float(u), float(v), z)

    run = (leg.risers - 1) * plan.tread
    for step in range(1, leg.risers):
        top = base + step * rise
        bottom = {
            "block": floor_z if lowest else top - rise - 0.02,
            "slab": top - rise - 0.02,
            "open": top - style.tread_thickness,
        }
        a = at((step - 1) * plan.tread - (0.02 if style.kind == "open" else 0.0), -half, bottom[style.kind])
        b = at(step * plan.tread, half, top)
        assembly.box(np.minimum(a, b), np.maximum(a, b))
    if style.kind == "slab" or (style.kind == "block" and not lowest):
        slope = np.hypot(plan.tread, rise)
        down = style.slab / 2 * np.array([rise, -plan.tread]) / slope  # along, up: square to the line of inner corners
        assembly.beam(
            at(down[0], 0, base + down[1]),
            at(run + down[0], 0, base + run * rise / plan.tread + down[1]),
            plan.width,
            style.slab,
        )
    elif style.kind == "open":
        inset = half - style.stringer / 2
        for across in (0.0,) if style.central_stringer else (-inset, inset):
            drop = 0.14 if style.central_stringer else 0.02
            assembly.beam(
                at(0, across, base + rise / 2 - drop),
                at(run, across, base + run * rise / plan.tread + rise / 2 - drop),
                style.stringer,
                0.24,
            )
    for across in (half - 0.05, 0.05 - half):
        if not at_wall(at(run / 2, across, base)):
            add_railing(
                assembly, at(0.05, across, base + rise), at(run, across, base + leg.risers * rise), style.railing
            )
