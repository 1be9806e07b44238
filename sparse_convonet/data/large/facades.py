"""Closed masses of buildings seen from outside: facades with recessed windows, doors, balconies, cornices and roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle, Region, Wall, find_walls
from sparse_convonet.data.buildings.railings import add_railing
from sparse_convonet.data.buildings.roofs import add_pitched_roof, add_solid_roof
from sparse_convonet.data.large.hall_structure import draw_railing
from sparse_convonet.data.scenes.assembly import Assembly

_FOUNDATION_M = 0.3  # walls begin so far below the ground
_MOST_AXES = 10  # of windows in one facade
_MOST_BALCONIES = 4
_RAILING_M = 8.0  # railings of balconies are as sparse as one of that length, since there are many
_STEEPEST_DEG, _HIGHEST_ROOF_M = 48.0, 8.0


@dataclass(frozen=True)
class FacadeStyle:
    """How the facades of one scene look: lengths in metres, shares in [0, 1]."""

    storey: float
    recess: float  # of windows and doors
    window: float
    pitch: float  # from window to window
    sill: float
    head: float
    blind_share: float  # of the windows that are walled up
    balcony_share: float
    cornice: float  # how far it stands out; 0: none
    band: float  # how far ledges under the windows stand out; 0: none
    roof: str  # "flat", "parapet", "solid" or "hollow"

    @classmethod
    def draw(cls, rng: np.random.Generator) -> FacadeStyle:
        storey, window = float(rng.uniform(2.6, 4.5)), float(rng.uniform(0.7, 2.6))
        sill = float(rng.uniform(0.3, 1.1))
        return cls(
            storey=storey,
            recess=float(rng.uniform(0.05, 0.3)),
            window=window,
            pitch=window + float(rng.uniform(0.6, 3.5)),
            sill=sill,
            head=float(rng.uniform(sill + 0.8, storey - 0.2)),
            blind_share=float(rng.choice([0.0, 0.0, rng.uniform(0.0, 0.6)])),
            balcony_share=float(rng.choice([0.0, rng.uniform(0.05, 0.4)])),
            cornice=float(rng.choice([0.0, rng.uniform(0.1, 0.6)])),
            band=float(rng.choice([0.0, rng.uniform(0.03, 0.12)])),
            roof=str(rng.choice(["flat", "parapet", "solid", "hollow"], p=[0.25, 0.25, 0.35, 0.15])),
        )


def add_mass(
    assembly: Assembly, rectangles: tuple[Rectangle, ...], height: float, style: FacadeStyle, rng: np.random.Generator
) -> None:
    """A closed mass over rectangles that touch along sides, with facades all round, on ground at z = 0."""
    for x0, y0, x1, y1 in rectangles:
        assembly.box((x0, y0, -_FOUNDATION_M), (x1, y1, height))
    for wall in find_walls([Region("mass", rectangles)]):
        _Facade(assembly, wall, height, style, rng).build()
    for outline in rectangles:
        if style.roof == "solid":
            half = min(outline[2] - outline[0], outline[3] - outline[1]) / 2
            steepest = min(_STEEPEST_DEG, float(np.rad2deg(np.arctan(_HIGHEST_ROOF_M / half))))
            add_solid_roof(assembly, outline, height, rng, (min(10.0, steepest), steepest))
        elif style.roof == "hollow":
            add_pitched_roof(assembly, outline, height, 2 * style.recess, rng)


class _Facade:
    """One facade before the core of a mass. Depths are measured outwards from the core."""

    def __init__(
        self, assembly: Assembly, wall: Wall, height: float, style: FacadeStyle, rng: np.random.Generator
    ) -> None:
        self.assembly, self.wall, self.height, self.style, self.rng = assembly, wall, height, style, rng
        self.outward = 1.0 if wall.sides[0] == 0 else -1.0

    def _box(self, along: tuple[float, float], depth: tuple[float, float], z: tuple[float, float]) -> None:
        across = sorted(self.outward * reach for reach in depth)
        self.wall.box(self.assembly, along, (across[0], across[1]), z)

    def build(self) -> None:
        """A lattice of piers and bands leaves the windows free; where there are none, one plain layer."""
        wall, style, rng = self.wall, self.style, self.rng
        ends = wall.low - style.recess, wall.high + style.recess
        storeys = int(self.height / style.storey)
        axes = min(int(wall.length / style.pitch), _MOST_AXES)
        if axes < 1 or storeys < 1 or rng.random() < 0.15:
            self._box(ends, (0.0, style.recess), (-_FOUNDATION_M, self.height))
        else:
            middles = wall.low + (np.arange(axes) + 0.5) * wall.length / axes
            edges = [
                ends[0],
                *(edge for m in middles for edge in (m - style.window / 2, m + style.window / 2)),
                ends[1],
            ]
            for low, high in zip(edges[::2], edges[1::2], strict=True):
                self._box((low, high), (0.0, style.recess), (-_FOUNDATION_M, self.height))
            self._add_bands(ends, middles, storeys)
            self._add_balconies(middles, storeys)
        if style.cornice:
            self._box(ends, (0.0, style.recess + style.cornice), (self.height - 0.25, self.height))
        if style.roof == "parapet":
            self._box(ends, (-0.15, style.recess), (self.height, self.height + 0.9))

    def _add_bands(self, ends: tuple[float, float], middles: np.ndarray, storeys: int) -> None:
        """Below, between and above the rows of windows; doors reach down to the ground."""
        style, rng = self.style, self.rng
        heads = [-_FOUNDATION_M, *(storey * style.storey + style.head for storey in range(storeys))]
        sills = [*(storey * style.storey + style.sill for storey in range(storeys)), self.height]
        doors = rng.random(len(middles)) < 0.2
        for number, (low, high) in enumerate(zip(heads, sills, strict=True)):
            if number:
                self._box(ends, (0.0, style.recess), (low, high))
            else:  # between the piers, which stand at both sides of every door
                for middle, door in zip(middles, doors, strict=True):
                    top = 0.0 if door else high
                    self._box((middle - style.window / 2, middle + style.window / 2), (0.0, style.recess), (low, top))
            if style.band and 0 < number < storeys:
                self._box(ends, (0.0, style.recess + style.band), (high - 0.12, high))
        for storey in range(storeys):
            for middle in middles[rng.random(len(middles)) < style.blind_share]:
                low = storey * style.storey
                along = middle - style.window / 2, middle + style.window / 2
                self._box(along, (0.0, style.recess), (low + style.sill - 0.1, low + style.head + 0.1))

    def _add_balconies(self, middles: np.ndarray, storeys: int) -> None:
        """Plates with railings before some windows of the upper storeys."""
        style, rng = self.style, self.rng
        places = [(middle, storey) for storey in range(1, storeys) for middle in middles]
        chosen = [place for place in places if rng.random() < style.balcony_share][:_MOST_BALCONIES]
        for middle, storey in chosen:
            z, half, deep = storey * style.storey, style.window / 2 + 0.3, style.recess + float(rng.uniform(0.7, 1.6))
            self._box((middle - half, middle + half), (0.0, deep), (z - 0.18, z))
            railing, edge = draw_railing(rng, _RAILING_M), self.outward * (deep - 0.05)
            corners = [(-half, 0.0), (-half, edge), (half, edge), (half, 0.0)]
            feet = [self.wall.point(float(middle + along), across, z) for along, across in corners]
            for first, second in zip(feet[:-1], feet[1:], strict=True):
                add_railing(self.assembly, first, second, railing)
