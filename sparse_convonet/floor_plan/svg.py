"""Stage floor_plan: the drawing of a storey as SVG, in metres, to print on white."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
from shapely.geometry import Polygon

from sparse_convonet.floor_plan.openings import Opening
from sparse_convonet.floor_plan.plan_frame import PlanFrame
from sparse_convonet.floor_plan.sections import SECTION_M
from sparse_convonet.floor_plan.storey_plan import Room, StoreyPlan

_ROOMS = ("#eef3f8", "#f5f1e6", "#edf5ec", "#f7eef0", "#f0eef7", "#eaf4f4")
_WALL, _GUESSED, _FURNITURE, _INK = "#2b2b2b", "#d9822b", "#c9c9c9", "#1a1a1a"
_OPENINGS = {"door": "#1f6fb2", "passage": "#1f6fb2", "window": "#3a9bb5", "gap": _GUESSED}
_LEAST_WIDTH_M = 8.0  # of the sheet, so that its words fit
_PIXELS_PER_METRE = 50.0  # on a screen, at most ...
_MOST_PIXELS = 2400.0  # ... of the longer side
_PANE_M = 0.05  # half the distance of the two lines of a window
_SCALE_SHARE = 0.25  # of the width, at most, is the scale bar


def write_svg(path: Path, plan: StoreyPlan, frame: PlanFrame, title: str) -> None:
    """Write one storey.  title: of the scan."""
    path.write_text(_Sheet(plan, frame, title).text(), encoding="utf-8")


class _Sheet:
    """User units are metres from a whole metre near the lower left corner, y down; the drawing says where that lies."""

    def __init__(self, plan: StoreyPlan, frame: PlanFrame, title: str) -> None:
        self._plan, self._frame, self._title = plan, frame, title
        drawn = [plan.walls if not plan.walls.is_empty else plan.furniture, *(room.outline for room in plan.rooms)]
        bounds = np.array([area.bounds for area in drawn if not area.is_empty] or [(0, 0, 1, 1)])
        bounds = np.stack([bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)])
        self._corner = np.floor(bounds[0])
        self._size = bounds[1] - bounds[0]
        self._letter = float(np.clip(self._size.max() / 60, 0.16, 1.0))  # height of small letters, metres
        margin = 2 * self._letter
        self._width = max(float(self._size[0]), _LEAST_WIDTH_M) + 2 * margin
        self._left = float(bounds[0, 0] - self._corner[0]) - margin
        self._top = -float(bounds[1, 1] - self._corner[1]) - margin - 4 * self._letter
        self._bottom = -float(bounds[0, 1] - self._corner[1]) + margin + 5 * self._letter

    def text(self) -> str:
        """The whole file."""
        height = self._bottom - self._top
        scale = min(_PIXELS_PER_METRE, _MOST_PIXELS / max(self._width, height))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self._width * scale:.0f}" height="{height * scale:.0f}" '
            f'viewBox="{self._left:.3f} {self._top:.3f} {self._width:.3f} {height:.3f}" '
            'font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(self._heading)}</title>",
            f"<desc>Metres; the point 0 0 is {self._corner[0]:.0f} {self._corner[1]:.0f} in the plan's coordinates, and "
            f"y runs downwards here. {escape(self._frame.sentence)}.</desc>",
            f'<rect x="{self._left:.3f}" y="{self._top:.3f}" width="{self._width:.3f}" height="{height:.3f}" '
            'fill="white"/>',
            *self._areas(),
            *(line for opening in self._plan.openings for line in self._opening(opening)),
            *(line for room in self._plan.rooms for line in self._words_of(room)),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    @property
    def _heading(self) -> str:
        return f"{self._title}: storey {self._plan.number}, floor at {self._plan.floor_z:.2f} m"

    def _areas(self) -> Iterator[str]:
        for room in self._plan.rooms:
            fill = _ROOMS[(room.number - 1) % len(_ROOMS)] if room.has_floor else "white"
            yield f'<path class="room" d="{self._path(room.outline)}" fill="{fill}" fill-rule="evenodd"/>'
        furniture = " ".join(self._path(area) for area in self._plan.furniture.geoms)
        yield f'<path class="furniture" d="{furniture}" fill="{_FURNITURE}" fill-rule="evenodd"/>'
        walls = " ".join(self._path(area) for area in self._plan.walls.geoms)
        yield f'<path class="wall" d="{walls}" fill="{_WALL}" fill-rule="evenodd"/>'
        guessed = " ".join("M" + " L".join(self._point(point) for point in line) for line in self._plan.guessed)
        yield (
            f'<path class="guessed" d="{guessed}" fill="none" stroke="{_GUESSED}" stroke-width="{self._letter / 6:.3f}" '
            f'stroke-dasharray="{self._letter / 2:.3f}"/>'
        )

    def _opening(self, opening: Opening) -> Iterator[str]:
        """A door is a line, a window two."""
        way = np.diff(opening.ends, axis=0)[0]
        across = np.array([-way[1], way[0]]) / max(float(np.linalg.norm(way)), 1e-9) * _PANE_M
        for shift in (across, -across) if opening.kind == "window" else (np.zeros(2),):
            (x1, y1), (x2, y2) = (self._place(end + shift) for end in opening.ends)
            dash = f' stroke-dasharray="{self._letter / 2:.3f}"' if opening.kind in ("passage", "gap") else ""
            yield (
                f'<line class="{opening.kind}" x1="{x1:.3f}" y1="{y1:.3f}" x2="{x2:.3f}" y2="{y2:.3f}" '
                f'stroke="{_OPENINGS[opening.kind]}" stroke-width="{self._letter / 5:.3f}"{dash}/>'
            )

    def _words_of(self, room: Room) -> Iterator[str]:
        x, y = self._place(room.label_place)
        size = min(self._letter * 1.3, max(self._letter * 0.7, math.sqrt(room.outline.area) / 6))
        yield self._words(x, y - size * 0.15, str(room.number), size, anchor="middle", weight="bold")
        area = f"{room.outline.area:.1f} m²" if room.has_floor else f"open, {room.outline.area:.1f} m²"
        yield self._words(x, y + size * 0.95, area, size * 0.85, anchor="middle")

    def _legend(self) -> Iterator[str]:
        letter, x = self._letter, self._left + 2 * self._letter
        top, bottom = self._top + 2.2 * letter, self._bottom - 4.2 * letter
        area = sum(room.outline.area for room in self._plan.rooms if room.has_floor)
        yield self._words(
            x, top, self._heading, min(letter * 1.5, self._width / len(self._heading) * 1.6), weight="bold"
        )
        count = sum(room.has_floor for room in self._plan.rooms)
        found = f"{count} room{'s' * (count != 1)}, {area:.1f} m²; section {SECTION_M:g} m above the floor"
        yield self._words(x, top + 1.6 * letter, found, letter)
        bar = _round_below(self._width * _SCALE_SHARE)
        yield (
            f'<path class="scale" d="M{x:.3f} {bottom - letter / 2:.3f} v{letter / 2:.3f} h{bar:g} v{-letter / 2:.3f}" '
            f'fill="none" stroke="{_INK}" stroke-width="{letter / 8:.3f}"/>'
        )
        yield self._words(x + bar + letter / 2, bottom, f"{bar:g} m", letter)
        yield self._words(x, bottom + 1.5 * letter, self._frame.sentence, letter * 0.8)
        key = "black: walls; grey: furniture; orange: guessed, no point is near; blue: doors, double: windows"
        yield self._words(x, bottom + 2.8 * letter, key, letter * 0.8)

    def _words(
        self, x: float, y: float, words: str, size: float, *, anchor: str = "start", weight: str = "normal"
    ) -> str:
        return (
            f'<text x="{x:.3f}" y="{y:.3f}" font-size="{size:.3f}" text-anchor="{anchor}" font-weight="{weight}" '
            f'fill="{_INK}">{escape(words)}</text>'
        )

    def _place(self, point: np.ndarray) -> tuple[float, float]:
        x, y = np.asarray(point, dtype=np.float64) - self._corner
        return float(x), -float(y)

    def _point(self, point: np.ndarray) -> str:
        x, y = self._place(point)
        return f"{x:.4f} {y:.4f}"

    def _path(self, area: Polygon) -> str:
        rings = (np.asarray(ring.coords)[:-1] for ring in (area.exterior, *area.interiors))
        return " ".join("M" + " L".join(self._point(point) for point in ring) + "Z" for ring in rings)


def _round_below(length: float) -> float:
    """The largest of 1, 2, 5, 10, ... metres that is not longer."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= length)
