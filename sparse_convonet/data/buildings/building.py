"""Procedural buildings: storeys of rooms and corridors, stairs, double-height halls with galleries, furniture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.borders import BorderStyle, build_railings, classify_borders
from sparse_convonet.data.buildings.circulation import beside
from sparse_convonet.data.buildings.fittings import Galleries, add_lowered_ceiling
from sparse_convonet.data.buildings.floorplan import Region, Wall, build_slab, build_walls, find_walls
from sparse_convonet.data.buildings.furnishing import Stock
from sparse_convonet.data.buildings.halls import Reserved, reserve_hall, reserve_stairwell
from sparse_convonet.data.buildings.openings import OpeningStyle, add_doors, add_windows, fit_openings
from sparse_convonet.data.buildings.railings import RailingStyle
from sparse_convonet.data.buildings.roofs import add_pitched_roof
from sparse_convonet.data.buildings.room import furnish_place
from sparse_convonet.data.buildings.splitting import SplitStyle, outline, split_rooms
from sparse_convonet.data.buildings.stairs import StairStyle, build_stairs
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.place import Place
from sparse_convonet.data.scenes.scene import Scene

_PLAN_ATTEMPTS = 40
_AREA_PER_STOREY_M2, _MOST_STOREYS = 250.0, 4  # of buildings that are asked for by their floor area
_SEEDS = 20  # one in many seeds has no connected plan
_SHIFT_M = 2.0


@dataclass(frozen=True)
class BuildingSettings:
    """Ranges (low, high) in metres that buildings are drawn from, and shares in [0, 1]."""

    storeys: tuple[int, int] = (1, 3)
    footprint_m: tuple[float, float] = (8.0, 22.0)
    storey_height_m: tuple[float, float] = (2.6, 4.2)  # from floor to floor
    wall_m: tuple[float, float] = (0.08, 0.30)
    slab_m: tuple[float, float] = (0.15, 0.40)
    hall_share: float = 0.5  # of the buildings of two or more storeys
    pitched_roof_share: float = 0.2
    density: tuple[float, float] = (0.03, 0.3)  # share of a room's floor under furniture, at most
    any_yaw: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.storeys[0] <= self.storeys[1] <= 6:
            raise ValueError(f"storeys: expected 1 <= low <= high <= 6, found {self.storeys}; give a valid range")
        if not 6.0 <= self.footprint_m[0] <= self.footprint_m[1]:
            raise ValueError(
                f"footprint_m: expected 6 <= low <= high metres, found {self.footprint_m}; give a valid range"
            )


def building_of_area(area_m2: float, library: FurnitureLibrary) -> Scene:
    """A building of about that floor area on its storeys together, up to four, without a hall and with a flat roof.

    Raises ValueError where no seed gives a connected plan: for areas under 40 m2.
    """
    storeys = max(1, min(_MOST_STOREYS, round(area_m2 / _AREA_PER_STOREY_M2)))
    side = (area_m2 / storeys) ** 0.5
    settings = BuildingSettings(
        storeys=(storeys, storeys), footprint_m=(side, side), hall_share=0.0, pitched_roof_share=0.0
    )
    for seed in range(_SEEDS):
        try:
            return make_building(seed, library, settings)
        except ValueError as error:
            reason = error
    raise ValueError(f"no building of {area_m2:g} m2 among {_SEEDS} seeds: {reason}")


@dataclass(frozen=True)
class _Storey:
    regions: list[Region]
    walls: list[Wall]


def make_building(seed: int, library: FurnitureLibrary, settings: BuildingSettings = BuildingSettings()) -> Scene:
    """A furnished building, a function of its arguments alone; world metres, z up, the lowest floor near z = 0.

    Raises ValueError when no connected plan was found for the settings.
    """
    rng = np.random.default_rng(seed)
    for _ in range(_PLAN_ATTEMPTS):
        draft = _Draft(settings, rng)
        if draft.plan():
            scene = draft.build(Stock.of(library))
            return scene
    raise ValueError(f"no connected plan in {_PLAN_ATTEMPTS} attempts for {settings}; allow a larger footprint_m")


class _Draft:
    """One attempt at a building: first the plans of all storeys, then the solids."""

    def __init__(self, settings: BuildingSettings, rng: np.random.Generator) -> None:
        self.settings, self.rng = settings, rng
        self.count = int(rng.integers(settings.storeys[0], settings.storeys[1] + 1))
        self.width, self.depth = (float(side) for side in rng.uniform(*settings.footprint_m, 2))
        self.height = float(rng.uniform(*settings.storey_height_m))
        self.slab = float(min(rng.uniform(*settings.slab_m), self.height - 2.3))
        self.borders = BorderStyle.draw(rng, settings.wall_m)
        self.opening_style = OpeningStyle.draw(rng, self.height - self.slab)
        self.railing = RailingStyle.draw(rng)
        self.stair_style = StairStyle.draw(rng, self.railing)
        self.storeys: list[_Storey] = []

    def plan(self) -> bool:
        """Draw the plans; False when stairs do not fit or a region cannot be reached."""
        rng = self.rng
        shape = (
            str(rng.choice(["rectangle", "l", "u"], p=[0.6, 0.25, 0.15]))
            if min(self.width, self.depth) > 12
            else "rectangle"
        )
        self.wings = outline(shape, self.width, self.depth, rng)
        self.reserved = Reserved(self.count, [list(self.wings) for _ in range(self.count)])
        heights = [self.height] * self.count
        hall = self.count > 1 and rng.random() < self.settings.hall_share and reserve_hall(self.reserved, heights, rng)
        climbs = bool(self.reserved.stairs)
        if self.count > (2 if climbs else 1) and not reserve_stairwell(self.reserved, heights, rng):
            return False
        split = SplitStyle.draw(rng)
        same = rng.random() < 0.3 and not hall
        typical = split_rooms(self.reserved.free[-1], split, rng)
        for storey in range(self.count):
            rooms = typical if same else split_rooms(self.reserved.free[storey], split, rng)
            regions = self.reserved.fixed[storey] + rooms
            walls = find_walls(regions)
            classify_borders(walls, regions, storey, self.borders, rng)
            if not add_doors(walls, regions, self.opening_style, rng):
                return False
            add_windows(walls, self.opening_style, rng, entrance=storey == 0)
            self.storeys.append(_Storey(regions, walls))
        return True

    def build(self, stock: Stock) -> Scene:
        """All solids and the furniture."""
        rng, assembly = self.rng, Assembly()
        pitched = len(self.wings) == 1 and rng.random() < self.settings.pitched_roof_share
        open_roof = pitched and rng.random() < 0.6  # no ceiling below it
        lowered_share = float(rng.choice([0.0, 0.2, 0.9]))
        empty_share = float(rng.choice([0.0, 0.2]))
        for number, storey in enumerate(self.storeys):
            floor_z = number * self.height
            top = (number + 1) * self.height
            last = number + 1 == self.count
            build_slab(assembly, storey.regions, ("void", "flight") if number else (), floor_z, self.slab)
            build_walls(assembly, storey.walls, floor_z, floor_z - self.slab, top if last else top - self.slab)
            obstacles = fit_openings(assembly, storey.walls, storey.regions, floor_z, self.opening_style, rng)
            gaps = [gap for stairs in self.reserved.stairs for gap in stairs.gaps(number)]
            obstacles += [beside(gap, 1.1) for gap in gaps]
            build_railings(assembly, storey.walls, gaps, floor_z, self.railing)
            self._build_stairs(assembly, number)
            for index, region in enumerate(storey.regions):
                if region.walkable:
                    self._furnish(assembly, stock, number, index, obstacles, open_roof, lowered_share, empty_share)
        if pitched:
            add_pitched_roof(assembly, self.wings[0], self.count * self.height, self.borders.outer, rng)
        if not open_roof:
            build_slab(assembly, self.storeys[-1].regions, (), self.count * self.height, self.slab)
        yaw = float(rng.uniform(0, 2 * np.pi)) if self.settings.any_yaw else 0.0
        return assembly.finish(yaw, rng.uniform(-_SHIFT_M, _SHIFT_M, 3))

    def _build_stairs(self, assembly: Assembly, number: int) -> None:
        walls = [wall for wall in self.storeys[number].walls if wall.solid]

        def at_wall(point: np.ndarray) -> bool:
            return any(
                wall.low <= point[wall.axis] <= wall.high
                and abs(point[1 - wall.axis] - wall.at) < wall.thickness / 2 + 0.12
                for wall in walls
            )

        for stairs in self.reserved.stairs:
            if number in stairs.storeys:
                floor_z = number * self.height
                build_stairs(
                    assembly, stairs.plan, stairs.pose, floor_z, self.height, self.stair_style, number == 0, at_wall
                )

    def _furnish(
        self,
        assembly: Assembly,
        stock: Stock,
        number: int,
        index: int,
        obstacles: list[np.ndarray],
        open_roof: bool,
        lowered_share: float,
        empty_share: float,
    ) -> None:
        rng, storey = self.rng, self.storeys[number]
        region = storey.regions[index]
        spanned = 2 if region.kind == "hall" else 1
        ceiling = not (open_roof and number + spanned == self.count)
        height = spanned * self.height - self.slab
        place = Place(region.kind, np.array(region.rectangles), number * self.height, height, number)
        if region.kind in ("room", "corridor") and ceiling and rng.random() < lowered_share:
            place = Place(
                place.kind, place.rectangles, place.floor_z, add_lowered_ceiling(assembly, place, rng), number
            )
        assembly.places.append(place)
        if region.kind == "landing" or rng.random() < empty_share:
            return
        low, high = self.settings.density
        scale = {"room": 1.0, "hall": 0.6}.get(region.kind, 0.25)
        density = low * scale, high * scale
        furnish_place(
            assembly, stock, place, storey.walls, index, obstacles, density, ceiling, rng, self._above(region)
        )

    def _above(self, region: Region) -> Galleries:
        """The galleries over a hall."""
        if region.kind != "hall":
            return Galleries()
        parts = [
            [r for other in self.storeys[1].regions if other.kind == kind for r in other.rectangles]
            for kind in ("gallery", "void")
        ]
        return Galleries(tuple(parts[0]), tuple(parts[1]), self.height - self.slab)
