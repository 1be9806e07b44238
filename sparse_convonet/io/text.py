"""Read point clouds from text: .xyz, .txt, .csv, .pts, .asc and others, one point per line."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.column_guess import ColumnEvidence, guessed_names
from sparse_convonet.io.column_names import COLOUR, NORMAL, POSITION, chosen_names
from sparse_convonet.io.columns import fields_of
from sparse_convonet.io.number_text import is_number, line_blocks, parse_table
from sparse_convonet.io.point_chunk import NamedNumbers, PointChunk
from sparse_convonet.io.recoded_text import as_utf8, size_as_utf8
from sparse_convonet.io.text_layout import TextLayout, inspect, split_cells
from sparse_convonet.runtime.refusals import damaged, no_points, require_points, unreadable
from sparse_convonet.structures import PointCloud

TEXT_SUFFIXES = (".xyz", ".txt", ".csv", ".tsv", ".asc", ".pts", ".xyzi", ".xyzn", ".xyzrgb")
_HEAD_BYTES = 1 << 16  # in which binary data shows itself
_INTENSITY = "intensity"  # in the tables that have a place for it and no headings
# What the suffix says of a table of so many columns.
_BY_SUFFIX = {
    (".pts", 7): [*POSITION, "", *COLOUR],
    (".xyzn", 6): [*POSITION, *NORMAL],
    (".xyzrgb", 6): [*POSITION, *COLOUR],
    (".pts", 6): [*POSITION, *COLOUR],
    (".pts", 4): [*POSITION, ""],
    (".xyzi", 4): [*POSITION, ""],
}


def text_chunks(path: Path, chunk_points: int | None, columns: Sequence[str] | None = None) -> Iterator[PointChunk]:
    """Points from a text file, separated by white space, commas or semicolons, so many at a time (None: the fastest).

    The first line may name the columns or, as in .pts, give the count; a .pts file may go on with another count and its
    points.  columns: what the user says they are; else the names say it, the suffix, or all values together, and the file
    is read twice.  Decimal commas, quotes, a separator at the end of lines, columns of words and UTF-16 are understood.
    Raises ValueError naming the line that does not fit, and where nothing tells what the columns are.
    """
    asked = None if columns is None else chosen_names(columns)
    with path.open("rb") as raw:
        file = as_utf8(raw)
        layout, offset = _find_layout(path, file)
        counts: list[int] = []
        tables = partial(_tables, path, file, layout, offset, counts)
        names, kept = asked or layout.names, deque[tuple[np.ndarray, float]]()
        width = layout.width - len(layout.words)
        names = names or _BY_SUFFIX.get((path.suffix.lower(), width)) or ([*POSITION] if width == 3 else None)
        if names is None:
            evidence = None
            for table, share in tables():
                if chunk_points is None:
                    kept.append((table, share))
                evidence = evidence or ColumnEvidence(table)
                evidence.add(table)
            if evidence is None:
                raise no_points(path)
            names = guessed_names(path, evidence, layout.first_line)
        if not kept:
            counts.clear()
        headings = layout.headings
        if headings is None and (path.suffix.lower(), width) in _BY_SUFFIX and asked is None:
            headings = tuple(name or _INTENSITY for name in names)
        read = _emptied(kept) if kept else tables()
        yield from _chunks(path, layout, names, headings or (), read, chunk_points, counts)


def _emptied(kept: deque[tuple[np.ndarray, float]]) -> Iterator[tuple[np.ndarray, float]]:
    while kept:
        yield kept.popleft()


def _chunks(
    path: Path,
    layout: TextLayout,
    names: list[str],
    headings: Sequence[str],
    tables: Iterator[tuple[np.ndarray, float]],
    chunk_points: int | None,
    counts: list[int],
) -> Iterator[PointChunk]:
    """counts: becomes the numbers of points that lines of their own give, behind the first."""
    rows, width, waiting = 0, 0, None
    both = enumerate(zip(names, headings, strict=False))
    others = {heading: column for column, (name, heading) in both if heading and not name}
    for table, share in tables:
        rows, width = rows + len(table), table.shape[1]
        for start in range(0, len(table) if width >= 3 else 0, chunk_points or len(table)):
            if waiting is not None:
                yield waiting
            part = table[start : start + (chunk_points or len(table))]
            if len(names) != width:
                raise _misfit(path, names, width)
            attributes = NamedNumbers(others, partial(_others, part, others))
            waiting = PointChunk(*fields_of(path, _named(part, names)), share, unit=layout.unit, attributes=attributes)
    _check(path, layout, rows, width, counts)
    if waiting is not None:
        yield replace(waiting, share=1.0)


def _find_layout(path: Path, file: BinaryIO) -> tuple[TextLayout, int]:
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
        layout = inspect(path, text.decode("utf-8-sig", errors="replace"))
    if layout is None:
        raise no_points(path)
    return layout, len(head) - len(head.split(newline, layout.skipped)[-1])


def _newline(content: bytes) -> bytes:
    return b"\n" if b"\n" in content or b"\r" not in content else b"\r"  # of old Macs


def _tables(
    path: Path, file: BinaryIO, layout: TextLayout, offset: int, counts: list[int]
) -> Iterator[tuple[np.ndarray, float]]:
    """The numbers of each block that has any, (n, columns) float64, and how much of the file is before the block."""
    size, done, line, width = size_as_utf8(path, file), offset, layout.skipped + 1, 0
    file.seek(offset)
    for block in line_blocks(path, file):
        content = block.replace(b"\r", b"\n") if _newline(block) == b"\r" else block
        lines = layout.plain(content.removeprefix(codecs.BOM_UTF8) if done == 0 else content)
        if layout.count is not None:
            lines = _without_counts(lines, counts)
        table = _parse(path, lines, layout, line, width)
        if len(table):
            width = table.shape[1]
            yield table, min(1.0, max(done, 1) / size)
        done += len(block)
        line += content.count(b"\n")


def _check(path: Path, layout: TextLayout, rows: int, width: int, counts: list[int]) -> None:
    """Refuse files with too few columns, and those that say how many points follow and hold others (truncated)."""
    require_points(path, rows)
    if width < 3:
        raise unreadable(path, "at least three numbers per line", f"{width}")
    if layout.count is not None and layout.count + sum(counts) != rows:
        said = "its first line says" if not counts else f"its {1 + len(counts)} counts say"
        raise unreadable(path, f"{layout.count + sum(counts)} points as {said}", f"{rows}")


def _without_counts(content: bytes, counts: list[int]) -> bytes:
    """Lines without those that hold a single whole number, which are added to the counts and left blank."""

    def blank(match: re.Match[bytes]) -> bytes:
        counts.append(int(match[1]))
        return b""

    return re.sub(rb"^[ \t]*(\d{1,18})[ \t]*\r?$", blank, content, flags=re.MULTILINE)


def _misfit(path: Path, names: list[str], width: int) -> ValueError:
    return unreadable(path, f"{len(names)} columns, as they are named", f"{width} numbers in a line")


def _parse(path: Path, content: bytes, layout: TextLayout, first_line: int, width: int) -> np.ndarray:
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


def _locate(path: Path, body: str, separator: str | None, first_line: int, width: int) -> ValueError | None:
    """The error for the first line that holds a word, or is not as wide as those before it."""
    for number, line in enumerate(body.split("\n"), start=first_line):
        content = line.split("#")[0].strip()
        if not content:
            continue
        words = split_cells(content, separator)
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


def _others(table: np.ndarray, columns: Mapping[str, int], name: str) -> np.ndarray:
    """(N,): whole numbers as int64, so that kinds are known as such."""
    numbers: np.ndarray = table[:, columns[name]]
    whole = (
        np.isfinite(numbers).all() and np.abs(numbers).max(initial=0.0) < 2**53 and (numbers == np.rint(numbers)).all()
    )
    return numbers.astype(np.int64) if whole else numbers


def write_text(path: Path, cloud: PointCloud) -> None:
    """One line per point: x y z, then colours and normals where present; the first line names them."""
    names, blocks, formats = ["x", "y", "z"], [cloud.points], ["%.17g"] * 3  # 17 digits give back every double
    if cloud.colours is not None:
        names, blocks, formats = [*names, "red", "green", "blue"], [*blocks, cloud.colours], [*formats, *["%d"] * 3]
    if cloud.normals is not None:
        names, blocks, formats = [*names, "nx", "ny", "nz"], [*blocks, cloud.normals], [*formats, *["%.7g"] * 3]
    np.savetxt(path, np.concatenate(blocks, axis=1), fmt=formats, header=" ".join(names), encoding="ascii")
