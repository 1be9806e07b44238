"""Stage report: the words on a chart of curves: what they are called, and which failed where and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparse_convonet.report.label_places import Obstacles, Rectangle, best_place, rows_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg

INK = "#1e2228"
_POINTS_PER_INCH = 72
_ROW_POINTS = 18.0  # of the failures above the axes
_CROSS_POINTS = 9.0
_ASIDE_POINTS, _OFF_POINTS = 9.0, 6.0  # of a name from its curve, to the sides and upwards or downwards
_TEXT_SHADE = 0.72  # of a curve's colour: the light ones are hard to read as letters
_POINT_COST, _CURVE_COST, _UPRIGHT_COST = 40.0, 8.0, 1.0  # of covering a measured point, points on lines


@dataclass(frozen=True)
class Failure:
    """words: what failed, and why.  x: the size at which it failed."""

    words: str
    x: float
    colour: str


@dataclass(frozen=True)
class Name:
    """words: what is written.  points: (N, 2) in the data's units, where it may be written, the best place last."""

    words: str
    points: np.ndarray
    colour: str


def draw_failures(axes: Axes, canvas: FigureCanvasAgg, failures: Sequence[Failure]) -> None:
    """Crosses in rows over the axes, which give way, each at the x of a failure with a dotted line down to the axis."""
    from matplotlib.transforms import ScaledTranslation, blended_transform_factory

    if not failures:
        return
    inch = canvas.figure.dpi
    pixels_per_point = inch / _POINTS_PER_INCH
    # From the right to the left, for words stand to the right of their cross: no line runs up through others' words.
    failures = sorted(failures, key=lambda failure: -failure.x)
    right_border = canvas.figure.bbox.x1 - _ASIDE_POINTS * pixels_per_point
    texts, asides, spans = [], [], []
    for failure in failures:
        text = axes.text(0, 0, failure.words, color=INK, fontsize=10, va="center_baseline", parse_math=False, zorder=5)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
        wide = text.get_window_extent(canvas.get_renderer()).width
        at = axes.transData.transform((failure.x, axes.get_ylim()[0]))[0]
        gap = _CROSS_POINTS * pixels_per_point
        turned = at + gap + wide > right_border
        text.set_horizontalalignment("right" if turned else "left")
        texts.append(text)
        asides.append(-_CROSS_POINTS if turned else _CROSS_POINTS)
        spans.append((at - gap - wide, at + gap) if turned else (at - gap, at + gap + wide))
    rows = rows_apart(spans, inch / 10)
    room = (max(rows) + 1) * _ROW_POINTS / _POINTS_PER_INCH * inch / canvas.figure.bbox.height
    left, bottom, width, height = axes.get_position().bounds
    axes.set_position((left, bottom, width, height - room))
    above = blended_transform_factory(axes.transData, axes.transAxes)
    row_share = _ROW_POINTS * pixels_per_point / axes.get_window_extent().height
    for failure, text, aside, row in zip(failures, texts, asides, rows, strict=True):
        top = 1 + (row + 0.7) * row_share
        axes.plot(
            [failure.x, failure.x], [0, top], transform=above, color=failure.colour, linestyle=":", linewidth=1.5,
            zorder=2, clip_on=False,
        )  # fmt: skip
        axes.plot(
            [failure.x], [top], transform=above, color=failure.colour, marker="x", markersize=_CROSS_POINTS,
            markeredgewidth=2.5, zorder=6, clip_on=False,
        )  # fmt: skip
        text.set_position((failure.x, top))
        text.set_transform(above + ScaledTranslation(aside / _POINTS_PER_INCH, 0, canvas.figure.dpi_scale_trans))


def draw_names(
    axes: Axes,
    canvas: FigureCanvasAgg,
    names: Sequence[Name],
    lines: Sequence[np.ndarray],
    upright: Sequence[float],
) -> None:
    """Write each name at one of its points, where it covers least of the lines and of other names.

    lines: (N, 2) measured points each, in the data's units.  upright: x of the dotted lines.
    """
    from matplotlib.patheffects import withStroke

    box = axes.get_window_extent()
    frame = Rectangle(box.x0 + 2, box.y0 + 2, box.x1, box.y1)
    to_pixels = axes.transData.transform
    parts = [Obstacles(np.zeros((0, 2)), np.zeros(0))]
    for line in lines:
        pixels = to_pixels(line)
        parts += [Obstacles.along(pixels, _CURVE_COST), Obstacles(pixels, np.full(len(pixels), _POINT_COST))]
    for x in upright:
        at = to_pixels((x, axes.get_ylim()[0]))[0]
        parts.append(Obstacles.along(np.array([[at, box.y0], [at, box.y1]]), _UPRIGHT_COST))
    obstacles = Obstacles.joined(parts)
    pixels_per_point = canvas.figure.dpi / _POINTS_PER_INCH
    labels: list[Rectangle] = []
    for name in names:
        text = axes.text(
            0, 0, name.words, color=_shaded(name.colour), fontsize=10.5, weight="bold", va="bottom", parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")], zorder=5,
        )  # fmt: skip
        extent = text.get_window_extent(canvas.get_renderer())
        candidates = [
            Rectangle(left, bottom, left + extent.width, bottom + extent.height)
            for x, y in to_pixels(name.points)[::-1]
            for left, bottom in _around(x, y, extent.width, extent.height, pixels_per_point)
        ]
        chosen = candidates[best_place(candidates, obstacles, labels, frame)]
        labels.append(chosen)
        x, y = axes.transData.inverted().transform((chosen.left, chosen.bottom))
        text.set_position((float(x), float(y)))


def _around(x: float, y: float, width: float, height: float, pixels_per_point: float) -> list[tuple[float, float]]:
    """Left and bottom of a label at a point of a curve, all in pixels, the best place first."""
    aside, off = _ASIDE_POINTS * pixels_per_point, _OFF_POINTS * pixels_per_point
    above, below = y + off, y - off - height
    return [
        (x + aside, y - height / 2),
        (x - width / 2, above),
        (x - width, above),
        (x + off, above),
        (x - width / 2, below),
        (x + off, below),
        (x - width, below),
        (x - aside - width, y - height / 2),
    ]


def _shaded(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = (_TEXT_SHADE * channel for channel in to_rgb(colour))
    return red, green, blue
