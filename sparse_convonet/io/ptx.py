"""Read Leica's PTX: scans one after the other, each a grid of points in its scanner's frame, behind its pose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.number_text import is_number
from sparse_convonet.io.point_chunk import CHUNK_POINTS, PointChunk
from sparse_convonet.runtime.refusals import require_points, unreadable

# Lines of a scan before its points: columns, rows, the scanner's place and axes, and a matrix of rows of four.
_HEADER_WIDTHS = (1, 1, 3, 3, 3, 3, 4, 4, 4, 4)
_WIDTHS = {4: False, 7: True}  # x y z intensity, and with red green blue
_MOST_POINTS = 10**12


def ptx_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """The points of all scans in the common frame, so many at a time, with where their scanner stood.

    Rays without return, which stand at the scanner's origin, are left out.  Raises ValueError naming the line that does
    not fit, and for a truncated scan.
    """
    count, size, width = 0, path.stat().st_size, 0
    with path.open("rb") as file:
        lines = _Lines(path, file)
        while (scan := _read_header(path, lines)) is not None:
            left = scan.points
            while left:
                table = lines.numbers(min(left, chunk_points or CHUNK_POINTS), width)
                if len(table) == 0:
                    raise unreadable(path, f"{scan.points} points of a scan", f"{scan.points - left}: it is truncated")
                width, left = table.shape[1], left - len(table)
                table = table[np.any(table[:, :3] != 0, axis=1)]
                points = table[:, :3] @ scan.matrix[:3, :3] + scan.matrix[3, :3]
                count += len(points)
                scanners = np.broadcast_to(scan.matrix[3, :3], points.shape)
                colours = table[:, 4:7] if _WIDTHS[width] else None
                yield PointChunk(points, colours, None, max(1, file.tell()) / size, scanners=scanners)
    require_points(path, count)


@dataclass(frozen=True)
class _Scan:
    """points: of the grid.  matrix: (4, 4), rows of points are multiplied with it from the left."""

    points: int
    matrix: np.ndarray


def _read_header(path: Path, lines: _Lines) -> _Scan | None:
    """None at the end of the file."""
    rows: list[list[float]] = []
    for width in _HEADER_WIDTHS:
        words = lines.next_words()
        if words is None and not rows:
            return None
        if words is None or len(words) != width or not all(map(is_number, words)):
            found = "the end of the file" if words is None else repr(" ".join(words)[:40])
            raise unreadable(path, f"{width} numbers of a PTX header in line {lines.number}", found)
        rows.append([float(word) for word in words])
    points = rows[0][0] * rows[1][0]
    if not (0 <= points <= _MOST_POINTS and points == int(points)):
        raise unreadable(path, "columns and rows of a PTX scan", f"{rows[0][0]:g} and {rows[1][0]:g}")
    return _Scan(int(points), np.array(rows[6:]))


class _Lines:
    """The lines of a file that are not blank.  number: of the last one."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file, self.number = path, file, 0

    def next_words(self) -> list[str] | None:
        while line := self._file.readline():
            self.number += 1
            if line.strip():
                return line.decode("latin-1").split()
        return None

    def numbers(self, rows: int, width: int) -> np.ndarray:
        """(n, columns) float64 of at most so many lines.  width: of those before, 0 for none."""
        found: list[list[float]] = []
        while len(found) < rows and (words := self.next_words()) is not None:
            bad = next((word for word in words if not is_number(word)), None)
            if bad is not None:
                raise unreadable(self._path, f"numbers in line {self.number}", repr(bad[:40]))
            width = width or len(words)
            if len(words) != width or width not in _WIDTHS:
                raise unreadable(self._path, f"4 or 7 numbers, as before, in line {self.number}", f"{len(words)}")
            found.append([float(word) for word in words])
        return np.array(found).reshape(len(found), width)
