"""One storey as regions made of rectangles: the walls between them, their openings, and the slab below them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sparse_convonet.data.scenes.assembly import Assembly

OUTSIDE = -1
_DECIMALS = 6  # coordinates closer than a micrometre are one line of the plan
Rectangle = tuple[float, float, float, float]  # low x, low y, high x, high y, metres


@dataclass(frozen=True)
class Region:
    """A part of a storey's plan.

    kind: "room", "corridor", "hall", "gallery", "landing"; "flight" (a staircase, no floor above the lowest storey)
    or "void" (the upper part of a hall, no floor).
    """

    kind: str
    rectangles: tuple[Rectangle, ...]

    @property
    def walkable(self) -> bool:
        return self.kind not in ("void", "flight")

    @property
    def area_m2(self) -> float:
        return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in self.rectangles)


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: low, high along the wall; sill, head above the floor; metres."""

    low: float
    high: float
    sill: float
    head: float
    kind: str  # "door", "passage" or "window"


@dataclass
class Wall:
    """A straight border between two regions, seen from above.

    axis: 0 runs along x (at y = at), 1 runs along y (at x = at).  low, high: its ends, metres.
    sides: index of the region below and above `at`, OUTSIDE for none.
    thickness: 0 where the border stays open.  railing: a railing instead of a wall.
    """

    axis: int
    at: float
    low: float
    high: float
    sides: tuple[int, int]
    thickness: float = 0.1
    railing: bool = False
    openings: list[Opening] = field(default_factory=list)

    @property
    def length(self) -> float:
        return self.high - self.low

    @property
    def solid(self) -> bool:
        return self.thickness > 0 and not self.railing

    def point(self, along: float, across: float, z: float) -> np.ndarray:
        """Building coordinates (3,) of a point `along` the wall and `across` from its middle plane."""
        planar = (along, self.at + across) if self.axis == 0 else (self.at + across, along)
        return np.array([*planar, z])

    def box(
        self, assembly: Assembly, along: tuple[float, float], across: tuple[float, float], z: tuple[float, float]
    ) -> None:
        """Add a box given in the wall's own directions."""
        assembly.box(self.point(along[0], across[0], z[0]), self.point(along[1], across[1], z[1]))

    def footprint(self) -> np.ndarray:
        """Centre x, y, half extents and yaw (5,) of the wall without its openings; at least 4 cm wide."""
        half = self.length / 2, max(self.thickness, 0.04) / 2
        centre = self.point((self.low + self.high) / 2, 0.0, 0.0)[:2]
        return np.array([*centre, *(half if self.axis == 0 else half[::-1]), 0.0])

    def has_space(self, low: float, high: float, margin: float) -> bool:
        """Whether an opening from low to high keeps `margin` from the ends and from the other openings."""
        if low < self.low + margin or high > self.high - margin:
            return False
        return all(high + margin < other.low or low - margin > other.high for other in self.openings)


def plan_grid(regions: list[Region]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lines xs (I+1,), ys (J+1,) of the plan and the region (I, J) of each cell between them, OUTSIDE for none."""
    rectangles = np.array([rectangle for region in regions for rectangle in region.rectangles])
    xs = np.unique(np.round(rectangles[:, [0, 2]], _DECIMALS))
    ys = np.unique(np.round(rectangles[:, [1, 3]], _DECIMALS))
    cells = np.full((len(xs) - 1, len(ys) - 1), OUTSIDE)
    for index, region in enumerate(regions):
        for rectangle in region.rectangles:
            x0, y0, x1, y1 = np.round(rectangle, _DECIMALS)
            cells[
                np.searchsorted(xs, x0) : np.searchsorted(xs, x1), np.searchsorted(ys, y0) : np.searchsorted(ys, y1)
            ] = index
    return xs, ys, cells


def find_walls(regions: list[Region]) -> list[Wall]:
    """All borders between different regions, or a region and the outside, as long as the same two meet."""
    xs, ys, cells = plan_grid(regions)
    walls = []
    for axis, lines, ends, grid in ((1, xs, ys, cells), (0, ys, xs, cells.T)):
        padded = np.pad(grid, ((1, 1), (0, 0)), constant_values=OUTSIDE)
        for i, at in enumerate(lines):
            current: Wall | None = None
            for j in range(grid.shape[1]):
                sides = int(padded[i, j]), int(padded[i + 1, j])
                if sides[0] == sides[1]:
                    current = None
                elif current is not None and current.sides == sides:
                    current.high = float(ends[j + 1])
                else:
                    current = Wall(axis, float(at), float(ends[j]), float(ends[j + 1]), sides)
                    walls.append(current)
    return walls


def build_walls(assembly: Assembly, walls: list[Wall], floor_z: float, low_z: float, high_z: float) -> None:
    """Boxes of the solid walls from low_z to high_z, around their openings.

    Every wall reaches half the thickness of what it meets beyond its ends, so that corners are closed.
    """
    solid = [wall for wall in walls if wall.solid]
    for wall in solid:
        ends = [_corner_reach(wall, end, solid) for end in (wall.low, wall.high)]
        across = -wall.thickness / 2, wall.thickness / 2
        start = wall.low - ends[0]
        for opening in sorted(wall.openings, key=lambda opening: opening.low):
            wall.box(assembly, (start, opening.low), across, (low_z, high_z))
            wall.box(assembly, (opening.low, opening.high), across, (low_z, floor_z + opening.sill))
            wall.box(assembly, (opening.low, opening.high), across, (floor_z + opening.head, high_z))
            start = opening.high
        wall.box(assembly, (start, wall.high + ends[1]), across, (low_z, high_z))


def _corner_reach(wall: Wall, end: float, walls: list[Wall]) -> float:
    corner = wall.point(end, 0.0, 0.0)[:2]
    meeting = [
        other.thickness / 2
        for other in walls
        if other.axis != wall.axis
        and min(np.abs(other.point(tip, 0.0, 0.0)[:2] - corner).max() for tip in (other.low, other.high)) < 1e-3
    ]
    return max(meeting, default=0.0)


def merge_cells(mask: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> list[Rectangle]:
    """A few rectangles that cover the cells (I, J) of a plan where `mask` holds, without overlap."""
    left, rectangles = mask.copy(), []
    for i, j in np.argwhere(mask):
        if not left[i, j]:
            continue
        stop_j = j
        while stop_j < mask.shape[1] and left[i, stop_j]:
            stop_j += 1
        stop_i = i
        while stop_i < mask.shape[0] and left[stop_i, j:stop_j].all():
            stop_i += 1
        left[i:stop_i, j:stop_j] = False
        rectangles.append((float(xs[i]), float(ys[j]), float(xs[stop_i]), float(ys[stop_j])))
    return rectangles


def build_slab(
    assembly: Assembly, regions: list[Region], holes: tuple[str, ...], top_z: float, thickness: float
) -> None:
    """Boxes of the slab under all regions but those of the kinds `holes`."""
    xs, ys, cells = plan_grid(regions)
    open_regions = [index for index, region in enumerate(regions) if region.kind in holes]
    mask = (cells != OUTSIDE) & ~np.isin(cells, open_regions)
    for x0, y0, x1, y1 in merge_cells(mask, xs, ys):
        assembly.box((x0, y0, top_z - thickness), (x1, y1, top_z))
