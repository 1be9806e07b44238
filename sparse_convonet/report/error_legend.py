"""Stage report: colours for distances to the truth, and the legend that says what they and the scale mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from sparse_convonet.picture.lettering import FAINT, INK, round_length, write_line
from sparse_convonet.picture.shading import SECTION_COLOUR

LEGEND_HEIGHT = 96  # pixels
# Magma (van der Walt and Smith 2015) from light to dark in even steps: its lightness falls evenly, for eyes that tell
# no red from green too.  Its darkest part is left to sections and shadows, and its lightest paled, for the shadows on it.
_RAMP = np.array(
    [(250, 247, 230), (254, 207, 146), (254, 159, 109), (247, 112, 92), (222, 73, 104), (183, 55, 121), (140, 41, 129)],
    dtype=np.float64,
)
_BAR_PIXELS, _BAR_HEIGHT, _BAR_TOP = 340, 20, 28
_BETWEEN = 48
_SCALE_PIXELS = 200  # at most
_SIZE = 18  # of letters


def error_colours(error: np.ndarray, largest: float) -> np.ndarray:
    """(N,) distances -> (N, 3) uint8: light for 0, dark for `largest` and more."""
    place = np.clip(error / largest, 0, 1) * (len(_RAMP) - 1)
    stops = np.arange(len(_RAMP))
    return np.rint(np.stack([np.interp(place, stops, channel) for channel in _RAMP.T], axis=1)).astype(np.uint8)


@dataclass(frozen=True)
class Legend:
    """error_name: what the colours show.  largest_error: None without colours.  units_per_pixel: None without a scale.
    sections: whether walls are cut."""

    error_name: str
    largest_error: float | None
    unit: str
    units_per_pixel: float | None
    sections: bool
    storeys: str


def draw_legend(draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, legend: Legend) -> None:
    """Draw it from `place` (left, top) on, at most `width` and LEGEND_HEIGHT pixels large."""
    left, top = place
    x = left
    if legend.largest_error is not None:
        x += _colour_bar(draw, x, top, legend.error_name, legend.largest_error, legend.unit) + _BETWEEN
    if legend.units_per_pixel is not None:
        x += _scale_bar(draw, x, top, legend.units_per_pixel, legend.unit) + _BETWEEN
    room = left + width - x
    if legend.sections:
        draw.rectangle((x, top + _BAR_TOP, x + 19, top + _BAR_TOP + 19), fill=_section_colour(), outline=FAINT)
        write_line(draw, (x + 28, top + _BAR_TOP - 1), "cut through the solid", _SIZE, INK, room - 28)
    if legend.storeys:
        write_line(draw, (x, top + _BAR_TOP + _BAR_HEIGHT + 8), legend.storeys, _SIZE, INK, room)


def _colour_bar(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, largest: float, unit: str) -> int:
    """Colours with the distances they stand for; how wide it came out."""
    factor = 1.0
    if unit == "m" and largest < 1:
        factor, unit = 100.0, "cm"
    draw.text((left, top), name, fill=INK, font_size=_SIZE)
    bar_top, below = top + _BAR_TOP, top + _BAR_TOP + _BAR_HEIGHT
    for column, colour in enumerate(error_colours(np.linspace(0, 1, _BAR_PIXELS), 1.0).tolist()):
        draw.line((left + column, bar_top, left + column, below), fill=tuple(colour))
    draw.rectangle((left, bar_top, left + _BAR_PIXELS, below), outline=FAINT)
    right = float(left + _BAR_PIXELS)
    numbers = "0", f"{largest / 2 * factor:.3g}", f"{largest * factor:.3g}"
    for share, number, rest in zip((0.0, 0.5, 1.0), numbers, ("", "", f" {unit} and more"), strict=True):
        x = left + share * _BAR_PIXELS
        draw.line((x, below, x, below + 6), fill=INK, width=1)
        start = x - share * draw.textlength(number, font_size=_SIZE)
        draw.text((start, below + 8), number + rest, fill=INK, font_size=_SIZE)
        right = max(right, start + draw.textlength(number + rest, font_size=_SIZE))
    return math.ceil(right) - left


def _scale_bar(draw: ImageDraw.ImageDraw, left: int, top: int, units_per_pixel: float, unit: str) -> int:
    """A round length; how wide it came out."""
    words = write_line(draw, (left, top), "same scale in all panels", _SIZE, INK, 400)
    length = round_length(_SCALE_PIXELS * units_per_pixel)
    right, line = left + round(length / units_per_pixel), top + _BAR_TOP + _BAR_HEIGHT // 2
    draw.line((left, line, right, line), fill=INK, width=3)
    for end in (left, right):
        draw.line((end, line - 6, end, line + 6), fill=INK, width=2)
    text = f"{length:g} {unit}"
    draw.text((left, top + _BAR_TOP + _BAR_HEIGHT + 8), text, fill=INK, font_size=_SIZE)
    return max(words, right - left, math.ceil(draw.textlength(text, font_size=_SIZE)))


def _section_colour() -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in SECTION_COLOUR)
    return red, green, blue
