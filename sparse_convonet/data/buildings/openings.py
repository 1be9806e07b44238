"""Doors that connect all regions of a storey, passages and windows, and what is fitted into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import OUTSIDE, Opening, Region, Wall
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.solids import yaw_matrix

_MARGIN_M = 0.15  # of an opening to a corner of the room
_NARROWEST_DOOR_M = 0.75
_WAY_ROUND_M = 0.7
_EAGER_KINDS = ("corridor", "hall", "gallery", "landing")


@dataclass(frozen=True)
class OpeningStyle:
    """How the doors and windows of one building look."""

    door_width: float
    door_head: float
    passage_share: float  # of the connections that are wide and without a door
    leaf_share: float  # of the doors with a leaf that stands open
    frame_share: float  # of the doors and windows with a frame
    window_share: float  # of the outer walls with windows
    window_width: float
    window_sill: float
    window_head: float

    @classmethod
    def draw(cls, rng: np.random.Generator, clear_height: float) -> OpeningStyle:
        head = float(rng.uniform(1.95, min(2.4, clear_height - 0.1)))
        sill = float(rng.choice([0.0, rng.uniform(0.05, 0.5), rng.uniform(0.7, 1.2)], p=[0.15, 0.2, 0.65]))
        window_head = float(rng.uniform(min(1.9, clear_height - 0.15), clear_height - 0.1))
        return cls(
            door_width=float(rng.uniform(0.78, 1.05)),
            door_head=head,
            passage_share=float(rng.uniform(0.05, 0.4)),
            leaf_share=float(rng.uniform(0.0, 0.8)),
            frame_share=float(rng.choice([0.0, 0.5, 1.0])),
            window_share=float(rng.uniform(0.3, 1.0)),
            window_width=float(rng.uniform(0.6, 2.4)),
            window_sill=sill,
            window_head=window_head,
        )


def add_doors(walls: list[Wall], regions: list[Region], style: OpeningStyle, rng: np.random.Generator) -> bool:
    """Put doors into walls so that all walkable regions are connected; False where that cannot be.

    Corridors, halls, galleries and landings are preferred as neighbours; a few doors more than needed are added.
    """
    group = np.arange(len(regions))
    walkable = [
        wall for wall in walls if OUTSIDE not in wall.sides and all(regions[side].walkable for side in wall.sides)
    ]
    for wall in walkable:
        if wall.thickness == 0 and wall.length > _NARROWEST_DOOR_M:
            group[group == group[wall.sides[1]]] = group[wall.sides[0]]
    candidates = [wall for wall in walkable if wall.solid and wall.length >= _NARROWEST_DOOR_M + 2 * _MARGIN_M]
    eager = [sum(regions[side].kind not in _EAGER_KINDS for side in wall.sides) for wall in candidates]
    order = np.argsort(
        np.array(eager) + rng.random(len(candidates)) * 1.5 - [min(wall.length, 3) * 0.1 for wall in candidates]
    )
    for wall in (candidates[index] for index in order):
        first, second = (group[side] for side in wall.sides)
        if (first != second or rng.random() < 0.12) and _add_door(wall, style, rng) and first != second:
            group[group == second] = first
    return len({int(group[index]) for index, region in enumerate(regions) if region.walkable}) <= 1


def _add_door(wall: Wall, style: OpeningStyle, rng: np.random.Generator) -> bool:
    room = wall.length - 2 * _MARGIN_M - 0.02
    passage = rng.random() < style.passage_share and room > 1.2
    if passage:
        width, kind = float(rng.uniform(1.0, min(room, 3.5))), "passage"
    else:
        double = room > 2.2 and rng.random() < 0.12
        width, kind = min(style.door_width * (1.7 if double else 1.0), room), "door"
    slack = room - width
    # Doors stand near a corner more often than in the middle.
    share = float(rng.choice([0.0, 1.0, 0.5, rng.random()], p=[0.3, 0.3, 0.15, 0.25]))
    low = wall.low + _MARGIN_M + 0.01 + slack * share
    if not wall.has_space(low, low + width, _MARGIN_M):
        return False
    wall.openings.append(Opening(low, low + width, 0.0, style.door_head, kind))
    return True


def add_windows(walls: list[Wall], style: OpeningStyle, rng: np.random.Generator, entrance: bool) -> None:
    """Windows in rows in the outer walls, and an entrance door if wanted; none into voids' inner walls."""
    outer = [wall for wall in walls if OUTSIDE in wall.sides and wall.solid]
    entrances = [wall for wall in outer if wall.length > 1.5]
    if entrance and entrances:
        _add_door(entrances[rng.integers(len(entrances))], style, rng)
    for wall in outer:
        if rng.random() > style.window_share:
            continue
        width = min(style.window_width * float(rng.uniform(0.8, 1.2)), wall.length - 0.5)
        if width < 0.4:
            continue
        gap = float(rng.uniform(0.3, 1.8))
        count = max(1, int((wall.length - gap) / (width + gap)))
        count = count if rng.random() < 0.6 else int(rng.integers(1, count + 1))
        pitch = wall.length / count
        for number in range(count):
            low = wall.low + (number + 0.5) * pitch - width / 2
            if wall.has_space(low, low + width, _MARGIN_M):
                wall.openings.append(Opening(low, low + width, style.window_sill, style.window_head, "window"))


def fit_openings(
    assembly: Assembly,
    walls: list[Wall],
    regions: list[Region],
    floor_z: float,
    style: OpeningStyle,
    rng: np.random.Generator,
) -> list[np.ndarray]:
    """Frames, mullions, closed shutters and open door leaves of all openings. Returns the leaves' footprints (5,)."""
    solid = [wall for wall in walls if wall.solid]
    leaves: list[np.ndarray] = []
    # A room gets one leaf at most: two can lock it.
    roomy = {index for index, region in enumerate(regions) if region.kind == "room"}
    for wall in solid:
        for opening in wall.openings:
            if rng.random() < style.frame_share:
                _add_frame(assembly, wall, opening, floor_z, rng)
            if opening.kind == "door" and rng.random() < style.leaf_share:
                in_the_way = [other.footprint() for other in walls if other is not wall]
                in_the_way += [
                    _way_through(other, door) for other in solid for door in other.openings if door is not opening
                ]
                sides = [side for side in (0, 1) if wall.sides[side] in roomy]
                if sides:
                    side = sides[rng.integers(len(sides))]
                    leaf = _add_leaf(assembly, wall, opening, side, Footprints(in_the_way), floor_z, rng)
                    roomy -= {wall.sides[side]} if leaf else set()
                    leaves += leaf
            if opening.kind == "window" and rng.random() < 0.08:  # a shutter or a blind lets nothing through
                z = floor_z + opening.sill, floor_z + opening.head
                wall.box(assembly, (opening.low, opening.high), (-0.015, 0.015), z)
    return leaves


def _way_through(wall: Wall, opening: Opening) -> np.ndarray:
    """The footprint (5,) of an opening and half a metre to both sides."""
    centre = wall.point((opening.low + opening.high) / 2, 0.0, 0.0)[:2]
    half = (opening.high - opening.low) / 2, 0.5
    return np.array([*centre, *(half if wall.axis == 0 else half[::-1]), 0.0])


def _add_frame(assembly: Assembly, wall: Wall, opening: Opening, floor_z: float, rng: np.random.Generator) -> None:
    width = float(rng.uniform(0.04, 0.09))
    window = opening.kind == "window"
    depth = float(rng.uniform(0.03, 0.07)) if window else wall.thickness / 2 + float(rng.uniform(0.005, 0.02))
    across = -depth, depth
    low_z, high_z = floor_z + opening.sill, floor_z + opening.head
    wall.box(assembly, (opening.low, opening.low + width), across, (low_z, high_z))
    wall.box(assembly, (opening.high - width, opening.high), across, (low_z, high_z))
    wall.box(assembly, (opening.low, opening.high), across, (high_z - width, high_z))
    if not window:
        return
    wall.box(assembly, (opening.low, opening.high), across, (low_z, low_z + width))
    panes = max(1, round((opening.high - opening.low) / rng.uniform(0.6, 1.4)))
    for pane in range(1, panes):
        middle = opening.low + (opening.high - opening.low) * pane / panes
        wall.box(assembly, (middle - width / 2, middle + width / 2), across, (low_z, high_z))
    if opening.sill > 0.3 and rng.random() < 0.5:  # a board under the window
        board = wall.thickness / 2 + float(rng.uniform(0.03, 0.2))
        side = (-board, 0.0) if wall.sides[1] == OUTSIDE else (0.0, board)
        wall.box(assembly, (opening.low - 0.03, opening.high + 0.03), side, (low_z - 0.03, low_z))


def _add_leaf(
    assembly: Assembly, wall: Wall, opening: Opening, side: int, in_the_way: Footprints, floor_z: float,
    rng: np.random.Generator,
) -> list[np.ndarray]:  # fmt: skip
    """A leaf that stands open to a side of the wall (0 low, 1 high), hinged at a corner of the opening.

    Returns its footprint (5,); nothing where it would stand in the way.
    """
    left, across_sign = rng.random() < 0.5, 1 if side == 1 else -1
    width, thickness = opening.high - opening.low - 0.02, float(rng.uniform(0.03, 0.06))
    angle = np.deg2rad(rng.uniform(82, 115))  # from the closed position
    hinge_along = opening.low - thickness / 2 if left else opening.high + thickness / 2
    hinge = wall.point(hinge_along, (wall.thickness / 2 + 0.03) * across_sign, 0.0)
    along, across = (1 if left else -1) * np.cos(angle), across_sign * np.sin(angle)
    direction = np.array([along, across, 0.0]) if wall.axis == 0 else np.array([across, along, 0.0])
    centre, yaw = hinge + direction * width / 2, float(np.arctan2(direction[1], direction[0]))
    footprint = np.array([*centre[:2], width / 2, thickness / 2, yaw])
    # Beyond its tip there is a way round it: it never closes off a narrow part of a room.
    way_round = np.array([*(hinge + direction * (width + _WAY_ROUND_M) / 2)[:2], (width + _WAY_ROUND_M) / 2, 0.05, yaw])
    if not in_the_way.free(way_round):
        return []
    height = opening.head - 0.03
    assembly.turned_box(centre + (0, 0, floor_z + 0.01 + height / 2), (width, thickness, height), yaw_matrix(yaw))
    return [footprint]
