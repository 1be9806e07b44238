"""How the lines of a table in text are made: separators, decimal commas, quotes, names, columns that hold words."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.io.column_names import declared_unit, known_names, plain_name
from sparse_convonet.io.number_text import is_number
from sparse_convonet.runtime.refusals import unreadable
from sparse_convonet.structures import LengthUnit

_COMMENTS = ("#", "//", "%", "!")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?|[+-]?\d+")
_LEAST_NUMBERS = 3
_ANGLES = {"lon", "lat", "long", "longitude", "latitude"}
_GRID = ("ncols", "nrows")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextLayout:
    """skipped: lines before the first point.  first_line: that of the first point.

    names: what each column of numbers is, see column_names.known_names; None: nothing says it.
    separator: None for white space.  count: how many points the first line says that there are.
    decimal_comma, quoted, trailing: whether numbers have commas, stand in quotes, and a separator follows the last.
    words: the columns that hold words, which are left out; the others are counted without them.  width: of all.
    headings: what the file calls each column of numbers; None: nothing.
    """

    skipped: int
    first_line: str
    names: list[str] | None
    separator: str | None
    count: int | None
    unit: LengthUnit | None = None
    decimal_comma: bool = False
    quoted: bool = False
    trailing: bool = False
    words: tuple[int, ...] = ()
    width: int = 0
    headings: tuple[str, ...] | None = None

    def plain(self, content: bytes) -> bytes:
        """Lines with the numbers alone: without quotes, a last separator and columns of words, and with decimal points."""
        if self.words:
            content = b"\n".join(self._numbers_of(line) for line in content.split(b"\n"))
        if self.quoted:
            content = content.replace(b'"', b"")
        if self.trailing and self.separator is not None and not self.words:
            content = re.sub(re.escape(self.separator.encode()) + rb"[ \t]*(?=\r?\n|\r?$)", b"", content)
        return content.replace(b",", b".") if self.decimal_comma else content

    def _numbers_of(self, line: bytes) -> bytes:
        """A line without the columns of words; one of another width stays, and is refused where it is read."""
        cells = split_cells(line.decode("utf-8", errors="replace"), self.separator)
        if len(cells) not in (self.width, self.width + self.trailing):
            return line
        kept = [cell for place, cell in enumerate(cells[: self.width]) if place not in self.words]
        return (self.separator or " ").join(kept).encode()


def split_cells(line: str, separator: str | None) -> list[str]:
    """The cells of a line; separators within quotes do not count."""
    if separator is not None and '"' in line:
        cells = re.findall(rf'((?:"[^"]*"|[^"{re.escape(separator)}])*)(?:{re.escape(separator)}|$)', line.strip())
        return [cell.strip() for cell in (cells[:-1] if cells and cells[-1] == "" else cells)]
    return [word.strip() for word in line.split(separator)]


def inspect(path: Path, text: str) -> TextLayout | None:
    """What the lines up to the first point tell; None where there is none."""
    names: list[str] | None = None
    named_in_comment = counted = has_title = False
    for number, line in enumerate(io.StringIO(text)):
        is_comment = line.lstrip().startswith(_COMMENTS)
        content = line.strip().lstrip("#/%! ") if is_comment else line.split("#")[0].strip()
        if not content:
            continue
        separator, decimal_comma = _separator(content)
        words = split_cells(content, separator)
        trailing = separator is not None and len(words) > 1 and not words[-1]
        words = words[:-1] if trailing else words
        cells = [_as_number(word, decimal_comma) for word in words]
        are_numbers = [is_number(cell) for cell in cells]
        if "x" in known_names(words):
            names, named_in_comment = words, is_comment
        elif is_comment:
            continue
        elif sum(are_numbers) >= _LEAST_NUMBERS and (all(are_numbers) or _may_have_words(words, are_numbers, names)):
            if names is not None and len(names) != len(words):
                if not named_in_comment:
                    found = f"{len(words)} in line {number + 1}"
                    raise unreadable(path, f"{len(names)} numbers as its header names", found)
                names = None  # a remark that happens to mention x, y and z
            first = text.split("\n", 1)[0].strip()
            held = [place for place, is_one in enumerate(are_numbers) if is_one]
            return TextLayout(
                number,
                content,
                None if names is None else known_names([names[place] for place in held]),
                separator,
                int(first[:4000]) if number and first.isdecimal() else None,
                None if names is None else declared_unit(names),
                decimal_comma,
                '"' in content,
                trailing,
                tuple(place for place, is_one in enumerate(are_numbers) if not is_one),
                len(words),
                None if names is None else tuple(names[place].strip("\"'/# \t\ufeff") for place in held),
            )
        elif all(are_numbers):
            if len(words) == 1 and not counted:
                counted = True  # .pts and .xyz files may begin with their count
                continue
            raise unreadable(path, "at least three numbers per line", f"{len(words)}")
        elif words[0].lower() in _GRID:
            raise unreadable(path, "points, one per line", "a grid of heights; convert it to .laz or .xyz")
        elif has_title or counted or names is not None or are_numbers[0] or not any(map(str.isalpha, content)):
            bad = next(word for word, is_one in zip(words, are_numbers, strict=True) if not is_one)
            raise unreadable(path, f"numbers in line {number + 1}", repr(bad[:40]))
        elif _ANGLES & {plain_name(word) for word in words}:
            raise unreadable(path, "coordinates in a unit of length", f"{content!r}: degrees; project them to metres")
        else:
            has_title = True
            logger.info("%s: left out the title %r", path, content[:80])
    return None


def _separator(content: str) -> tuple[str | None, bool]:
    """(of the cells, whether numbers have decimal commas)."""
    plain = re.sub('"[^"]*"', '""', content)
    mark = ";" if ";" in plain else None
    cells = [cell.strip("\"' ") for cell in content.split(mark) if cell.strip("\"' ")]
    commas = [cell for cell in cells if "," in cell]
    if commas and len(cells) >= _LEAST_NUMBERS and all(_DECIMAL_COMMA.fullmatch(cell) for cell in commas):
        return mark, True
    return (mark or ("," if "," in plain else None)), False


def _as_number(word: str, decimal_comma: bool) -> str:
    plain = word.strip('"').strip()
    return plain.replace(",", ".") if decimal_comma else plain


def _may_have_words(words: list[str], are_numbers: list[bool], names: list[str] | None) -> bool:
    """Whether a line of numbers and words is a row of a table, and no title, and has its position in numbers."""
    if names is not None and len(names) == len(words):
        known = known_names(names)
        return all(are_numbers[known.index(axis)] for axis in "xyz")
    return are_numbers[0] and len(words) - sum(are_numbers) <= sum(are_numbers) - 2 and bool(plain_name(words[0]))
