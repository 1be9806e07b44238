"""Stage floor_plan: level sections of a storey through the occupancy field, as rasters, asked block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

Ask = Callable[[np.ndarray], np.ndarray]  # (Q, 3) world metres, z up -> (Q,) logits above the threshold's, solid > 0

SECTION_M = 1.1  # over the floor: the height at which the plan is drawn
WALL_HEIGHTS_M = (SECTION_M, 1.55, 2.0)  # a wall is solid at all of them, furniture is not
LOW_M = 0.4  # solid below a window, free in a door
# Over doors and windows a wall goes on, between a lowered ceiling and a high door by no more than a tenth of a metre.
LINTEL_HEIGHTS_M = (2.15, 2.225, 2.3, 2.375, 2.45)
SLAB_HEIGHTS_M = (-0.05, -0.12, -0.2)  # a floor is solid at one of them, also where it is not level
AROUND_HOLE_M = 0.6  # the edge of the floor is so near to what is surely open; railings keep that from the edge
_BELOW_NEXT_FLOOR_M = 0.3  # nothing nearer to the next floor belongs to this storey
_BLOCK = 128  # places along an edge: with all heights about as many queries as are worked on at once
_BLOCKS_TOGETHER = 4  # blocks of such a square come after each other, so that a tile of a stored field is read once
REACH_M = 0.5  # from points that may be of a wall; what is solid farther away nobody saw
_OPENING_STEP = 2  # only each n-th place is asked for what is not measured
MOST_PLACES = 12_000_000  # of a raster, some 0.7 GB in all; a wider building gets larger steps
MARGIN_M = 1.0  # around what was scanned
_LOGIT_LIMIT = 4.0  # farther from the surface the field only says "solid" or "free"


@dataclass(frozen=True)
class Raster:
    """Places (i, j) at low + (i, j) * step_m, world metres.  shape: how many along x and y."""

    low: np.ndarray  # (2,) float64
    step_m: float
    shape: tuple[int, int]

    @classmethod
    def around(cls, low: np.ndarray, high: np.ndarray, step_m: float) -> Raster:
        """Over a rectangle and the margin; the step grows where there would be more than MOST_PLACES."""
        low, high = np.asarray(low, dtype=np.float64)[:2] - MARGIN_M, np.asarray(high, dtype=np.float64)[:2] + MARGIN_M
        step_m = max(step_m, float(np.sqrt(np.prod(high - low) / MOST_PLACES)))
        count = np.ceil((high - low) / step_m).astype(int) + 1
        return cls(low, step_m, (int(count[0]), int(count[1])))

    def to_world(self, places: np.ndarray) -> np.ndarray:
        """(N, 2) places, also between the whole ones -> (N, 2) float64 metres."""
        return self.low + np.asarray(places, dtype=np.float64) * self.step_m

    def to_places(self, points_world: np.ndarray) -> np.ndarray:
        """(N, 2) metres -> (N, 2) float64 places."""
        return (np.asarray(points_world, dtype=np.float64) - self.low) / self.step_m

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Squares that cover the raster, neighbours close after each other."""
        names = np.argwhere(np.ones([-(-count // _BLOCK) for count in self.shape], dtype=bool))
        together = names // _BLOCKS_TOGETHER
        for x, y in names[np.lexsort((names[:, 1], names[:, 0], together[:, 1], together[:, 0]))] * _BLOCK:
            yield slice(x, min(x + _BLOCK, self.shape[0])), slice(y, min(y + _BLOCK, self.shape[1]))


@dataclass(frozen=True)
class Sections:
    """What the field says of a storey; all (X, Y).

    wall: float32 logits, the least of all WALL_HEIGHTS_M, within _LOGIT_LIMIT: walls are where it is above 0.
    section: solid at SECTION_M.  low: solid at LOW_M.  lintels: solid at each of LINTEL_HEIGHTS_M below the next storey.
    hole: open to the storey below, or within AROUND_HOLE_M of it and free at all SLAB_HEIGHTS_M.
    """

    raster: Raster
    wall: np.ndarray
    section: np.ndarray
    low: np.ndarray
    lintels: tuple[np.ndarray, ...]
    hole: np.ndarray


def cut_sections(
    ask: Ask,
    raster: Raster,
    floor_z: float,
    next_floor_z: float,
    seen_m: np.ndarray,
    open_below: np.ndarray | None = None,
) -> Sections:
    """Ask for all sections of the storey that stands on floor_z; next_floor_z: infinity for the last one.

    seen_m: (X, Y) metres to the nearest point of the scan that may be of a wall, seen from above.  Farther than REACH_M
    from all of them nothing is asked, and nothing is solid.  open_below: (X, Y) bool, see SeenPlaces; None: nowhere.
    """
    near = seen_m <= REACH_M
    highest = next_floor_z - floor_z - _BELOW_NEXT_FLOOR_M
    lintel_heights = [height for height in LINTEL_HEIGHTS_M if height < highest]
    wall = np.full(raster.shape, -_LOGIT_LIMIT, dtype=np.float32)
    section, low = (np.zeros(raster.shape, dtype=bool) for _ in range(2))
    lintels = tuple(np.zeros(raster.shape, dtype=bool) for _ in lintel_heights)
    hole = np.zeros(raster.shape, dtype=bool) if open_below is None else open_below.copy()
    around_hole = np.zeros(raster.shape, dtype=bool)
    if hole.any():
        around_hole = ~hole & (distance_transform_edt(~hole) * raster.step_m <= AROUND_HOLE_M)
    for block in raster.blocks():
        places = [_places(block, 1, near), _places(block, _OPENING_STEP, near), _places(block, 1, around_hole)]
        heights = [list(WALL_HEIGHTS_M), [LOW_M, *lintel_heights], list(SLAB_HEIGHTS_M)]
        queries = [_at(raster.to_world(plane), floor_z, over) for plane, over in zip(places, heights, strict=True)]
        answers = np.split(ask(np.concatenate(queries)), np.cumsum([len(each) for each in queries])[:-1])
        logits = [answer.reshape(len(over), -1) for answer, over in zip(answers, heights, strict=True)]
        here = tuple(places[0].T)
        wall[here] = np.clip(logits[0].min(axis=0), -_LOGIT_LIMIT, _LOGIT_LIMIT)
        section[here] = logits[0][0] > 0
        for solid, values in zip((low, *lintels), logits[1], strict=True):
            _fill(solid, places[1], _OPENING_STEP, values > 0)
        hole[tuple(places[2].T)] = logits[2].max(axis=0) <= 0
    return Sections(raster, wall, section, low, lintels, hole)


def _places(block: tuple[slice, slice], every: int, chosen: np.ndarray) -> np.ndarray:
    """(N, 2) int64 places of a block, each n-th along both axes, where `chosen` (X, Y) holds."""
    x, y = (np.arange(-(-part.start // every) * every, part.stop, every) for part in block)
    places = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    return places[chosen[tuple(places.T)]]


def _at(plane_world: np.ndarray, floor_z: float, heights: Sequence[float]) -> np.ndarray:
    """(N, 2) metres -> (H * N, 3): the same at each height."""
    return np.concatenate([np.column_stack([plane_world, np.full(len(plane_world), floor_z + h)]) for h in heights])


def _fill(solid: np.ndarray, places: np.ndarray, every: int, values: np.ndarray) -> None:
    """Write values (N,) to places (N, 2) of a raster (X, Y), and to the places up to the next one."""
    for dx in range(every):
        for dy in range(every):
            x, y = places[:, 0] + dx, places[:, 1] + dy
            inside = (x < solid.shape[0]) & (y < solid.shape[1])
            solid[x[inside], y[inside]] = values[inside]
