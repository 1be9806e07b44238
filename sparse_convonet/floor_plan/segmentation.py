"""Stage floor_plan: free space split into rooms where it narrows to a door, or where a wall goes on above or below.

The maxima of the distance to the nearest wall are the seeds of a watershed (Bormann et al., "Room segmentation: survey,
implementation, and analysis", ICRA 2016, section III.B compares such methods); basins that meet in a wide place are one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.feature import peak_local_max
from skimage.measure import label
from skimage.segmentation import watershed

from sparse_convonet.floor_plan.sections import Sections
from sparse_convonet.floor_plan.small_regions import regions_with, without_small_holes, without_small_regions

WALL, OUTSIDE = 0, 1  # labels; rooms follow
DOOR_M = 1.3  # wider places do not part rooms, unless a lintel or a window's sill does
_NARROWER = 0.75  # a door is narrower than this share of what lies on both sides of it
_LINTEL_NARROWER = 0.85  # a lintel parts rooms where the opening below is narrower than this; a beam does not
_LINTEL_SHARE = 0.6  # of the line between two rooms
_THICKEST_WALL_M = 0.7  # what is thinner may be a wall, a lintel or a sill; more is a lowered ceiling or furniture
_COARSE_M = 0.05  # between places by which thickness is told
_SEED_M = 0.3  # seeds are this far from walls and from each other
_SMALLEST_WALL_M2 = 0.015  # smaller pieces are noise
_SMALLEST_ROOM_M2 = 1.0  # smaller pockets belong to the walls


@dataclass(frozen=True)
class Segmentation:
    """labels: (X, Y) int32, WALL, OUTSIDE, and one for each room from 2 on; openings belong to what is nearer.

    wall: (X, Y) float32, the sections' without noise and with its pockets filled.  in_opening: (X, Y) bool, free places
    in doors and windows, under a lintel or over a sill.
    """

    labels: np.ndarray
    wall: np.ndarray
    in_opening: np.ndarray

    @property
    def rooms(self) -> range:
        """Their labels."""
        return range(OUTSIDE + 1, int(self.labels.max()) + 1)


def find_rooms(sections: Sections, indoors: np.ndarray | None) -> Segmentation:
    """Split the free space of a storey.  indoors: (X, Y) bool, the rest is outside; None: what reaches the border is.

    First wherever a sill, a lintel or low furniture stands between, or a door's width.  Then what only furniture parted,
    or a beam, is one again; through windows nothing becomes one with the outside.
    """
    step = sections.raster.step_m
    wall = _without_noise(sections.wall, step)
    free = wall <= 0
    lintel = np.zeros_like(free)
    for solid in sections.lintels:
        lintel |= _thin(solid, step)
    lintel &= free
    barrier = lintel | (_thin(sections.low, step) & free)
    inner = distance_transform_edt(free & ~barrier) * step
    seeds = peak_local_max(
        inner if indoors is None else inner * indoors,
        min_distance=max(1, round(_SEED_M / step)),
        threshold_abs=_SEED_M,
        exclude_border=False,
    )
    markers = np.zeros(free.shape, dtype=np.int32)
    if indoors is not None:
        markers[free & ~barrier & ~indoors] = OUTSIDE
    markers[tuple(seeds.T)] = np.arange(len(seeds)) + OUTSIDE + 1
    basins = watershed(-inner, markers, mask=free & ~barrier)
    basins = _merged(basins, inner, _is_one, apart=np.array([OUTSIDE]))
    outer = distance_transform_edt(free) * step
    basins = _spread(basins, outer, free)
    at_lintel = binary_dilation(lintel, iterations=2)  # basins meet in the middle of one, or at its edge
    basins = _merged(basins, outer, _is_one, lintel=at_lintel, apart=_border_labels(basins))
    labels = _numbered(_without_pockets(basins, outer, step), step)
    wall = np.where((labels == WALL) & free, np.float32(np.abs(wall).max()), wall)
    at_outside = borders_between(np.where(labels == WALL, WALL, 1 + (labels == OUTSIDE)))
    in_opening = _around(lintel, borders_between(labels), step) | _around(barrier, at_outside, step)
    return Segmentation(labels, wall, in_opening)


def _is_one(saddle_m: float, peak_m: float, has_lintel: bool) -> bool:
    """Whether two basins are one room, from the distance to the walls at the widest place between them, the lesser of
    their largest distances, and whether a lintel parts them."""
    if has_lintel:
        return saddle_m >= _LINTEL_NARROWER * peak_m
    return 2 * saddle_m >= DOOR_M or saddle_m >= _NARROWER * peak_m


def _without_noise(wall: np.ndarray, step: float) -> np.ndarray:
    """Logits (X, Y) without small pieces of wall, and without small holes in them."""
    solid = wall > 0
    places = max(1, round(_SMALLEST_WALL_M2 / step**2))
    kept = without_small_regions(solid, places)
    filled = without_small_holes(kept, places)
    wall = np.where(solid & ~kept, -np.abs(wall) - np.float32(0.1), wall)
    return np.where(filled & ~kept, np.abs(wall) + np.float32(0.1), wall)


def _thin(solid: np.ndarray, step: float) -> np.ndarray:
    """(X, Y) bool: solid places where no disc of a diameter of _THICKEST_WALL_M fits; told by every n-th place."""
    every = max(1, round(_COARSE_M / step))
    coarse = solid[::every, ::every]
    radius = _THICKEST_WALL_M / 2 / (step * every)
    core = distance_transform_edt(coarse) > radius
    if not core.any():
        return solid.copy()
    thick = distance_transform_edt(~core) <= radius + 1
    thick = np.repeat(np.repeat(thick, every, axis=0), every, axis=1)[: solid.shape[0], : solid.shape[1]]
    return solid & ~thick


def _merged(
    basins: np.ndarray,
    distance: np.ndarray,
    is_one: Callable[[float, float, bool], bool],
    *,
    lintel: np.ndarray | None = None,
    apart: np.ndarray | None = None,
) -> np.ndarray:
    """Basins (X, Y) joined, widest places first, where is_one.  distance: (X, Y) metres to walls.  lintel: (X, Y) bool.
    apart: labels of basins that stay as they are."""
    count = max(int(basins.max()), OUTSIDE) + 1
    peak, stays = np.zeros(count), np.zeros(count, dtype=bool)
    np.maximum.at(peak, basins.ravel(), distance.ravel())
    if apart is not None:
        stays[apart] = True
    parent = np.arange(count)

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = parent[basin]
        return basin

    first, second, saddle, lintel_share = _saddles(basins, distance, lintel)
    for pair in np.argsort(-saddle, kind="stable"):
        a, b = root(int(first[pair])), root(int(second[pair]))
        has_lintel = bool(lintel_share[pair] >= _LINTEL_SHARE)
        if a != b and not (stays[a] or stays[b]) and is_one(float(saddle[pair]), min(peak[a], peak[b]), has_lintel):
            parent[b] = a
            peak[a] = max(peak[a], peak[b])
    roots = np.array([root(basin) for basin in range(count)])
    return roots[basins].astype(np.int32)


def _saddles(
    basins: np.ndarray, distance: np.ndarray, lintel: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of basins that touch, (P,) and (P,), the largest distance (P,) of places where they do, and the share (P,) of
    those under a lintel."""
    count = int(basins.max()) + 1
    keys, values, under = [], [], []
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        a, b = basins[one], basins[other]
        meets = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[meets], b[meets]).astype(np.int64), np.maximum(a[meets], b[meets])
        keys.append(low * count + high)
        values.append(np.minimum(distance[one][meets], distance[other][meets]))
        under.append(np.zeros(len(low), dtype=bool) if lintel is None else lintel[one][meets])
    names, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    largest = np.zeros(len(names))
    np.maximum.at(largest, inverse, np.concatenate(values))
    share = np.bincount(inverse, np.concatenate(under), len(names)) / np.bincount(inverse, minlength=len(names))
    return names // count, names % count, largest, share


def _border_labels(basins: np.ndarray) -> np.ndarray:
    """OUTSIDE, and labels that reach the border of the raster."""
    border = np.concatenate([basins[0], basins[-1], basins[:, 0], basins[:, -1]])
    return np.unique(np.append(border[border > 0], OUTSIDE))


def _without_pockets(basins: np.ndarray, distance: np.ndarray, step: float) -> np.ndarray:
    """Basins (X, Y) of which those too small for a room belong to what is beside them, or to none."""
    area = np.bincount(basins.ravel(), minlength=OUTSIDE + 1) * step**2
    small = area < _SMALLEST_ROOM_M2
    small[_border_labels(basins)] = False
    if not small[basins].any():
        return basins
    return _spread(np.where(small[basins], 0, basins), distance, distance > 0)


def _spread(basins: np.ndarray, distance: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The watershed of -distance (X, Y) from all labelled places, in `free` (X, Y) bool: places without a label get one.

    Labelled places with labelled ones all round flood nothing, so they are left out: most of the time goes there.
    """
    open_places = free & (basins == 0)
    if not open_places.any():
        return np.where(free, basins, 0)
    flooded = binary_dilation(open_places) & free
    return np.where(
        flooded, watershed(-distance, np.where(flooded, basins, 0), mask=flooded), np.where(free, basins, 0)
    )


def _numbered(basins: np.ndarray, step: float) -> np.ndarray:
    """Labels: OUTSIDE, then rooms from the upper left, row by row of some metres; pockets become WALL."""
    area = np.bincount(basins.ravel(), minlength=OUTSIDE + 1) * step**2
    outside = _border_labels(basins)
    rooms = np.setdiff1d(np.flatnonzero(area >= _SMALLEST_ROOM_M2), [WALL, *outside])
    places = np.argwhere(basins > 0)
    sums = np.stack([np.bincount(basins[basins > 0], places[:, axis], len(area)) for axis in (0, 1)])
    centre = sums[:, rooms] / np.maximum(np.bincount(basins.ravel(), minlength=len(area))[rooms], 1) * step
    rooms = rooms[np.lexsort((centre[0], -np.floor(centre[1] / 3.0)))]
    labels = np.zeros(len(area), dtype=np.int32)
    labels[outside] = OUTSIDE
    labels[rooms] = np.arange(len(rooms)) + OUTSIDE + 1
    return labels[basins]


def _around(mask: np.ndarray, border: np.ndarray, step: float) -> np.ndarray:
    """(X, Y) bool: places of a mask not farther from a border than half of a wall, in pieces that reach it: a lamp or a
    low cupboard before an opening is not in it."""
    if not border.any():
        return border
    near = distance_transform_edt(~border) * step <= _THICKEST_WALL_M / 2
    return regions_with(mask & near, binary_dilation(border))


def borders_between(labels: np.ndarray) -> np.ndarray:
    """(X, Y) bool: free places beside free places of another label."""
    border = np.zeros(labels.shape, dtype=bool)
    for one, other in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        meets = (labels[one] != labels[other]) & (labels[one] > 0) & (labels[other] > 0)
        border[one] |= meets
        border[other] |= meets
    return border


def pieces_of(mask: np.ndarray) -> np.ndarray:
    """(X, Y) int: connected pieces of a mask, corners count, from 1 on."""
    return np.asarray(label(mask, connectivity=2))
