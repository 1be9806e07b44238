"""Read point clouds from text: .xyz, .txt, .csv, .pts, one point per line."""

from __future__ import annotations

import codecs
import io
import logging
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.columns import fields_of
from sparse_convonet.io.number_text import is_number, line_blocks, parse_table
from sparse_convonet.io.point_chunk import PointChunk
from sparse_convonet.runtime.refusals import damaged, no_points, require_points, unreadable
from sparse_convonet.structures import PointCloud

logger = logging.getLogger(__name__)

_HEAD_BYTES = 1 << 16  # in which binary data shows itself
_COMMENTS = ("#", "//", "%", "!")


def text_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """Points from a text file, separated by white space, commas or semicolons, so many at a time (None: the fastest).

    The first line may name the columns or, as in .pts, give the count.  Without names the columns are x y z, then
    what their values say: three of 0 to 255 are colours, three of unit length normals, a single one in front
    (intensity) is left out; all values together tell, so the file is read twice.
    Raises ValueError naming the line that does not fit.
    """
    with path.open("rb") as file:
        layout, offset = _find_layout(path, file)
        tables = partial(_tables, path, file, layout, offset)
        names, kept = layout.names, deque[tuple[np.ndarray, float]]()
        if names is None:
            width, triples = 0, None
            for table, share in tables():
                width = table.shape[1]
                if chunk_points is None:
                    kept.append((table, share))
                elif width < 6:
                    break
                if width >= 6:
                    triples = _Triples.of(table).joined(triples)
            names = _guess_names(width, triples)
        yield from _chunks(path, layout, names, _emptied(kept) if kept else tables(), chunk_points)


def _emptied(kept: deque[tuple[np.ndarray, float]]) -> Iterator[tuple[np.ndarray, float]]:
    while kept:
        yield kept.popleft()


def _chunks(
    path: Path,
    layout: _Layout,
    names: list[str],
    tables: Iterator[tuple[np.ndarray, float]],
    chunk_points: int | None,
) -> Iterator[PointChunk]:
    rows, width, waiting = 0, 0, None
    for table, share in tables:
        rows, width = rows + len(table), table.shape[1]
        for start in range(0, len(table) if width >= 3 else 0, chunk_points or len(table)):
            if waiting is not None:
                yield waiting
            part = table[start : start + (chunk_points or len(table))]
            waiting = PointChunk(*fields_of(path, _named(part, names)), share)
    _check(path, layout, rows, width)
    if waiting is not None:
        yield replace(waiting, share=1.0)


def _find_layout(path: Path, file: BinaryIO) -> tuple[_Layout, int]:
    """What the lines up to the first point tell, and where its line begins."""
    head, layout, is_whole = b"", None, False
    while layout is None and not is_whole:
        more = file.read(max(_HEAD_BYTES, len(head)))
        head, is_whole = head + more, not more
        if b"\0" in head[:_HEAD_BYTES]:
            raise unreadable(path, "a text file with one point per line", "binary data")
        newline = _newline(head)
        end = len(head) if is_whole else head.rfind(newline) + 1
        text = head[:end].replace(b"\r", b"\n") if newline == b"\r" else head[:end]
        layout = _inspect(path, text.decode("utf-8-sig", errors="replace"))
    if layout is None:
        raise no_points(path)
    return layout, len(head) - len(head.split(newline, layout.skipped)[-1])


def _newline(content: bytes) -> bytes:
    return b"\n" if b"\n" in content or b"\r" not in content else b"\r"  # of old Macs


def _tables(path: Path, file: BinaryIO, layout: _Layout, offset: int) -> Iterator[tuple[np.ndarray, float]]:
    """The numbers of each block that has any, (n, columns) float64, and how much of the file is before the block."""
    size, done, line, width = path.stat().st_size, offset, layout.skipped + 1, 0
    file.seek(offset)
    for block in line_blocks(path, file):
        content = block.replace(b"\r", b"\n") if _newline(block) == b"\r" else block
        table = _parse(path, content.removeprefix(codecs.BOM_UTF8) if done == 0 else content, layout, line, width)
        if len(table):
            width = table.shape[1]
            yield table, max(done, 1) / size
        done += len(block)
        line += content.count(b"\n")


def _check(path: Path, layout: _Layout, rows: int, width: int) -> None:
    """Refuse files with too few columns, and those that say how many points follow and hold others (truncated)."""
    require_points(path, rows)
    if width < 3:
        raise unreadable(path, "at least three numbers per line", f"{width}")
    if layout.count is not None and layout.count != rows:
        raise unreadable(path, f"{layout.count} points as its first line says", f"{rows}")


def _parse(path: Path, content: bytes, layout: _Layout, first_line: int, width: int) -> np.ndarray:
    """(N, columns) float64 from lines; width: of the lines before, 0 for none."""
    separator = layout.separator
    table = parse_table(content, separator)
    body = content.decode("utf-8", errors="replace") if table is None or (width and table.shape[1] != width) else ""
    if table is None:
        if not any(line.split("#")[0].strip() for line in body.split("\n")):
            return np.zeros((0, width))
        try:  # comments between the points, or an error, whose line is looked for
            lines = [line.strip() for line in body.replace("\r", " ").split("\n")]
            table = np.loadtxt(lines, delimiter=separator, comments="#", ndmin=2, dtype=np.float64)
        except ValueError as error:
            raise _locate(path, body, separator, first_line, width) or damaged(
                path, "one point per line", error
            ) from error
    if width and table.shape[1] != width:
        wrong = unreadable(path, f"{width} numbers per line", f"{table.shape[1]}")
        raise _locate(path, body, separator, first_line, width) or wrong
    return table


def _split(line: str, separator: str | None) -> list[str]:
    return [word.strip() for word in line.split(separator)]


@dataclass(frozen=True)
class _Layout:
    """skipped: lines before the first point.  names: of the columns.  separator: None for white space.

    count: how many points the first line says that there are.
    """

    skipped: int
    names: list[str] | None
    separator: str | None
    count: int | None


def _inspect(path: Path, text: str) -> _Layout | None:
    """What the lines up to the first point tell; None where there is none."""
    names: list[str] | None = None
    named_in_comment = counted = has_title = False
    for number, line in enumerate(io.StringIO(text)):
        is_comment = line.lstrip().startswith(_COMMENTS)
        content = line.strip().lstrip("#/%! ") if is_comment else line.split("#")[0].strip()
        separator = next((mark for mark in ";," if mark in content), None)
        words = _split(content, separator)
        if not content:
            continue
        if {"x", "y", "z"} <= set(_plain_names(content)):
            names, named_in_comment = _plain_names(content), is_comment
        elif is_comment:
            continue
        elif all(is_number(word) for word in words):
            if len(words) == 1 and not counted:
                counted = True  # .pts and .xyz files may begin with their count
                continue
            if names is not None and len(names) != len(words):
                if not named_in_comment:
                    found = f"{len(words)} in line {number + 1}"
                    raise unreadable(path, f"{len(names)} numbers as its header names", found)
                names = None  # a remark that happens to mention x, y and z
            first = text.split("\n", 1)[0].strip()
            return _Layout(number, names, separator, int(first[:4000]) if number and first.isdecimal() else None)
        elif has_title or counted or names is not None or is_number(words[0]) or not any(map(str.isalpha, content)):
            bad = next(word for word in words if not is_number(word))
            raise unreadable(path, f"numbers in line {number + 1}", repr(bad[:40]))
        else:
            has_title = True  # names other than x, y, z: the first three columns are taken for them
            logger.info("%s: left out the title %r", path, content[:80])
    return None


def _plain_names(line: str) -> list[str]:
    """Names of columns in lower case, without quotes, slashes and units: 'X [m]' and '"x(m)"' both name x."""
    plain = re.sub(r"[\[(][^\])]*[\])]", "", line.lower())
    separator = next((mark for mark in ";," if mark in plain), None)
    return [word.strip("\"'/# ") for word in _split(plain, separator)]


def _locate(path: Path, body: str, separator: str | None, first_line: int, width: int) -> ValueError | None:
    """The error for the first line that holds a word, or is not as wide as those before it."""
    for number, line in enumerate(body.split("\n"), start=first_line):
        content = line.split("#")[0].strip()
        if not content:
            continue
        words = _split(content, separator)
        width = width or len(words)
        bad = next((word for word in words if not is_number(word)), None)
        if bad is not None:
            return unreadable(path, f"numbers in line {number}", repr(bad[:40]))
        if len(words) != width:
            return unreadable(path, f"{width} numbers in line {number}", f"{len(words)}")
    return None


def _named(table: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
    """Columns by name; those without one are left out."""
    return {name: table[:, index] for index, name in enumerate(names) if name}


@dataclass(frozen=True)
class _Triples:
    """What the values of each three columns behind x y z, and behind a single one (intensity), say: rows (B,)."""

    unit: np.ndarray  # whether all are vectors of length one
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray) -> _Triples:
        first = _first_triple(table.shape[1])
        blocks = [table[:, start : start + 3] for start in range(first, table.shape[1] - 2, 3)]
        with np.errstate(over="ignore", invalid="ignore"):
            unit = [np.all(np.abs(np.linalg.norm(block, axis=1) - 1) < 0.02) for block in blocks]
        low, high = ([pick(block) for block in blocks] for pick in (np.min, np.max))
        return cls(np.array(unit, dtype=bool), np.array(low), np.array(high))

    def joined(self, other: _Triples | None) -> _Triples:
        """That of both parts of a table."""
        if other is None:
            return self
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)  # NaN stays
        return _Triples(self.unit & other.unit, low, high)


def _first_triple(width: int) -> int:
    return 4 if width % 3 == 1 else 3  # x y z intensity ...


def _guess_names(width: int, triples: _Triples | None) -> list[str]:
    """Names of the columns, empty for those that are left out."""
    names = [*"xyz"][:width] + [""] * (width - 3)
    if triples is None:
        return names
    for index, start in enumerate(range(_first_triple(width), width - 2, 3)):
        if "nx" not in names and triples.unit[index]:
            names[start : start + 3] = ["nx", "ny", "nz"]
        elif "red" not in names and triples.low[index] >= 0 and triples.high[index] <= 255:
            names[start : start + 3] = ["red", "green", "blue"]
    return names


def write_text(path: Path, cloud: PointCloud) -> None:
    """One line per point: x y z, then colours and normals where present; the first line names them."""
    names, blocks, formats = ["x", "y", "z"], [cloud.points], ["%.17g"] * 3  # 17 digits give back every double
    if cloud.colours is not None:
        names, blocks, formats = [*names, "red", "green", "blue"], [*blocks, cloud.colours], [*formats, *["%d"] * 3]
    if cloud.normals is not None:
        names, blocks, formats = [*names, "nx", "ny", "nz"], [*blocks, cloud.normals], [*formats, *["%.7g"] * 3]
    np.savetxt(path, np.concatenate(blocks, axis=1), fmt=formats, header=" ".join(names), encoding="ascii")
