"""Stage picture: where a building's storeys are, read off its mesh (world metres, z up)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.picture.face_sums import area_over_height
from sparse_convonet.picture.open_ground import columns_of, is_open_ground
from sparse_convonet.structures import Mesh

_BIN_M = 0.05
_LEVEL_COSINE = 0.9  # a face is level within about 25 degrees
_UPRIGHT_COSINE = 0.3
_FLOOR_SHARE = 0.25  # of the largest floor's area that another level face area needs to be a floor
_CEILING_SHARE = 0.25  # of the floor's area
_STOREY_M = 2.2  # least distance of two floors
_CAVITY_M = 0.6  # the top of the ceiling below may lie this far under the floor, hidden, ...
_CAVITY_SHARE = 0.5  # ... and is told from it by an area of this share higher up
_HEADROOM_M = (0.3, 1.8)  # height over a floor in which there must be walls or furniture ...
_WALL_SHARE = 0.15  # ... with this share of the area that they have over the best floor
_LOWEST_CEILING_M = 1.8
_CUT_M = 2.0  # walls are cut this high over the floor, ...
_CUT_SHARE = 0.6  # ... in high halls at this share of their height, so that stairs show, ...
_BELOW_CEILING_M = 0.15  # ... and lower if the ceiling hangs lower
_OPEN_M = 6.0  # what is lower and has no ceilings is rooms without them
_SLAB_M = 0.35  # how much below its floor belongs to a storey


@dataclass(frozen=True)
class Storey:
    """A slice of a building, metres: shown from bottom_z up to cut_z."""

    floor_z: float
    bottom_z: float
    cut_z: float


def find_storeys(mesh: Mesh) -> tuple[Storey, ...]:
    """The storeys from the lowest up: heights with much upward-facing area, seen where it is known, and something standing
    on it.

    A mesh lower than a storey (furniture, a part of a room), one without level faces, and open ground with what stands
    on it are one storey, uncut.
    """
    low, high = float(mesh.vertices[:, 2].min()), float(mesh.vertices[:, 2].max())
    return storeys_between(low, high, areas_between(mesh, low, high), columns_of(mesh))


def areas_between(mesh: Mesh, low: float, high: float) -> np.ndarray:
    """(3, B) float64, m2: what find_storeys adds up over the faces of a mesh that reaches from one height to another.

    The areas of parts of a mesh, between the heights of the whole, add to those of the whole.
    """
    count = int((high - low) / _BIN_M) + 1
    return area_over_height(mesh, low, _BIN_M, count, _LEVEL_COSINE, _UPRIGHT_COSINE)


def storeys_between(low: float, high: float, areas: np.ndarray, columns: np.ndarray) -> tuple[Storey, ...]:
    """find_storeys from the areas (3, B) of areas_between and the columns (C, 4) of open_ground.columns_of."""
    whole = Storey(floor_z=low, bottom_z=low - _BIN_M, cut_z=high + _BIN_M)
    if high - low < _STOREY_M or (high - low > _OPEN_M and is_open_ground(columns)):
        return (whole,)
    levels = _AreaOverHeight(low, *areas)
    floors = _floors(levels)
    if not floors:
        return (whole,)
    storeys = []
    for n, floor in enumerate(floors):
        above = floors[n + 1] if n + 1 < len(floors) else high
        ceiling = _ceiling(levels, floor, above)
        high_cut = _CUT_SHARE * (ceiling - floor) if np.isfinite(ceiling) else 0.0
        cut = min(floor + max(_CUT_M, high_cut), ceiling - _BELOW_CEILING_M)
        storeys.append(Storey(floor, low - _BIN_M if n == 0 else floor - _SLAB_M, cut))
    return tuple(storeys)


@dataclass(frozen=True)
class _AreaOverHeight:
    """Face area (m2) per bin of height: facing up, facing down, upright.  All (B,) float64."""

    low: float
    up: np.ndarray
    down: np.ndarray
    upright: np.ndarray

    def height(self, place: int) -> float:
        return self.low + (place + 0.5) * _BIN_M

    def place(self, height: float) -> int:
        return max(0, int((height - self.low) / _BIN_M))


def _smoothed(area: np.ndarray) -> np.ndarray:
    return np.convolve(area, np.ones(3), mode="same")


def _is_peak(area: np.ndarray) -> np.ndarray:
    """(B,) bool: bins with no less than the bins beside them."""
    padded = np.pad(area, 1)
    return (area >= padded[:-2]) & (area >= padded[2:]) & (area > 0)


def _floors(levels: _AreaOverHeight) -> list[float]:
    """Heights of the floors, ascending: the largest peaks, a storey apart, with headroom."""
    area = _smoothed(levels.up)
    walls = np.concatenate([[0.0], np.cumsum(levels.upright)])
    low, high = (np.arange(len(area)) + round(height / _BIN_M) for height in _HEADROOM_M)
    standing = walls[np.minimum(high, len(area))] - walls[np.minimum(low, len(area))]
    area[standing < _WALL_SHARE * standing.max()] = 0
    peaks = np.flatnonzero(_is_peak(area) & (area >= _FLOOR_SHARE * area.max()))
    floors: list[float] = []
    for peak in peaks[np.argsort(-area[peaks], kind="stable")]:
        in_reach = peaks[(peaks >= peak) & (peaks <= peak + round(_CAVITY_M / _BIN_M))]
        height = levels.height(int(in_reach[area[in_reach] >= _CAVITY_SHARE * area[peak]].max()))
        if all(abs(height - floor) >= _STOREY_M for floor in floors):
            floors.append(height)
    return sorted(floors)


def _ceiling(levels: _AreaOverHeight, floor: float, above: float) -> float:
    """Height of the lowest large downward-facing area between a floor and the next, or infinity."""
    down = _smoothed(levels.down)
    first, last = levels.place(floor + _LOWEST_CEILING_M), levels.place(above) + 1
    large = np.flatnonzero(down[first:last] >= _CEILING_SHARE * _smoothed(levels.up)[levels.place(floor)])
    return levels.height(first + int(large[0])) if len(large) else np.inf
