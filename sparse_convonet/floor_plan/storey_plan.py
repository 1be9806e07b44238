"""Stage floor_plan: the plan of one storey, from its sections and from where points were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry import MultiPolygon, Polygon
from shapely.ops import polylabel

from sparse_convonet.floor_plan.holes import PartedRooms, part_holes
from sparse_convonet.floor_plan.openings import Opening, find_openings
from sparse_convonet.floor_plan.outlines import polygons_where, room_polygon
from sparse_convonet.floor_plan.sections import SECTION_M, Raster, Sections
from sparse_convonet.floor_plan.seen import SeenPlaces
from sparse_convonet.floor_plan.segmentation import OUTSIDE, find_rooms
from sparse_convonet.floor_plan.wall_faces import WallFace, wall_faces

_TOLERANCE_CELLS = 0.25  # of straightening
_SEEN_VOXELS = (
    1.0  # a face of a wall was seen where points are so near; the back of most walls is farther from their front
)
_SCANNED_SHARE = 0.5  # of a room that was scanned
_FLOOR_SHARE = 0.35  # a room of which less floor was seen is open to the storey below, if there is one
_SMALLEST_FURNITURE_M2 = 0.02


@dataclass(frozen=True)
class Room:
    """number: from 1.  outline: world metres; columns and open parts are its holes.  has_floor: else it is open to the
    storey below.  scanned: share of it near points, seen from above."""

    number: int
    outline: Polygon
    has_floor: bool
    scanned: float
    walls: tuple[WallFace, ...]

    @property
    def label_place(self) -> np.ndarray:
        """(2,) metres: well inside."""
        point = polylabel(self.outline, 0.05)
        return np.array([point.x, point.y])


@dataclass(frozen=True)
class StoreyPlan:
    """World metres, z up.  number: from 1, the lowest.  step_m: of the raster.  Walls and furniture are areas; guessed:
    parts (N, 2) of the outline of walls that no point is near.  rooms: numbers in `between` and `behind` of openings and
    walls are those of rooms, OUTSIDE_ROOM, or UNKNOWN_ROOM.  unscanned: enclosed places that were left out."""

    number: int
    floor_z: float
    step_m: float
    walls: MultiPolygon
    furniture: MultiPolygon
    guessed: tuple[np.ndarray, ...]
    rooms: tuple[Room, ...]
    openings: tuple[Opening, ...]
    unscanned: int

    @property
    def section_z(self) -> float:
        """Height of the section."""
        return self.floor_z + SECTION_M


OUTSIDE_ROOM, UNKNOWN_ROOM = 0, -1


def plan_storey(
    number: int, floor_z: float, sections: Sections, seen: SeenPlaces, *, cell_size_m: float, voxel_size_m: float
) -> StoreyPlan:
    """Find the rooms of a storey, and draw the outlines of what stands in it."""
    raster, tolerance_m = sections.raster, _TOLERANCE_CELLS * cell_size_m
    whole = find_rooms(sections, seen.indoors)
    parted = part_holes(whole, sections, seen.open_below)
    segmentation = parted.segmentation
    names = _room_numbers(parted, seen)
    near_m = _SEEN_VOXELS * voxel_size_m
    rooms = []
    for label, room_number in names.items():
        if room_number > 0:
            mask = (segmentation.labels == label) & ~segmentation.in_opening
            outline = room_polygon(mask, segmentation.wall, raster, tolerance_m)
            faces = wall_faces(outline, segmentation, seen, raster, near_m)
            rooms.append(
                Room(
                    room_number,
                    outline,
                    number == 1 or (label not in parted.holes and bool(seen.floor[mask].mean() >= _FLOOR_SHARE)),
                    float(seen.storey[mask].mean()),
                    tuple(_renamed_face(face, names) for face in faces),
                )
            )
    openings = [_renamed_opening(each, parted, raster, names) for each in find_openings(sections, whole)]
    walls = polygons_where(segmentation.wall, raster, tolerance_m)
    loose = np.where(sections.section & (segmentation.wall <= 0), 1.0, -1.0)
    furniture = [
        part for part in polygons_where(loose, raster, tolerance_m).geoms if part.area >= _SMALLEST_FURNITURE_M2
    ]
    return StoreyPlan(
        number,
        floor_z,
        raster.step_m,
        walls,
        MultiPolygon(furniture),
        tuple(_guessed(walls, seen, sections, near_m)),
        tuple(rooms),
        tuple(each for each in openings if max(each.between) > 0),
        sum(names[label] == UNKNOWN_ROOM for label in segmentation.rooms),
    )


def _room_numbers(parted: PartedRooms, seen: SeenPlaces) -> dict[int, int]:
    """Label -> number of the room, OUTSIDE_ROOM, or UNKNOWN_ROOM where it was not scanned or has no place to itself."""
    names, last, segmentation = {0: UNKNOWN_ROOM, OUTSIDE: OUTSIDE_ROOM}, 0, parted.segmentation
    for label in segmentation.rooms:
        mask = (segmentation.labels == label) & ~segmentation.in_opening
        if mask.any() and (label in parted.holes or seen.storey[mask].mean() >= _SCANNED_SHARE):
            last += 1
            names[label] = last
        else:
            names[label] = UNKNOWN_ROOM
    return names


def _renamed_face(face: WallFace, names: dict[int, int]) -> WallFace:
    return WallFace(face.start, face.end, face.thickness_m, names[face.behind], face.seen)


def _renamed_opening(opening: Opening, parted: PartedRooms, raster: Raster, names: dict[int, int]) -> Opening:
    a, b = (names[parted.part_at(label, opening.centre, raster)] for label in opening.between)
    return Opening(opening.kind, opening.ends, (a, b))


def _guessed(walls: MultiPolygon, seen: SeenPlaces, sections: Sections, near_m: float) -> list[np.ndarray]:
    """Parts (N, 2) of the outlines of walls that are farther than near_m from all points."""
    raster, parts = sections.raster, []
    for polygon in walls.geoms:
        for ring in (polygon.exterior, *polygon.interiors):
            line = np.asarray(ring.segmentize(near_m).coords)
            places = np.clip(np.round(raster.to_places(line)).astype(int), 0, np.array(raster.shape) - 1)
            far = seen.wall_m[tuple(places.T)] > near_m
            for run in np.split(np.arange(len(line)), np.flatnonzero(np.diff(far)) + 1):
                if far[run[0]] and len(run) > 1:
                    parts.append(line[run])
    return parts
