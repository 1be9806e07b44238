"""Stage report: charts of scores, times and memory, and of how they grow until a method does not fit any more."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sparse_convonet.report.curve_labels import INK, Failure, Name, draw_failures, draw_names
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.refusals import require_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

# Okabe and Ito 2008, for eyes that tell no red from green too; their yellow, too pale on white, is left out.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
_FAINT = "#787e86"
_DPI = 150
_CHARTS_IN_A_ROW = 3
_BAR_CHART_INCHES, _BAR_INCHES = 3.3, 0.36
_NAME_LETTERS = 30  # in a line
_VALUE_ROOM = 1.28  # of the longest bar, for the number at its end
_CURVE_INCHES = 9.6, 5.6
_ROOM_BESIDE, _ROOM_ABOVE = 0.06, 0.08  # of the range of the axes, around what is measured
_LIMIT_PLACES = 12  # at which the limit's name may stand
_MARKERS = "osD^vPX"


@dataclass(frozen=True)
class Curve:
    """What was measured of one method at growing sizes.

    x, y: one each per measurement, in order.  end: why there is none beyond ("no more memory"); None: it goes on.
    end_x: the size at which it failed; None: that of the last measurement.
    Raises ValueError where x and y are not equally long, not finite, or hold nothing and no failure either.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    end: str | None
    end_x: float | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"curve {self.name}: expected as many x as y, found {len(self.x)} and {len(self.y)}")
        if not all(math.isfinite(value) for value in (*self.x, *self.y, self.end_x or 0.0)):
            raise ValueError(f"curve {self.name}: expected finite numbers, found infinite ones or NaN")
        if not self.x and (self.end is None or self.end_x is None):
            raise ValueError(f"curve {self.name}: expected measurements, or why and where it failed; found neither")

    @property
    def failed_at(self) -> float | None:
        if self.end is None:
            return None
        return self.x[-1] if self.end_x is None else self.end_x


def write_bars(path: Path, names: Sequence[str], columns: Mapping[str, Sequence[float | None]]) -> None:
    """Write a PNG with a chart of horizontal bars per column, one bar per name from the top down, with its number.

    None, or a number that is not finite, shows as "-".  A name has the same colour in every chart.
    Raises ValueError without names or columns, where a column has not one value per name, and without matplotlib.
    """
    if not names or not columns:
        raise ValueError(f"bars: expected names and columns, found {len(names)} names and {len(columns)} columns")
    for title, values in columns.items():
        if len(values) != len(names):
            raise ValueError(f"bars, {title}: expected {len(names)} values, one per name, found {len(values)}")
    down = -(-len(columns) // _CHARTS_IN_A_ROW)
    across = -(-len(columns) // down)
    wrapped = [textwrap.fill(name, _NAME_LETTERS) for name in names]
    longest = max(len(line) for name in wrapped for line in name.splitlines() or [""])
    size = across * _BAR_CHART_INCHES + 0.3 + 0.09 * longest, down * (0.75 + _BAR_INCHES * len(names))
    figure, canvas = _figure(size, spread=True)
    grid = figure.subplots(down, across, squeeze=False)
    for number, axes in enumerate(grid.flat):
        if number >= len(columns):
            axes.set_visible(False)
            continue
        title = list(columns)[number]
        _draw_bars(axes, title, wrapped, columns[title], names_shown=number % across == 0)
    _save(path, canvas)


def write_curves(
    path: Path,
    curves: Sequence[Curve],
    *,
    x_label: str,
    y_label: str,
    limit: float | None = None,
    limit_name: str = "",
    log: bool = True,
) -> None:
    """Write a PNG of the curves, named where they run; above it who failed at which x, and why.

    limit: a y that is drawn across, called limit_name.  log: both axes are logarithmic.
    Raises ValueError without curves, for numbers of 0 or less on logarithmic axes, and without matplotlib.
    """
    if not curves:
        raise ValueError("curves: expected at least one, found none")
    all_x = [x for curve in curves for x in (*curve.x, curve.failed_at) if x is not None]
    all_y = [y for curve in curves for y in curve.y] + ([] if limit is None else [limit])
    all_y = all_y or [1.0]  # every method failed at once
    if log and min(all_x + all_y) <= 0:
        raise ValueError(f"curves: expected numbers above 0 for logarithmic axes, found {min(all_x + all_y):g}")
    figure, canvas = _figure(_CURVE_INCHES, spread=False)
    axes = figure.add_axes((0.085, 0.11, 0.895, 0.855))
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlim(_range(all_x, log, _ROOM_BESIDE))
    axes.set_ylim(_range(all_y, log, _ROOM_ABOVE))
    axes.set_xlabel(x_label, color=INK, parse_math=False)
    axes.set_ylabel(y_label, color=INK, parse_math=False)
    _style(axes, log)
    names, lines = [], []
    for number, curve in enumerate(curves):
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(curve.x, curve.y, color=_colour(number), marker=marker, markersize=6, linewidth=2, zorder=3)
        if curve.x:
            lines.append(np.stack([curve.x, curve.y], axis=1))
            names.append(Name(curve.name, lines[-1], _colour(number)))
    failures = [
        Failure(f"{curve.name}: {curve.end}", curve.failed_at, _colour(number))
        for number, curve in enumerate(curves)
        if curve.failed_at is not None
    ]
    draw_failures(axes, canvas, failures)
    if limit is not None:
        axes.axhline(limit, color=INK, linestyle="--", linewidth=1.3, zorder=2)
        low, high = axes.get_xlim()
        places_x = np.geomspace(low, high, _LIMIT_PLACES) if log else np.linspace(low, high, _LIMIT_PLACES)
        across = np.stack([places_x, np.full(_LIMIT_PLACES, limit)], axis=1)
        lines.append(across)
        if limit_name:
            names.append(Name(limit_name, across[::-1], INK))
    draw_names(axes, canvas, names, lines, [failure.x for failure in failures])
    _save(path, canvas)


def _figure(size: tuple[float, float], spread: bool) -> tuple[Figure, FigureCanvasAgg]:
    """A figure of that many inches on a canvas of its own: pyplot and its global state are not touched.

    spread: its axes find their places by themselves.
    """
    require_package("matplotlib", "compare", "drawing charts")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.12) if spread else None
    figure = Figure(figsize=size, dpi=_DPI, layout=layout, facecolor="white")
    return figure, FigureCanvasAgg(figure)


def _save(path: Path, canvas: FigureCanvasAgg) -> None:
    with atomic_path(path) as temporary:
        canvas.print_figure(temporary, format="png", dpi=_DPI)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _draw_bars(axes: Axes, title: str, names: Sequence[str], values: Sequence[float | None], names_shown: bool) -> None:
    known = [value if value is not None and math.isfinite(value) else None for value in values]
    longest = max([abs(value) for value in known if value is not None], default=0.0) or 1.0
    lowest = min([value for value in known if value is not None], default=0.0)
    axes.barh(range(len(names)), [value or 0.0 for value in known], 0.68, color=[_colour(n) for n in range(len(names))])
    for row, value in enumerate(known):
        text, ink = ("-", _FAINT) if value is None else (_number(value), INK)
        place = max(value or 0.0, 0.0) + 0.03 * longest
        axes.text(place, row, text, va="center", color=ink, fontsize=10, parse_math=False)
    axes.set_xlim(min(lowest * 1.05, 0.0), _VALUE_ROOM * longest)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_title(title, loc="left", fontsize=11, color=INK, parse_math=False)
    axes.set_yticks(range(len(names)), names if names_shown else [""] * len(names), color=INK, parse_math=False)
    axes.set_xticks([])
    axes.tick_params(left=False)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(_FAINT)


def _number(value: float) -> str:
    """Three digits, and never fewer than the whole ones."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _tick(value: float, _position: object = None) -> str:
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(value) >= size:
            return f"{value / (1e3 if size == 1e4 else size):g}{letter}"
    return f"{value:g}"


def _range(values: list[float], log: bool, room: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        low, high = math.log10(low), math.log10(high)
    around = room * (high - low) if high > low else 0.5
    low, high = low - around, high + around
    return (10.0**low, 10.0**high) if log else (low, high)


def _style(axes: Axes, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if log:
            decades = math.log10(high / low)
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 3.5 else (1.0,), numticks=40))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(_tick))
    axes.grid(True, color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_FAINT, labelcolor=INK, length=3)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
