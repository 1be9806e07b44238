"""Stage floor_plan: rooms.json, which says in numbers what the drawings show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shapely.geometry import Polygon

from sparse_convonet.floor_plan.openings import Opening
from sparse_convonet.floor_plan.plan_frame import PlanFrame
from sparse_convonet.floor_plan.sections import SECTION_M, WALL_HEIGHTS_M
from sparse_convonet.floor_plan.storey_plan import OUTSIDE_ROOM, Room, StoreyPlan
from sparse_convonet.floor_plan.wall_faces import WallFace

_METRE_DIGITS = 4  # a tenth of a millimetre


def write_rooms(path: Path, plans: Sequence[StoreyPlan], frame: PlanFrame) -> None:
    """Write all storeys, the lowest first."""
    path.write_text(json.dumps(rooms_of(plans, frame), indent=1) + "\n", encoding="utf-8")


def rooms_of(plans: Sequence[StoreyPlan], frame: PlanFrame) -> dict[str, Any]:
    """What rooms.json says."""
    return {
        "units": "m",
        "frame": {"x": frame.axes[0], "y": frame.axes[1], "height": frame.axes[2]},
        "metres_per_unit_of_the_scan": frame.metres_per_unit,
        "crs": frame.crs,
        "section_above_floor": SECTION_M,
        "walls_are_solid_at": list(WALL_HEIGHTS_M),
        "storeys": [_storey(plan) for plan in plans],
    }


def summary_of(plans: Sequence[StoreyPlan]) -> list[dict[str, Any]]:
    """What report.json says of them."""
    return [
        {
            "floor_z_m": round(plan.floor_z, 2),
            "rooms": len(plan.rooms),
            "area_m2": round(sum(room.outline.area for room in plan.rooms if room.has_floor), 1),
            "room_areas_m2": {str(room.number): round(room.outline.area, 1) for room in plan.rooms},
            "open_to_the_storey_below": [room.number for room in plan.rooms if not room.has_floor],
            "doors": sum(opening.kind in ("door", "passage") for opening in plan.openings),
            "windows": sum(opening.kind == "window" for opening in plan.openings),
        }
        for plan in plans
    ]


def _storey(plan: StoreyPlan) -> dict[str, Any]:
    return {
        "number": plan.number,
        "floor_z": _metres(plan.floor_z),
        "section_z": _metres(plan.section_z),
        "raster_step": round(plan.step_m, 5),
        "rooms": [_room(room) for room in plan.rooms],
        "openings": [_opening(opening) for opening in plan.openings],
        "enclosed_but_not_scanned": plan.unscanned,
    }


def _room(room: Room) -> dict[str, Any]:
    outline: Polygon = room.outline
    centre = outline.centroid
    return {
        "number": room.number,
        "area_m2": round(outline.area, 3),
        "perimeter": _metres(outline.exterior.length),
        "centre": [_metres(centre.x), _metres(centre.y)],
        "open_to_the_storey_below": not room.has_floor,
        "scanned": round(room.scanned, 3),
        "outline": _line(np.asarray(outline.exterior.coords)),
        "holes": [_line(np.asarray(hole.coords)) for hole in outline.interiors],
        "walls": [_wall(wall) for wall in room.walls],
    }


def _wall(wall: WallFace) -> dict[str, Any]:
    return {
        "start": _line(wall.start[None])[0],
        "end": _line(wall.end[None])[0],
        "thickness": None if wall.thickness_m is None else round(wall.thickness_m, 3),
        "behind": _side(wall.behind),
        "seen": round(wall.seen, 2),
    }


def _opening(opening: Opening) -> dict[str, Any]:
    return {
        "kind": opening.kind,
        "centre": _line(opening.centre[None])[0],
        "ends": _line(opening.ends),
        "width": round(opening.width_m, 3),
        "between": [_side(side) for side in opening.between],
    }


def _side(number: int) -> int | str | None:
    """A room's number, "outside", or None where nothing was scanned or it cannot be told."""
    if number > 0:
        return number
    return "outside" if number == OUTSIDE_ROOM else None


def _line(points: np.ndarray) -> list[list[float]]:
    return [[_metres(x), _metres(y)] for x, y in points]


def _metres(value: float) -> float:
    return round(float(value), _METRE_DIGITS)
