"""Furnish one place: pieces along the walls and free-standing, small things on top, things on walls and ceiling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import Wall
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.buildings.joinery import KINDS, Joinery, build
from sparse_convonet.data.furniture.library import FurnitureLibrary, FurnitureModel
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.placement import PlacedFurniture
from sparse_convonet.data.scenes.solids import yaw_matrix

_ATTEMPTS = 12
_GAP_M = 0.01  # between two pieces, and between a piece and a wall
_WALL_KINDS = ("storage", "sofa", "bed", "desk", "kitchen", "bathroom", "heating", "appliance")
_HEADROOM_M = 0.02
# Of table, shelf, cupboard, chair, bench, counter, plant, screen, crates.
_JOINERY_SHARES = (0.22, 0.18, 0.18, 0.13, 0.05, 0.03, 0.11, 0.05, 0.05)
_THEMES = ("Living room", "Bedroom", "Kitchen", "Bathroom", "Office", "Miscellaneous")
_WEIGHTS = {"chair": 0.6, "table": 1.0, "carpet": 0.3, "sport": 0.3, "small": 0.6}


@dataclass(frozen=True)
class Stock:
    """What can be placed, sorted by where it goes."""

    floor: tuple[FurnitureModel, ...]
    top: tuple[FurnitureModel, ...]
    wall: tuple[FurnitureModel, ...]
    ceiling: tuple[FurnitureModel, ...]

    @classmethod
    def of(cls, library: FurnitureLibrary) -> Stock:
        return cls(*(library.of_placement(kind).models for kind in ("floor", "top", "wall", "ceiling")))


class Furnisher:
    """Fills one place. `walls` border it, `side` is +1 where the place lies above the wall's line, else -1."""

    def __init__(
        self, assembly: Assembly, stock: Stock, place: Place, walls: list[tuple[Wall, int]], obstacles: list[np.ndarray],
        ceiling: bool, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self.assembly = assembly
        self.stock = stock
        self.place = place
        self.walls = [(wall, side) for wall, side in walls if wall.solid]
        self.ceiling = ceiling
        self.rng = rng
        self.taken = Footprints([*(wall.footprint() for wall, _ in walls), *obstacles])
        self._bounds = np.array([place.rectangles[:, :2].min(axis=0), place.rectangles[:, 2:].max(axis=0)])

    def fill(self, density: float, joinery_share: float, theme: str | None = None) -> None:
        """Furnish up to `density`, the share of the floor that stands full at most (0: empty, 0.3: crowded)."""
        rng = self.rng
        theme = theme or str(rng.choice(_THEMES))
        budget, spent, failures = density * self.place.area_m2, 0.0, 0
        while spent < budget and failures < 8:
            area = self._place_joinery() if rng.random() < joinery_share else self._place_model(theme)
            failures = failures + 1 if area == 0 else 0
            spent += area
        for _ in range(rng.poisson(min(4.0, 0.4 * len(self.walls)) * min(1.0, density / 0.1))):
            self._hang_on_wall()
        for _ in range(rng.poisson(min(6.0, self.place.area_m2 / 12.0))):
            self._hang_from_ceiling()

    def shelve(self) -> None:
        """Parallel rows of shelves or benches, as in shops, libraries and lecture rooms."""
        rng = self.rng
        kind = str(rng.choice(["shelf", "shelf", "bench", "table"]))
        piece = KINDS[kind](rng)
        aisle, yaw = rng.uniform(0.9, 1.8), float(rng.choice([0.0, np.pi / 2]))
        along, across = (0, 1) if yaw == 0 else (1, 0)
        pitch = np.array([piece.size[0] + rng.choice([0.0, 0.6]), piece.size[1] + aisle])
        low, high = self._bounds + np.array([[0.9], [-0.9]])
        for a in np.arange(low[along] + piece.size[0] / 2, high[along] - piece.size[0] / 2, pitch[0]):
            for b in np.arange(low[across] + piece.size[1] / 2, high[across] - piece.size[1] / 2, pitch[1]):
                position = np.zeros(2)
                position[[along, across]] = a, b
                footprint = np.array([*position, *(piece.size[:2] / 2), yaw])
                if rng.random() < 0.92 and self._fits(footprint, piece.size[2], 0.0):
                    self._build(piece, footprint)

    def _fits(self, footprint: np.ndarray, height: float, gap: float) -> bool:
        inside = self.place.contains(footprint[None, :2])[0] and height < self.place.height - _HEADROOM_M
        return bool(inside and self.taken.free(footprint, gap))

    def _at_wall(self, size: np.ndarray) -> tuple[np.ndarray, float] | None:
        """A footprint with its back to a wall and the sill of the lowest window behind it."""
        rng = self.rng
        usable = [(wall, side) for wall, side in self.walls if wall.length > size[0] + 0.1]
        if not usable:
            return None
        wall, side = usable[rng.integers(len(usable))]
        slack = wall.length - size[0] - wall.thickness
        share = float(rng.choice([0.0, 1.0, rng.random()], p=[0.15, 0.15, 0.7]))
        along = wall.low + wall.thickness / 2 + size[0] / 2 + max(slack, 0.0) * share
        gap = float(rng.choice([0.0, rng.uniform(0.01, 0.12)]))
        point = wall.point(along, side * (wall.thickness / 2 + size[1] / 2 + gap), 0.0)
        behind = (o for o in wall.openings if o.low < along + size[0] / 2 and o.high > along - size[0] / 2)
        sill = min((opening.sill for opening in behind), default=np.inf)
        # The back, +y of the piece, turns towards the wall: away from the place.
        yaw = (np.pi if side > 0 else 0.0) if wall.axis == 0 else (np.pi / 2 if side > 0 else -np.pi / 2)
        return np.array([*point[:2], size[0] / 2, size[1] / 2, yaw]), float(sill)

    def _anywhere(self, size: np.ndarray) -> np.ndarray:
        rng = self.rng
        square = rng.random() < 0.4
        yaw = float(rng.integers(4) * np.pi / 2) if square else float(rng.uniform(0, 2 * np.pi))
        position = rng.uniform(self._bounds[0], self._bounds[1])
        return np.array([*position, size[0] / 2, size[1] / 2, yaw])

    def _find_spot(self, size: np.ndarray, at_wall: bool) -> np.ndarray | None:
        for _ in range(_ATTEMPTS):
            if at_wall:
                spot = self._at_wall(size)
                if spot is None:
                    return None
                footprint, sill = spot
                if size[2] > sill + 0.3 and self.rng.random() < 0.8:
                    continue
                gap = 0.0
            else:
                footprint, gap = self._anywhere(size), _GAP_M
            if self._fits(footprint, size[2], gap):
                return footprint
        return None

    def _place_joinery(self) -> float:
        rng = self.rng
        piece = KINDS[str(rng.choice(list(KINDS), p=_JOINERY_SHARES))](rng)
        footprint = self._find_spot(piece.size, piece.against_wall)
        if footprint is None:
            return 0.0
        self._build(piece, footprint)
        if piece.tops and piece.size[2] < 0.8 and rng.random() < 0.6:
            self._add_chairs(footprint)
        return float(piece.size[0] * piece.size[1])

    def _build(self, piece: Joinery, footprint: np.ndarray) -> None:
        self.taken.add(footprint)
        build(self.assembly, piece, np.array([*footprint[:2], self.place.floor_z]), footprint[4])
        for x0, y0, x1, y1, z in piece.tops:
            on_top = Footprints([])
            for _ in range(self.rng.poisson(2.0 * min(1.0, (x1 - x0) * (y1 - y0)))):
                model, scale = self._draw_small(min(x1 - x0, y1 - y0), self.place.height - z)
                if model is None:
                    continue
                half = model.size_m[:2] * scale / 2
                yaw = float(self.rng.uniform(0, 2 * np.pi))
                reach = np.abs(yaw_matrix(yaw)[:2, :2]) @ half
                if (2 * reach > (x1 - x0, y1 - y0)).any():
                    continue
                local = self.rng.uniform(np.array([x0, y0]) + reach, np.array([x1, y1]) - reach)
                spot = np.array([*local, *half, yaw])
                if on_top.free(spot, _GAP_M):
                    on_top.add(spot)
                    planar = yaw_matrix(footprint[4])[:2, :2] @ local + footprint[:2]
                    self._put(model, np.array([*planar, self.place.floor_z + z]), yaw + footprint[4], scale)

    def _place_model(self, theme: str) -> float:
        rng = self.rng
        pool = self.stock.floor
        if not pool:
            return 0.0
        fitting = [model for model in pool if model.room == theme] if rng.random() < 0.75 else []
        fitting = fitting or list(pool)
        weights = np.array([_WEIGHTS.get(model.category, 1.0) for model in fitting])
        model = fitting[rng.choice(len(fitting), p=weights / weights.sum())]
        scale = float(rng.uniform(0.9, 1.1))
        size = model.size_m * scale
        footprint = self._find_spot(size, rng.random() < (0.85 if model.category in _WALL_KINDS else 0.25))
        if footprint is None:
            return 0.0
        self.taken.add(footprint)
        piece = self._put(model, np.array([*footprint[:2], self.place.floor_z]), footprint[4], scale)
        if 0.3 < size[2] < 1.4:
            self._load(piece)
        if model.category in ("table", "desk") and rng.random() < 0.6:
            self._add_chairs(footprint)
        return float(size[0] * size[1])

    def _add_chairs(self, table: np.ndarray) -> None:
        """Chairs around a table, facing it, some pulled out or turned."""
        rng = self.rng
        chairs = [model for model in self.stock.floor if model.category == "chair"]
        use_model = bool(chairs) and rng.random() < 0.7
        model = chairs[rng.integers(len(chairs))] if use_model else None
        piece = None if model else KINDS["chair"](rng)
        size = model.size_m if model else piece.size if piece else np.zeros(3)
        for quarter in range(4):
            side_length = 2 * table[2 + quarter % 2]
            for k in range(int(side_length / 0.7) if rng.random() < 0.8 else 0):
                # Outside edge `quarter`: 0 is -y, then counter-clockwise; the chair's front (-y) turns to the table.
                yaw = table[4] + quarter * np.pi / 2
                along = (k + 0.5) * side_length / max(1, int(side_length / 0.7)) - side_length / 2
                away = table[2 + (quarter + 1) % 2] + size[1] / 2 + rng.uniform(0.02, 0.25)
                planar = table[:2] + yaw_matrix(yaw)[:2, :2] @ np.array([along, -away])
                footprint = np.array([*planar, *(size[:2] / 2), yaw + np.pi + rng.normal(0, 0.15)])
                if self._fits(footprint, size[2], 0.0):
                    self.taken.add(footprint)
                    if model:
                        self._put(model, np.array([*planar, self.place.floor_z]), footprint[4], 1.0)
                    elif piece:
                        build(self.assembly, piece, np.array([*planar, self.place.floor_z]), footprint[4])

    def _draw_small(self, room: float, height: float) -> tuple[FurnitureModel | None, float]:
        if not self.stock.top:
            return None, 1.0
        model = self.stock.top[self.rng.integers(len(self.stock.top))]
        scale = float(self.rng.uniform(0.9, 1.1))
        fits = model.size_m[:2].max() * scale < room and model.size_m[2] * scale < height - _HEADROOM_M
        return (model, scale) if fits else (None, scale)

    def _load(self, support: PlacedFurniture) -> None:
        """Small things on the level parts of a piece's upper side."""
        rng, voxel = self.rng, support.model.voxel_size_m
        heights = _top_heights(support.model)
        on_top = Footprints([])
        for _ in range(rng.poisson(1.5)):
            model, scale = self._draw_small(
                min(support.model.size_m[:2]) * support.scale, self.place.height - support.box[1][2] + support.box[0][2]
            )
            if model is None:
                continue
            yaw = float(rng.uniform(0, 2 * np.pi))
            half = model.size_m[:2] * scale / 2
            reach = np.abs(yaw_matrix(yaw)[:2, :2]) @ half / support.scale  # in the support's unscaled frame
            room = support.model.size_m[:2] / 2 - reach
            if (room <= 0).any():
                continue
            local = rng.uniform(-room, room)
            first = np.floor((local - reach + support.model.size_m[:2] / 2) / voxel).astype(int).clip(min=0)
            last = np.ceil((local + reach + support.model.size_m[:2] / 2) / voxel).astype(int)
            under = heights[first[0] : last[0], first[1] : last[1]]
            spot = np.array([*local * support.scale, *half, yaw])
            if under.min() < 0.25 or np.ptp(under) > 1.5 * voxel or not on_top.free(spot, _GAP_M):
                continue
            on_top.add(spot)
            mirror = np.array([-1.0 if support.mirrored else 1.0, 1.0])
            planar = yaw_matrix(support.yaw)[:2, :2] @ (local * mirror * support.scale) + support.position[:2]
            z = support.position[2] + float(under.max()) * support.scale
            turn = support.yaw + (-yaw if support.mirrored else yaw)
            self._put(model, np.array([*planar, z]), turn, scale)

    def _hang_on_wall(self) -> None:
        """A model that hangs, or a picture, board or panel."""
        rng = self.rng
        model = self.stock.wall[rng.integers(len(self.stock.wall))] if self.stock.wall and rng.random() < 0.6 else None
        size = (
            model.size_m
            if model
            else np.array([rng.uniform(0.2, 2.0), rng.uniform(0.015, 0.06), rng.uniform(0.2, 1.2)])
        )
        z = model.elevation_m if model else rng.uniform(0.9, 1.5)
        spot = self._at_wall(size)
        if spot is None or z + size[2] > self.place.height - _HEADROOM_M:
            return
        footprint, sill = spot
        # Behind it must be a plain wall, below it nothing that stands there.
        if np.isinf(sill) and self._fits(footprint, size[2], 0.0):
            self.taken.add(footprint)
            base = np.array([*footprint[:2], self.place.floor_z + z])
            if model:
                self._put(model, base, footprint[4], 1.0)
            else:
                self.assembly.turned_box(base + (0, 0, size[2] / 2), size, yaw_matrix(footprint[4]))

    def _hang_from_ceiling(self) -> None:
        rng = self.rng
        if not (self.ceiling and self.stock.ceiling) or self.place.height > 5.0:
            return
        model = self.stock.ceiling[rng.integers(len(self.stock.ceiling))]
        z = self.place.height - model.size_m[2]
        if z < 1.7:
            return
        footprint = self._anywhere(model.size_m)
        if self._fits(footprint, model.size_m[2], 0.1):
            self.taken.add(footprint)
            self._put(model, np.array([*footprint[:2], self.place.floor_z + z]), footprint[4], 1.0)

    def _put(self, model: FurnitureModel, position: np.ndarray, yaw: float, scale: float) -> PlacedFurniture:
        piece = PlacedFurniture(model, position, float(yaw), scale, bool(self.rng.random() < 0.5))
        self.assembly.place_furniture(piece)
        return piece


def _top_heights(model: FurnitureModel) -> np.ndarray:
    """Height (X, Y) of the uppermost solid voxel's upper side in each column, 0 where there is none; metres."""
    voxels = model.voxels
    highest = voxels.shape[2] - np.argmax(voxels[:, :, ::-1], axis=2)
    return np.where(voxels.any(axis=2), highest, 0) * model.voxel_size_m
