"""Where a scanner was while it moved: a table of times and places, matched with the times of the points."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sparse_convonet.io.column_names import POSITION, known_names, plain_name
from sparse_convonet.io.number_text import parse_table
from sparse_convonet.io.point_chunk import PointChunk
from sparse_convonet.io.text_layout import TextLayout, inspect, split_cells
from sparse_convonet.runtime.refusals import one_line, require_file

_TIME_NAMES = {"t", "time", "times", "timestamp", "gps_time", "gpstime", "gps time", "%time", "sec", "secs", "seconds"}
_NANOSECOND_NAMES = {"nsec", "nsecs", "nanosec", "nanosecs", "nanoseconds"}  # beside whole seconds, as ROS counts
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eEdD][-+]?\d+)?|[-+]?(nan|inf(inity)?)|", re.I)
_BEYOND_S = 1.0  # before the first time and behind the last, the nearest place stands for others
_LONGEST_GAP_S = 5.0  # between two times, unless the scanner stood
_STANDING_M = 0.5


@dataclass(frozen=True)
class Trajectory:
    """Where a scanner was: (T,) float64 seconds, ascending, and (T, 3) float64 places in the frame of its points.

    path: of the file, for messages.
    """

    path: Path
    times: np.ndarray
    places: np.ndarray

    def places_at(self, times: np.ndarray) -> np.ndarray:
        """(n,) seconds -> (n, 3) float64, between those known on a straight way; NaN where nothing near is known."""
        found = np.stack([np.interp(times, self.times, values) for values in self.places.T], axis=1)
        following = np.clip(np.searchsorted(self.times, times), 1, max(1, len(self.times) - 1))
        if len(self.times) > 1:
            ways = np.linalg.norm(np.diff(self.places, axis=0), axis=1)
            lost = (np.diff(self.times) > _LONGEST_GAP_S) & (ways > _STANDING_M)
            found[lost[following - 1] & (times > self.times[0]) & (times < self.times[-1])] = np.nan
        found[~((times >= self.times[0] - _BEYOND_S) & (times <= self.times[-1] + _BEYOND_S))] = np.nan
        return found


def read_trajectory(path: Path) -> Trajectory:
    """Text in UTF-8 with a line for each time: t x y z, or columns that a header names so; what else it has is left out.

    Times in seconds, places in the frame and units of the points.  Raises FileNotFoundError, and ValueError, in one
    sentence, for what is no such table.
    """
    if path.exists() and not path.is_dir() and path.stat().st_size == 0:
        raise _unfit(path, "an empty file")
    require_file(path)
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if "\0" in text:
        raise _unfit(path, "binary data, or text in UTF-16")
    try:
        layout = inspect(path, text)
    except ValueError as error:
        raise _unfit(path, str(error).partition("found ")[2].split(";")[0] or "no table") from error
    if layout is None:
        raise _unfit(path, "no line of numbers")
    lines = text.splitlines(keepends=True)
    columns, nanoseconds = _columns(path, lines[: layout.skipped], layout)
    table = parse_table(layout.plain("".join(lines[layout.skipped :]).encode()), layout.separator)
    if table is None or table.shape[1] <= max(columns):
        raise _unfit(path, _odd_line(lines, layout))
    found = table[:, columns]
    if nanoseconds is not None:
        found[:, 0] += 1e-9 * table[:, nanoseconds]
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise _unfit(path, f"NaN or infinite numbers in row {row + 1}")
    found = found[np.argsort(found[:, 0], kind="stable")]
    return Trajectory(path, np.ascontiguousarray(found[:, 0]), np.ascontiguousarray(found[:, 1:]))


def _odd_line(lines: list[str], layout: TextLayout) -> str:
    """What is wrong with the first line of the table that has other columns than its first one, too few, or words."""
    for number, line in enumerate(lines[layout.skipped :], start=layout.skipped + 1):
        cells = split_cells(line.strip(), layout.separator)
        if line.strip() and (len(cells) != layout.width or len(cells) <= len(POSITION)):
            return f"{len(cells)} columns in line {number}, {line.strip()!r}"
        for place, cell in enumerate(cells):
            if place not in layout.words and not _NUMBER.fullmatch(cell.strip(' "')):
                return f"{cell!r} in line {number}"
    return f"lines as {layout.first_line!r}"


def _unfit(path: Path, found: str) -> ValueError:
    return ValueError(
        f"{path}: expected a trajectory, text in UTF-8 with t x y z in each line (t in seconds), found {one_line(found)}; "
        "export it so, or name its columns t, x, y and z in a first line"
    )


def _columns(path: Path, header: list[str], layout: TextLayout) -> tuple[list[int], int | None]:
    """Where t, x, y and z stand among the columns of numbers, and nanoseconds beside t, if they do."""
    for line in reversed(header):
        names = [_plain(name) for name in split_cells(line.strip().lstrip("#/! "), layout.separator)]
        if len(names) != layout.width or not any(name.strip(".-+0123456789") for name in names):
            continue  # a title or a remark
        known = known_names(names)
        times = [place for place, name in enumerate(names) if name in _TIME_NAMES and place not in layout.words]
        if not times or not set(POSITION) <= set(known):
            raise _unfit(path, f"columns {', '.join(names)}")
        nanoseconds = next((place for place, name in enumerate(names) if name in _NANOSECOND_NAMES), None)
        held = [place - sum(word < place for word in layout.words) for place in range(len(names))]
        wanted = [held[times[0]], *(held[known.index(axis)] for axis in POSITION)]
        return wanted, None if nanoseconds is None else held[nanoseconds]
    return [0, 1, 2, 3], None


def _plain(name: str) -> str:
    """A column's name as others write it: 'field.pose.position.x' of ROS and 'tx' of TUM name x."""
    last = plain_name(name).rpartition(".")[2]
    return last[1] if last in ("tx", "ty", "tz") else last


def with_scanners(path: Path, chunks: Iterable[PointChunk], trajectory: Trajectory) -> Iterator[PointChunk]:
    """The chunks of a file with the place of the scanner at the time of each point; path: for messages.

    Raises ValueError where the points have no times, and, behind the last chunk, where no time is near the trajectory's.
    """
    low, high, any_known = math.inf, -math.inf, False
    for chunk in chunks:
        if chunk.times is None:
            raise ValueError(
                f"{path}: --trajectory: expected points with the time of each, found none; give LAS or LAZ with GPS times"
            )
        scanners = trajectory.places_at(chunk.times)
        any_known = any_known or bool(np.isfinite(scanners[:, 0]).any())
        low, high = min(low, chunk.times.min(initial=low)), max(high, chunk.times.max(initial=high))
        yield replace(chunk, scanners=scanners)
    if not any_known:
        raise ValueError(
            f"{path}: --trajectory: expected times within {trajectory.times[0]:.3f} to {trajectory.times[-1]:.3f} s, those "
            f"of {trajectory.path}, found {low:.3f} to {high:.3f}; LAS counts seconds of the GPS week, or those since 1980 "
            "less 1e9: write the trajectory with the same clock"
        )
