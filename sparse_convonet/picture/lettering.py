"""Stage picture: words and lengths on a picture."""

from __future__ import annotations

import math
import unicodedata

from PIL import ImageDraw, ImageFont

_LIKE = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "×": "x", "·": "-", "–": "-", "—": "-"})
INK, FAINT = (30, 34, 40), (120, 126, 134)


def write_line(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, ink: tuple[int, int, int], width: int
) -> int:
    """Write one line, shortened to a width in pixels; how wide it came out."""
    font, text = ImageFont.load_default(size), drawable(text)
    shown = text
    while draw.textlength(shown, font=font) > width and len(text) > 1:
        text = text[:-1]
        shown = text + "..."
    draw.text(place, shown, fill=ink, font=font)
    return math.ceil(draw.textlength(shown, font=font))


def drawable(text: str) -> str:
    """The text in the letters that the font of Pillow has, those of ASCII: without accents, and ? for what has no like."""
    plain = unicodedata.normalize("NFKD", text.translate(_LIKE))
    return "".join(letter if letter.isascii() else "?" for letter in plain if not unicodedata.combining(letter))


def round_length(longest: float) -> float:
    """The largest of ... 0.1, 0.2, 0.5, 1, 2, 5, 10 ... that is not longer."""
    power = 10.0 ** math.floor(math.log10(longest))
    return power * max(step for step in (1, 2, 5) if step * power <= longest)
