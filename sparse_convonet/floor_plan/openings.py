"""Stage floor_plan: doors, windows and passages, which are where two labels of free space meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from sparse_convonet.floor_plan.sections import Sections
from sparse_convonet.floor_plan.segmentation import DOOR_M, OUTSIDE, Segmentation, borders_between, pieces_of

_DIRECTIONS = 72  # tried over half a turn
_AROUND, _BESIDE_M = 12, 0.25  # places around one without a chord
_WIDEST_M = 6.0  # an opening that is wider has no width
_LONGER, _SLACK_M = 1.2, 0.3  # an opening is hardly longer than the border in it; or the border ends in free space
_ASIDE_M, _ASIDE_SHARE = 0.5, 0.1  # so near to the opening's line lies the border on average, and a share of its width
_NARROWEST_M = 0.25  # what is narrower is a crack


@dataclass(frozen=True)
class Opening:
    """kind: "door", "window" (solid below), "passage" (wider than a door) or "gap", as wide, and nothing above or below:
    the scan ends there.  ends: (2, 2) metres, on the jambs.
    between: labels of segmentation on its two sides, ascending."""

    kind: str
    ends: np.ndarray
    between: tuple[int, int]

    @property
    def width_m(self) -> float:
        return float(np.linalg.norm(self.ends[1] - self.ends[0]))

    @property
    def centre(self) -> np.ndarray:
        """(2,) metres."""
        return np.asarray(self.ends.mean(axis=0))


def find_openings(sections: Sections, segmentation: Segmentation) -> list[Opening]:
    """All between rooms, and between rooms and the outside; each is measured across its narrowest place."""
    raster, labels = sections.raster, segmentation.labels
    borders = borders_between(labels)
    pieces = pieces_of(borders)
    found: list[Opening] = []
    places = np.argwhere(borders)
    order = np.argsort(pieces[borders], kind="stable")
    starts = np.flatnonzero(np.diff(pieces[borders][order], prepend=0))
    for rows in np.split(order, starts[1:]) if len(order) else []:
        piece = places[rows]
        names = labels[tuple(piece.T)]
        for pair in _pairs(labels, piece):
            here = piece[np.isin(names, pair)]
            ends = _narrowest_near(segmentation.wall, here.mean(axis=0), raster.step_m)
            if ends is not None and _is_opening(ends, here, raster.step_m):
                found.append(Opening(_kind(sections, segmentation, pair, ends), raster.to_world(ends), pair))
    return sorted(found, key=lambda opening: (opening.between, *np.round(opening.centre, 2)))


def _pairs(labels: np.ndarray, piece: np.ndarray) -> list[tuple[int, int]]:
    """Which labels meet in a piece (P, 2) of a border."""
    pairs = set()
    for shift in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        beside = np.clip(piece + shift, 0, np.array(labels.shape) - 1)
        for a, b in set(zip(labels[tuple(piece.T)].tolist(), labels[tuple(beside.T)].tolist(), strict=True)):
            if a != b and a >= OUTSIDE and b >= OUTSIDE:
                pairs.add((min(a, b), max(a, b)))
    return sorted(pairs)


def _is_opening(ends: np.ndarray, border: np.ndarray, step_m: float) -> bool:
    """Whether the border (P, 2) of two labels goes from wall to wall between the ends (2, 2) of a chord, all in places.

    It does not where it bends round a part of a room that has no ceiling, say: the chord then crosses the room elsewhere.
    """
    way, extent = ends[1] - ends[0], np.linalg.norm(np.ptp(border, axis=0))
    width = float(np.linalg.norm(way))
    if width * step_m < _NARROWEST_M or width > _LONGER * extent + _SLACK_M / step_m:
        return False
    aside = np.abs((border - ends[0]) @ np.array([-way[1], way[0]])) / width  # (P,)
    return bool(aside.mean() <= _ASIDE_M / step_m + _ASIDE_SHARE * width)


def _narrowest_near(wall: np.ndarray, centre: np.ndarray, step_m: float) -> np.ndarray | None:
    """_narrowest, or that of places around where there is none: a border may lie just before its opening."""
    ends = _narrowest(wall, centre, step_m)
    if ends is not None:
        return ends
    angles = np.arange(_AROUND) * (2 * np.pi / _AROUND)
    around = centre + _BESIDE_M / step_m * np.column_stack([np.cos(angles), np.sin(angles)])
    found = [ends for place in around if (ends := _narrowest(wall, place, step_m)) is not None]
    return min(found, key=lambda ends: float(np.linalg.norm(ends[1] - ends[0])), default=None)


def _narrowest(wall: np.ndarray, centre: np.ndarray, step_m: float) -> np.ndarray | None:
    """Ends (2, 2), in places, of the shortest chord through a free place from wall to wall; None: there is none."""
    angles = np.arange(2 * _DIRECTIONS) * (np.pi / _DIRECTIONS)
    reach = np.arange(0, _WIDEST_M / step_m, 0.5)
    ways = np.column_stack([np.cos(angles), np.sin(angles)])
    along = centre[:, None, None] + ways.T[:, :, None] * reach
    logits = map_coordinates(wall, along, order=1, mode="constant", cval=-1.0)
    solid = logits > 0
    first = solid.argmax(axis=1)
    if solid[:, 0].any():
        return None
    rows = np.arange(len(first))
    before, after = logits[rows, np.maximum(first - 1, 0)], logits[rows, first]
    share = np.divide(before, before - after, out=np.zeros(len(first)), where=solid.any(axis=1))
    length = np.where(solid.any(axis=1), (np.maximum(first - 1, 0) + share) * 0.5, np.inf)
    chords = length[:_DIRECTIONS] + length[_DIRECTIONS:]
    best = int(np.argmin(chords))
    if not np.isfinite(chords[best]):
        return None
    return np.stack([centre + ways[k] * length[k] for k in (best, best + _DIRECTIONS)])


def _kind(sections: Sections, segmentation: Segmentation, pair: tuple[int, int], ends: np.ndarray) -> str:
    """Of an opening between two labels, with its ends at two places (2, 2)."""
    share = np.linspace(0.15, 0.85, 21)[:, None]
    places = tuple(np.round(ends[0] * (1 - share) + ends[1] * share).astype(int).T)
    if sections.low[places].mean() > 0.5:
        return "window"
    if np.linalg.norm(ends[1] - ends[0]) * sections.raster.step_m < DOOR_M:
        return "door"
    return "gap" if OUTSIDE in pair and segmentation.in_opening[places].mean() < 0.5 else "passage"
