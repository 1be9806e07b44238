"""Stage floor_plan: the walls along a room's outline: how thick, what lies behind, and whether they were seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from shapely.geometry import Polygon

from sparse_convonet.floor_plan.sections import Raster
from sparse_convonet.floor_plan.seen import SeenPlaces
from sparse_convonet.floor_plan.segmentation import WALL, Segmentation

_SAMPLE_M = 0.1  # along a wall
_SHORTEST_M = 0.4  # shorter edges are corners, niches and furniture
_THICKEST_M = 1.0
_BEHIND_M = 0.1  # past a wall, where the label of what is behind it is read


@dataclass(frozen=True)
class WallFace:
    """A straight part of a room's outline.

    start, end: (2,) metres, the room on the left.  thickness_m: None where not both faces were seen.  behind: label of
    segmentation of what the wall parts the room from, WALL where that cannot be told.  seen: share near points.
    """

    start: np.ndarray
    end: np.ndarray
    thickness_m: float | None
    behind: int
    seen: float

    @property
    def length_m(self) -> float:
        return float(np.linalg.norm(self.end - self.start))


def wall_faces(
    polygon: Polygon, segmentation: Segmentation, seen: SeenPlaces, raster: Raster, near_m: float
) -> list[WallFace]:
    """Those of a room with walls behind them.  near_m: a face is seen where points are so near."""
    faces = []
    for ring, is_hole in [(polygon.exterior, False), *((hole, True) for hole in polygon.interiors)]:
        corners = np.asarray(ring.coords)
        if ring.is_ccw == is_hole:
            corners = corners[::-1]
        for start, end in zip(corners[:-1], corners[1:], strict=True):
            length = float(np.linalg.norm(end - start))
            if length >= _SHORTEST_M:
                face = _face(start, end, length, segmentation, seen, raster, near_m)
                if face is not None:
                    faces.append(face)
    return faces


def _face(
    start: np.ndarray, end: np.ndarray, length: float, segmentation: Segmentation, seen: SeenPlaces, raster: Raster,
    near_m: float,
) -> WallFace | None:  # fmt: skip
    """None where less than half of it has a wall behind it: it crosses an opening."""
    count = max(2, round(length / _SAMPLE_M))
    share = ((np.arange(count) + 0.5) / count)[:, None]
    samples = start * (1 - share) + end * share  # (S, 2)
    outward = np.array([end[1] - start[1], start[0] - end[0]]) / length
    step = raster.step_m / 2
    depth = np.arange(-4, round((_THICKEST_M + _BEHIND_M) / step)) * step  # (D,)
    places = raster.to_places((samples[:, None] + depth[:, None] * outward).reshape(-1, 2)).T
    logits = map_coordinates(segmentation.wall, places, order=1, mode="constant", cval=-1.0).reshape(count, -1)
    enters, leaves = _crossings(logits, depth)
    has_wall = np.isfinite(enters) & (enters < 4 * step)
    if has_wall.mean() < 0.5:
        return None
    here_seen = _at(seen.wall_m, samples, raster) <= near_m
    through = has_wall & np.isfinite(leaves)
    back = samples + np.where(through, leaves, 0.0)[:, None] * outward
    both = through & here_seen & (_at(seen.wall_m, back, raster) <= near_m)
    thickness = float(np.median((leaves - enters)[both])) if both.sum() >= max(2, 0.25 * count) else None
    behind = _at(segmentation.labels, back + _BEHIND_M * outward, raster)[through]
    most = int(np.bincount(behind).argmax()) if len(behind) else WALL
    return WallFace(start, end, thickness, most, float(here_seen.mean()))


def _crossings(logits: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depths (S,) at which logits (S, D) first rise above 0, and fall below it again; NaN where they do not."""
    enters = _first(logits, depth, (logits[:, :-1] <= 0) & (logits[:, 1:] > 0))
    beyond = depth[:-1] >= np.where(np.isfinite(enters), enters, np.inf)[:, None] - (depth[1] - depth[0])
    return enters, _first(logits, depth, beyond & (logits[:, :-1] > 0) & (logits[:, 1:] <= 0))


def _first(logits: np.ndarray, depth: np.ndarray, crosses: np.ndarray) -> np.ndarray:
    """(S,) float64: where the logits are 0 in the first interval that crosses; NaN without one."""
    place = crosses.argmax(axis=1)
    rows = np.arange(len(logits))
    before, after = logits[rows, place].astype(np.float64), logits[rows, place + 1]
    found = crosses.any(axis=1)
    share = np.divide(before, before - after, out=np.zeros(len(rows)), where=found)
    return np.where(found, depth[place] + share * (depth[1] - depth[0]), np.nan)


def _at(values: np.ndarray, points_world: np.ndarray, raster: Raster) -> np.ndarray:
    """Values (X, Y) at the places nearest to (N, 2) metres; those beyond the raster are at its border."""
    places = np.round(raster.to_places(points_world)).astype(np.int64)
    return np.asarray(values[tuple(np.clip(places, 0, np.array(values.shape) - 1).T)])
