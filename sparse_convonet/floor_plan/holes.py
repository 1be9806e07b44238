"""Stage floor_plan: holes in the floor of an upper storey, through which one looks down from a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import label

from sparse_convonet.floor_plan.sections import Raster, Sections
from sparse_convonet.floor_plan.segmentation import Segmentation
from sparse_convonet.floor_plan.small_regions import regions_with, without_small_regions

_SMALLEST_M2 = 1.5  # of a hole; smaller ones belong to the room
_SMALLEST_FLOOR_M2 = 1.0  # pieces of floor that are smaller belong to the hole


@dataclass(frozen=True)
class PartedRooms:
    """segmentation: with a label for each part of a room that has a hole.  holes: their labels.  parts: of the labels
    that rooms had before, where they have more than one."""

    segmentation: Segmentation
    holes: frozenset[int]
    parts: Mapping[int, Sequence[int]]

    def part_at(self, room: int, place_world: np.ndarray, raster: Raster) -> int:
        """Of what a label was before, the part that is nearest to a place (2,), metres."""
        if room not in self.parts:
            return room
        labels = self.segmentation.labels
        places = np.argwhere(np.isin(labels, self.parts[room]))
        nearest = places[((places - raster.to_places(place_world)) ** 2).sum(axis=1).argmin()]
        return int(labels[tuple(nearest)])


def part_holes(segmentation: Segmentation, sections: Sections, open_below: np.ndarray) -> PartedRooms:
    """Part rooms into pieces of floor and holes that are open to the storey below.

    open_below: (X, Y) bool, what is surely so; the hole goes on from there as far as `sections.hole` does.  The first
    piece of floor keeps the label of the room, further ones and holes get labels after all others.  A room without any
    floor stays as it is.
    """
    labels, step = segmentation.labels.copy(), sections.raster.step_m
    smallest, smallest_floor = (max(1, round(area / step**2)) for area in (_SMALLEST_M2, _SMALLEST_FLOOR_M2))
    holes: set[int] = set()
    parts: dict[int, list[int]] = {}
    for room in segmentation.rooms if open_below.any() else ():
        inside = segmentation.labels == room
        hole = without_small_regions(regions_with(inside & sections.hole, inside & open_below), smallest)
        floor, pieces = label(without_small_regions(inside & ~hole, smallest_floor))
        if not hole.any() or pieces == 0:
            continue
        open_parts, count = label(regions_with(inside & (floor == 0), hole))
        last = int(labels.max())
        labels[floor > 1] = last - 1 + floor[floor > 1]
        labels[open_parts > 0] = last + pieces - 1 + open_parts[open_parts > 0]
        here = range(last + pieces, last + pieces + count)
        holes.update(here)
        parts[room] = [room, *range(last + 1, last + pieces), *here]
    return PartedRooms(replace(segmentation, labels=labels), frozenset(holes), parts)
