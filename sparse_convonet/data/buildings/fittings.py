"""What is fixed to a room besides furniture: skirting boards, beams, pilasters, columns, lowered ceilings,
curtains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import Opening, Rectangle, Wall
from sparse_convonet.data.buildings.footprints import Footprints, overlaps
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place


def add_room_fittings(
    assembly: Assembly, place: Place, walls: list[tuple[Wall, int]], taken: list[np.ndarray], ceiling: bool,
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], float]:  # fmt: skip
    """Skirting, beams, ducts or a pilaster now and then.

    Returns the footprints (5,) of what reaches the floor, and the height that is left below beams and ducts.
    """
    solid = [(wall, side) for wall, side in walls if wall.solid]
    if rng.random() < 0.25:
        _add_skirting(assembly, place, solid, rng)
    clear_height = place.height
    if ceiling and rng.random() < 0.15:
        clear_height = min(clear_height, _add_beams(assembly, place, rng))
    if ceiling and rng.random() < 0.12:
        clear_height = min(clear_height, _add_ducts(assembly, place, rng))
    footprints = []
    if solid and place.kind != "hall" and rng.random() < 0.15:  # in a hall it would rise through the galleries
        wall, side = solid[rng.integers(len(solid))]
        half, depth = float(rng.uniform(0.1, 0.3)), float(rng.uniform(0.08, 0.4))
        along = float(rng.uniform(wall.low + half, max(wall.high - half, wall.low + half + 0.01)))
        reach = wall.thickness / 2 + depth
        middle = wall.point(along, side * reach / 2, 0.0)[:2]
        footprint = np.array([*middle, *((half, reach / 2) if wall.axis == 0 else (reach / 2, half)), 0.0])
        plain = all(opening.low > along + half or opening.high < along - half for opening in wall.openings)
        if plain and wall.length > 2 * half and Footprints(taken).free(footprint):
            across = (0.0, reach) if side > 0 else (-reach, 0.0)
            wall.box(assembly, (along - half, along + half), across, (place.floor_z, place.floor_z + place.height))
            footprints.append(footprint)
    return footprints, clear_height


def _add_skirting(assembly: Assembly, place: Place, walls: list[tuple[Wall, int]], rng: np.random.Generator) -> None:
    height, depth = float(rng.uniform(0.05, 0.15)), float(rng.uniform(0.01, 0.025))
    for wall, side in walls:
        doors = sorted((opening.low, opening.high) for opening in wall.openings if opening.sill < height)
        start = wall.low
        faces = (side * wall.thickness / 2, side * (wall.thickness / 2 + depth))
        for low, high in [*doors, (wall.high, wall.high)]:
            wall.box(assembly, (start, low), (min(faces), max(faces)), (place.floor_z, place.floor_z + height))
            start = high


def _add_beams(assembly: Assembly, place: Place, rng: np.random.Generator) -> float:
    """Parallel beams under the ceiling across the whole of every rectangle. Returns the height below them."""
    width, depth, pitch = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.35), rng.uniform(0.7, 2.5)
    top = place.floor_z + place.height
    if place.height - depth < 2.1:
        return place.height
    axis = int(rng.integers(2))
    for x0, y0, x1, y1 in place.rectangles:
        low, high = ((x0, x1), (y0, y1))[axis]
        for middle in np.arange(low + pitch / 2, high, pitch):
            across = (middle - width / 2, middle + width / 2)
            xs, ys = (across, (y0, y1)) if axis == 0 else ((x0, x1), across)
            assembly.box((xs[0], ys[0], top - depth), (xs[1], ys[1], top + 0.01))
    return float(place.height - depth)


def _add_ducts(assembly: Assembly, place: Place, rng: np.random.Generator) -> float:
    """Round pipes or square ducts under the ceiling, through the whole of one rectangle. Returns the height below them."""
    x0, y0, x1, y1 = place.rectangles[rng.integers(len(place.rectangles))]
    half, top = float(rng.uniform(0.03, 0.2)), place.floor_z + place.height
    below = half + float(rng.uniform(0.01, 0.3))
    if place.height - below - half < 2.1:
        return place.height
    along_x = rng.random() < 0.5
    low, high = (y0, y1) if along_x else (x0, x1)
    square = rng.random() < 0.5
    for across in rng.uniform(low + 2 * half + 0.1, high - 2 * half - 0.1, int(rng.integers(1, 4))):
        start, end = ((x0, across), (x1, across)) if along_x else ((across, y0), (across, y1))
        if square:
            assembly.beam((*start, top - below), (*end, top - below), 2 * half, 2 * half)
        else:
            assembly.rod((*start, top - below), (*end, top - below), half)
    return place.height - below - half


@dataclass(frozen=True)
class Galleries:
    """What hangs over a part of a hall: rectangles of galleries and of the void between them, the galleries' underside."""

    galleries: tuple[Rectangle, ...] = ()
    voids: tuple[Rectangle, ...] = ()
    underside_z: float = np.inf

    def top(self, footprint: np.ndarray, ceiling_z: float) -> float:
        """How high a column can rise: to the gallery it touches, or to the ceiling."""
        middle = [
            [(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, 0.0] for x0, y0, x1, y1 in self.galleries
        ]
        below = overlaps(footprint, np.array(middle).reshape(-1, 5)).any()
        return min(ceiling_z, self.underside_z) if below else ceiling_z

    def edge_points(self, pitch: float, inset: float) -> list[np.ndarray]:
        """Points (2,) about `pitch` apart under the galleries, `inset` from their edge to the void."""
        points = []
        for x0, y0, x1, y1 in self.voids:
            for axis, (low, high) in enumerate(((x0, x1), (y0, y1))):
                count = max(1, round((high - low) / pitch))
                along = low + (high - low) * (np.arange(count) + 0.5) / count
                for side in ((y0 - inset, y1 + inset), (x0 - inset, x1 + inset))[axis]:
                    points += [np.array([a, side] if axis == 0 else [side, a]) for a in along]
        return [p for p in points if any(g[0] < p[0] < g[2] and g[1] < p[1] < g[3] for g in self.galleries)]


def add_columns(
    assembly: Assembly, place: Place, taken: list[np.ndarray], above: Galleries, rng: np.random.Generator
) -> list[np.ndarray]:
    """Columns in rows in large places, and under the edges of galleries. Returns their footprints (5,)."""
    footprints: list[np.ndarray] = []
    low, high = place.rectangles[:, :2].min(axis=0), place.rectangles[:, 2:].max(axis=0)
    half, pitch, round_columns = float(rng.uniform(0.08, 0.3)), rng.uniform(2.5, 5.0, size=2), rng.random() < 0.5
    points: list[np.ndarray] = []
    if (high - low).min() > 4.5 and rng.random() < (0.4 if place.kind == "hall" else 0.25):
        counts = np.maximum(1, np.floor((high - low) / pitch)).astype(int)
        points += [low + (high - low) * (np.array(place_in_row) + 0.5) / counts for place_in_row in np.ndindex(*counts)]
    if rng.random() < 0.6:
        points += above.edge_points(float(pitch[0]), half + 0.02)
    occupied, floor = Footprints(taken), place.floor_z
    for x, y in points:
        footprint = np.array([x, y, half, half, 0.0])
        corners = np.array([[x + a * half, y + b * half] for a in (-1.2, 1.2) for b in (-1.2, 1.2)])
        if place.contains(corners).all() and occupied.free(footprint, 0.05):
            top = above.top(footprint, floor + place.height)
            if round_columns:
                assembly.rod((x, y, floor), (x, y, top), half)
            else:
                assembly.box((x - half, y - half, floor), (x + half, y + half, top))
            footprints.append(footprint)
            occupied.add(footprint)
    return footprints


def add_lowered_ceiling(assembly: Assembly, place: Place, rng: np.random.Generator) -> float:
    """A thin ceiling below the slab. Returns the clear height that is left."""
    drop, thickness = float(rng.uniform(0.15, 0.5)), float(rng.uniform(0.015, 0.05))
    if place.height - drop < 2.25:
        return place.height
    z = place.floor_z + place.height - drop
    for x0, y0, x1, y1 in place.rectangles:
        assembly.box((x0, y0, z), (x1, y1, z + thickness))
    return place.height - drop


def add_curtains(
    assembly: Assembly, wall: Wall, side: int, opening: Opening, place: Place, rng: np.random.Generator
) -> np.ndarray:
    """Folded cloth beside or before a window: a row of thin boxes in zigzag. Returns the footprint (5,)."""
    low_z = place.floor_z + float(rng.choice([0.02, max(opening.sill - 0.1, 0.02)]))
    high_z = place.floor_z + min(opening.head + 0.15, place.height - 0.02)
    cover = float(rng.uniform(0.2, 1.0))
    fold, depth, thickness = rng.uniform(0.08, 0.16), rng.uniform(0.03, 0.07), 0.012
    distance = wall.thickness / 2 + 0.08
    end = opening.low + (opening.high - opening.low) * cover
    for number, along in enumerate(np.arange(opening.low - 0.05, end, fold)):
        sign = 1 if number % 2 else -1
        start = wall.point(along, side * (distance - sign * depth / 2), (low_z + high_z) / 2)
        stop = wall.point(along + fold, side * (distance + sign * depth / 2), (low_z + high_z) / 2)
        assembly.beam(start, stop, thickness, high_z - low_z)
    centre = wall.point((opening.low + end) / 2, side * distance, 0.0)[:2]
    half = ((end - opening.low) / 2 + 0.15, depth + 0.03)
    return np.array([*centre, *(half if wall.axis == 0 else half[::-1]), 0.0])
