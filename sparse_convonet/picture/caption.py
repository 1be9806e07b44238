"""Stage picture: a strip below a picture, with a scale bar and what it shows in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sparse_convonet.picture.lettering import FAINT, INK, round_length, write_line

_MARGIN, _LINE, _SIZE = 24, 24, 17  # pixels
_BAR = 0.2  # of the width, at most
_TICK = 7


def captioned(picture: np.ndarray, metres_per_pixel: float, lines: Sequence[str]) -> np.ndarray:
    """(H, W, 3) uint8 -> the same with a strip below: the first line dark, the others faint.  Its colour is that of the
    picture's first pixel."""
    height, width = picture.shape[:2]
    page = tuple(int(channel) for channel in picture[0, 0])
    sheet = Image.new("RGB", (width, height + _MARGIN + _LINE * max(2, len(lines))), page)
    sheet.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(sheet)
    length_m = round_length(max(_BAR * width * metres_per_pixel, 1e-6))
    left, base = _MARGIN, height + _LINE
    right = left + max(1, round(length_m / metres_per_pixel))
    draw.line([(left, base), (right, base)], fill=INK, width=2)
    for end in (left, right):
        draw.line([(end, base - _TICK), (end, base + _TICK)], fill=INK, width=2)
    write_line(
        draw,
        (left, base + _TICK),
        f"{length_m:g} m" if length_m >= 0.1 else f"{100 * length_m:g} cm",
        _SIZE - 3,
        FAINT,
        width,
    )
    start = max(right, left + 60) + 2 * _MARGIN
    for number, line in enumerate(lines):
        write_line(
            draw, (start, height + 8 + _LINE * number), line, _SIZE, FAINT if number else INK, width - start - _MARGIN
        )
    return np.asarray(sheet)
