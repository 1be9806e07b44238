"""The synthetic rooms of Convolutional Occupancy Networks (Peng et al. 2020, section 4.2), in the unit cube, y up.

A ground plane, up to four walls, and objects of five ShapeNet classes that stand on the ground without overlap.
The published script leaves out one of the four walls by mistake and insets objects from the wrong ones; here
each wall is there with its probability, and objects keep within all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.convonet.samples import OccupancySamples, SurfaceSamples
from sparse_convonet.data.sets.shape_stock import CLASSES, ShapeStock, SolidShape
from sparse_convonet.mesh.surface_sampling import draw_in_triangles

# Objects per room -> range of their largest extent.
SCALES = {4: (0.25, 0.45), 5: (0.25, 0.40), 6: (0.20, 0.30), 7: (0.15, 0.25), 8: (0.10, 0.25)}
GROUND_UNIT = -0.5  # the lowest y; the floor is one thickness above
THICKNESS_UNIT = 0.01  # of ground and walls
SHORT_SIDE_UNIT = (0.3, 1.0)  # of the ground plane; the other side is 1
WALL_SHARE = 0.5
WALL_HEIGHT_UNIT = (0.2, 0.4)
QUERY_PADDING = 0.1  # the box of the queries is larger than the cube by this share
PLANE_LABEL = -1  # of walls and ground
_TRIES = 1000  # for a free place of one object; then the room is drawn anew
_ROOMS_DRAWN = 100
_FLOOR = GROUND_UNIT + THICKNESS_UNIT


@dataclass(frozen=True)
class PlacedShape:
    """A shape turned about y, scaled and moved: p = scale * turn @ q + shift."""

    synset: str
    name: str
    shape: SolidShape
    scale: float
    angle: float
    shift: np.ndarray  # (3,)

    @property
    def _turn(self) -> np.ndarray:
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) in the unit cube."""
        return self.shape.vertices @ (self._turn.T * self.scale) + self.shift

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which of the points (Q, 3), unit cube, lie inside: (Q,) bool."""
        vertices = self.vertices
        near = np.flatnonzero(((points >= vertices.min(axis=0)) & (points <= vertices.max(axis=0))).all(axis=1))
        inside = np.zeros(len(points), dtype=bool)
        inside[near] = self.shape.contains((points[near] - self.shift) @ self._turn / self.scale)
        return inside


@dataclass(frozen=True)
class PaperRoom:
    """sides: length of the ground in x and z.  walls: present at low z, low x, high z, high x."""

    sides: tuple[float, float]
    walls: tuple[bool, bool, bool, bool]
    wall_height: float
    objects: tuple[PlacedShape, ...]

    @property
    def boxes(self) -> np.ndarray:
        """Ground and walls as boxes (1 + W, 2, 3), low and high corner."""
        x, z = self.sides[0] / 2, self.sides[1] / 2
        top = _FLOOR + self.wall_height
        walls = (
            ((-x, _FLOOR, -z), (x, top, -z + THICKNESS_UNIT)),
            ((-x, _FLOOR, -z), (-x + THICKNESS_UNIT, top, z)),
            ((-x, _FLOOR, z - THICKNESS_UNIT), (x, top, z)),
            ((x - THICKNESS_UNIT, _FLOOR, -z), (x, top, z)),
        )
        kept = [wall for wall, there in zip(walls, self.walls, strict=True) if there]
        return np.array([((-x, GROUND_UNIT, -z), (x, _FLOOR, z)), *kept])

    @property
    def inner(self) -> np.ndarray:
        """Low and high corner (2, 2) in x and z of the ground within the walls."""
        low_z, low_x, high_z, high_x = (THICKNESS_UNIT * there for there in self.walls)
        x, z = self.sides[0] / 2, self.sides[1] / 2
        return np.array([[-x + low_x, -z + low_z], [x - high_x, z - high_z]])

    def describe(self) -> dict[str, object]:
        """Everything drawn, as plain values."""
        return {
            "sides": list(self.sides),
            "walls": list(self.walls),
            "wall_height": self.wall_height,
            "objects": [
                {
                    "synset": each.synset,
                    "class": CLASSES[each.synset],
                    "name": each.name,
                    "scale": each.scale,
                    "angle_deg": float(np.degrees(each.angle)),
                    "shift": each.shift.tolist(),
                }
                for each in self.objects
            ],
        }


def make_paper_room(objects: int, stock: ShapeStock, split: str, rng: np.random.Generator) -> PaperRoom:
    """Draw a room with 4 to 8 objects of one split; drawn anew where the objects find no place."""
    if objects not in SCALES:
        raise ValueError(f"objects: expected one of {sorted(SCALES)}, found {objects}")
    for _ in range(_ROOMS_DRAWN):
        room = _try_room(objects, stock, split, rng)
        if room is not None:
            return room
    raise ValueError(f"rooms: expected a place for {objects} objects within {_ROOMS_DRAWN} rooms, found none")


def _try_room(objects: int, stock: ShapeStock, split: str, rng: np.random.Generator) -> PaperRoom | None:
    synsets = sorted(CLASSES)
    chosen = []
    for _ in range(objects):
        synset = synsets[int(rng.integers(len(synsets)))]
        names = stock.names(synset, split)
        chosen.append((synset, names[int(rng.integers(len(names)))]))
    extents = rng.uniform(*SCALES[objects], objects)
    short = float(rng.uniform(*SHORT_SIDE_UNIT))
    sides = (1.0, short) if rng.random() < 0.5 else (short, 1.0)
    angles = rng.uniform(0, 2 * np.pi, objects)
    walls = rng.random(4) < WALL_SHARE
    height = float(rng.uniform(*WALL_HEIGHT_UNIT))
    empty = PaperRoom(sides, (bool(walls[0]), bool(walls[1]), bool(walls[2]), bool(walls[3])), height, ())
    low, high = empty.inner
    taken: list[np.ndarray] = []
    placed = []
    for (synset, name), extent, angle in zip(chosen, extents, angles, strict=True):
        shape = stock.load(synset, name)
        scale = float(extent / np.ptp(shape.vertices, axis=0).max())
        piece = PlacedShape(synset, name, shape, scale, float(angle), np.zeros(3))
        bounds = np.stack([piece.vertices.min(axis=0), piece.vertices.max(axis=0)])
        size = (bounds[1] - bounds[0])[[0, 2]]
        place = _free_place(low, high - size, size, taken, rng)
        if place is None:
            return None
        taken.append(np.stack([place, place + size]))
        shift = np.array([place[0], _FLOOR, place[1]]) - bounds[0]
        placed.append(PlacedShape(synset, name, shape, scale, float(angle), shift))
    return PaperRoom(sides, empty.walls, height, tuple(placed))


def _free_place(
    low: np.ndarray, high: np.ndarray, size: np.ndarray, taken: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray | None:
    """A low corner between low and high (2,) where a box of that size meets none of those taken."""
    if (high < low).any():
        return None
    for _ in range(_TRIES):
        place = rng.uniform(low, high)
        if all((place >= other[1]).any() or (place + size <= other[0]).any() for other in taken):
            return place
    return None


def sample_room_surface(room: PaperRoom, count: int, plane_density: float, rng: np.random.Generator) -> SurfaceSamples:
    """Points uniform by area on the objects, and with plane_density times their density on walls and ground.

    Of the ground only the top within the walls is sampled, of the walls only the side towards the room; of the
    objects the whole surface.  Semantics: 0 to 4 in the order of CLASSES, PLANE_LABEL for walls and ground.
    """
    parts = [(piece.vertices[piece.shape.faces], sorted(CLASSES).index(piece.synset), 1.0) for piece in room.objects]
    parts += [(triangles, PLANE_LABEL, plane_density) for triangles in _plane_triangles(room)]
    corners = np.concatenate([triangles for triangles, _, _ in parts])  # (F, 3, 3)
    labels = np.concatenate([np.full(len(triangles), label) for triangles, label, _ in parts])
    density = np.concatenate([np.full(len(triangles), share) for triangles, _, share in parts])
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(crossed, axis=1)
    cumulative = np.cumsum(doubled * density)
    face = np.searchsorted(cumulative, rng.random(count) * cumulative[-1], side="right").clip(max=len(corners) - 1)
    points = draw_in_triangles(corners[face], rng)
    return SurfaceSamples(points, crossed[face] / doubled[face, None], labels[face])


def _plane_triangles(room: PaperRoom) -> list[np.ndarray]:
    """The sampled sides of ground and walls, two triangles (2, 3, 3) each, facing the room."""
    (x0, z0), (x1, z1) = room.inner
    y0, y1 = _FLOOR, _FLOOR + room.wall_height
    quads = [[(x0, y0, z0), (x0, y0, z1), (x1, y0, z1), (x1, y0, z0)]]  # seen from above
    sides = (
        [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)],  # low z, facing +z
        [(x0, y0, z1), (x0, y0, z0), (x0, y1, z0), (x0, y1, z1)],  # low x, facing +x
        [(x1, y0, z1), (x0, y0, z1), (x0, y1, z1), (x1, y1, z1)],  # high z, facing -z
        [(x1, y0, z0), (x1, y0, z1), (x1, y1, z1), (x1, y1, z0)],  # high x, facing -x
    )
    quads += [side for side, there in zip(sides, room.walls, strict=True) if there]
    return [np.array(quad)[[[0, 1, 2], [0, 2, 3]]] for quad in quads]


def sample_room_occupancy(room: PaperRoom, queries: np.ndarray) -> OccupancySamples:
    """Truth at queries (Q, 3), unit cube.  Semantics: the class inside, PLANE_LABEL in walls and ground; outside
    the number of solids, as the published files have it."""
    boxes = room.boxes
    semantics = np.full(len(queries), len(room.objects) + len(boxes))
    for piece in room.objects:
        semantics[piece.contains(queries)] = sorted(CLASSES).index(piece.synset)
    in_plane = np.zeros(len(queries), dtype=bool)
    for low, high in boxes:
        in_plane |= ((queries > low) & (queries < high)).all(axis=1)
    semantics[in_plane] = PLANE_LABEL
    return OccupancySamples(queries, semantics < len(room.objects) + len(boxes), semantics)


def room_queries(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) float64 uniform in the padded unit cube."""
    return rng.uniform(-0.5, 0.5, (count, 3)) * (1 + QUERY_PADDING)
