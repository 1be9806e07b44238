"""Bring the points of all input files into one flat file on disk, once, so that they can be gone through in parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from sparse_convonet.clouds.units import common_unit
from sparse_convonet.io.chunks import read_chunks
from sparse_convonet.io.columns import largest_colour, to_colours
from sparse_convonet.io.point_chunk import PointChunk, scanners_of
from sparse_convonet.io.trajectory import Trajectory
from sparse_convonet.out_of_core.points.origin import Stations, origin_of, require_same_origin
from sparse_convonet.runtime.atomic import atomic_paths
from sparse_convonet.runtime.progress import Progress, untold
from sparse_convonet.runtime.refusals import reading_work, unreadable
from sparse_convonet.structures import LeftOut, LengthUnit, PointCloud

CHUNK_POINTS = 1 << 19  # points in memory at a time: some 50 MB with what is computed of them
POINTS, COLOURS, SCANNERS, CONTENT = "points.raw", "colours.raw", "scanners.raw", "content.json"
_POINT_BYTES = 24
_TITLE, _SCANNERS_TITLE = b"colours\n", b"scanners\n"  # so that a file without any is not empty


@dataclass(frozen=True)
class Section:
    """The part of a spool that comes of one input file.

    start, stop: its points.  colour_offset: where its colours begin, bytes.  colour_type: of numpy, as in the input;
    None without colours.  largest_colour: see columns.to_colours.
    """

    start: int
    stop: int
    colour_offset: int
    colour_type: str | None
    largest_colour: float


class PointSpool(Protocol):
    """Points in the order of a scan, of which only those are held that are asked for.

    count: how many.  columns: what else is known of each, of stored_cells.COLUMNS.  unit: that their files declare.
    left_out: what readers left out before.
    """

    @property
    def count(self) -> int: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def unit(self) -> LengthUnit | None: ...

    @property
    def left_out(self) -> LeftOut: ...

    def points(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 3) float64."""
        ...

    def values(self, column: str, start: int, stop: int) -> np.ndarray:
        """(stop - start, 3) of one of the columns, of its type."""
        ...


class CloudSpool:
    """The points of a cloud in memory.  with_scanners: and where the scanner of each stood, where the cloud knows."""

    def __init__(self, cloud: PointCloud, *, with_scanners: bool = False) -> None:
        self._cloud = cloud
        self._values = {"colour": cloud.colours, "scanner": cloud.scanners if with_scanners else None}
        self.count, self.unit, self.left_out = len(cloud), cloud.unit, LeftOut()
        self.columns = tuple(name for name, values in self._values.items() if values is not None)

    def points(self, start: int, stop: int) -> np.ndarray:
        return np.ascontiguousarray(self._cloud.points[start:stop], dtype=np.float64)

    def values(self, column: str, start: int, stop: int) -> np.ndarray:
        values = self._values[column]
        assert values is not None
        return values[start:stop]


class Spool:
    """The points of all inputs, in their order, as they stand in the files; read-only and on disk."""

    def __init__(
        self,
        folder: Path,
        sections: Sequence[Section],
        has_scanners: bool,
        unit: LengthUnit | None = None,
        left_out: LeftOut = LeftOut(),
    ) -> None:
        self.folder, self.unit, self.left_out = folder, unit, left_out
        self._sections = tuple(sections)
        self.count = self._sections[-1].stop
        has_colours = all(section.colour_type is not None for section in self._sections)
        self.columns = ("colour",) * has_colours + ("scanner",) * has_scanners

    @classmethod
    def open(cls, folder: Path) -> Spool:
        """A finished spool.  Raises FileNotFoundError where there is none, ValueError where a file is damaged."""
        with reading_work(folder / CONTENT):
            content = json.loads((folder / CONTENT).read_text(encoding="utf-8"))
            unit = None if content["unit"] is None else LengthUnit(**content["unit"])
            sections = [Section(**section) for section in content["sections"]]
            spool = cls(folder, sections, content["has_scanners"], unit, LeftOut(**content["left_out"]))
        found = (folder / POINTS).stat().st_size
        if found != spool.count * _POINT_BYTES:
            raise unreadable(folder / POINTS, f"{spool.count * _POINT_BYTES} bytes", f"{found}")
        return spool

    def points(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 3) float64."""
        offset = start * _POINT_BYTES
        values = np.fromfile(self.folder / POINTS, dtype=np.float64, count=3 * (stop - start), offset=offset)
        if len(values) != 3 * (stop - start):
            raise unreadable(
                self.folder / POINTS, f"{self.count} points", f"{(offset + values.nbytes) // _POINT_BYTES}"
            )
        return values.reshape(-1, 3)

    def values(self, column: str, start: int, stop: int) -> np.ndarray:
        """(stop - start, 3) uint8 colours, or float64 positions of scanners, NaN where one is not known."""
        return self._colours(start, stop) if column == "colour" else self._scanners(start, stop)

    def _scanners(self, start: int, stop: int) -> np.ndarray:
        offset = len(_SCANNERS_TITLE) + start * _POINT_BYTES
        found = np.fromfile(self.folder / SCANNERS, dtype=np.float64, count=3 * (stop - start), offset=offset)
        if len(found) != 3 * (stop - start):
            raise unreadable(self.folder / SCANNERS, f"scanners of {self.count} points", "fewer")
        return found.reshape(-1, 3)

    def _colours(self, start: int, stop: int) -> np.ndarray:
        parts = [np.zeros((0, 3), dtype=np.uint8)]
        for section in self._sections:
            first, last = max(start, section.start), min(stop, section.stop)
            if first >= last:
                continue
            kind = np.dtype(section.colour_type)
            offset = section.colour_offset + 3 * kind.itemsize * (first - section.start)
            raw = np.fromfile(self.folder / COLOURS, dtype=kind, count=3 * (last - first), offset=offset)
            if len(raw) != 3 * (last - first):
                raise unreadable(self.folder / COLOURS, f"colours of {self.count} points", "fewer")
            parts.append(to_colours(raw.reshape(-1, 3), section.largest_colour))
        return np.concatenate(parts)


def chunks_of(spool: PointSpool, chunk_points: int = CHUNK_POINTS) -> Iterator[tuple[int, np.ndarray]]:
    """(index of the first point, (n, 3) float64), one part after the other."""
    for start in range(0, spool.count, chunk_points):
        yield start, spool.points(start, min(start + chunk_points, spool.count))


def spool_points(
    inputs: Sequence[Path],
    folder: Path,
    *,
    seed: int = 0,
    stations: Stations = (),
    columns: Sequence[str] | None = None,
    trajectory: Trajectory | None = None,
    chunk_points: int = CHUNK_POINTS,
    progress: Progress = untold,
) -> Spool:
    """Read all inputs into `folder`, or open what an earlier run has read of them.

    The points are those that read_points gives, one file after the other; colours where all files have them, scanners
    where one has.  stations: where the scanner of each input stood, whatever the files say; none: what they say.
    columns: of tables, as of read_points.  trajectory: of the scanner, where it moved.
    Raises ValueError where the folder holds other inputs or older versions of them, and as read_points.
    """
    if not inputs:
        raise ValueError("inputs: expected at least one file, found none; name the scan")
    origin = origin_of(inputs, seed, stations, columns, trajectory)
    if (folder / CONTENT).exists():
        require_same_origin(folder, folder / CONTENT, origin)
        return Spool.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / POINTS, folder / COLOURS, folder / SCANNERS, folder / CONTENT]
    with atomic_paths(paths) as (points_path, colours_path, scanners_path, content):
        with (
            points_path.open("wb") as points_file,
            colours_path.open("wb") as colours_file,
            scanners_path.open("wb") as scanners_file,
        ):
            colours_file.write(_TITLE)
            scanners_file.write(_SCANNERS_TITLE)
            sections: list[Section] = []
            units, left_out = list[LengthUnit | None](), LeftOut()
            for number, path in enumerate(inputs):
                section, unit, not_taken = _append(
                    points_file,
                    colours_file,
                    scanners_file,
                    path,
                    stations[number] if stations else None,
                    sections[-1].stop if sections else 0,
                    (chunk_points, seed, columns, trajectory),
                    lambda share, done=number: progress("read points", (done + share) / len(inputs)),  # type: ignore[misc]
                )
                sections.append(section)
                units.append(unit)
                left_out += not_taken
            if any(section.colour_type is None for section in sections):
                colours_file.truncate(len(_TITLE))
            has_scanners = scanners_file.tell() > len(_SCANNERS_TITLE)
        unit = common_unit(units)
        told = {
            "origin": origin,
            "sections": [asdict(each) for each in sections],
            "has_scanners": has_scanners,
            "unit": None if unit is None else asdict(unit),
            "left_out": asdict(left_out),
        }
        content.write_text(json.dumps(told), encoding="utf-8")
    return Spool.open(folder)


def _append(
    points_file: BinaryIO,
    colours_file: BinaryIO,
    scanners_file: BinaryIO,
    path: Path,
    station: tuple[float, float, float] | None,
    start: int,
    reading: tuple[int, int, Sequence[str] | None, Trajectory | None],  # points at a time, seed, columns
    tell: Callable[[float], None],
) -> tuple[Section, LengthUnit | None, LeftOut]:
    """Add the points of one input, their colours as the file has them, and their scanners; station: that of all.

    Returns the declared unit and what the reader left out as well.
    """
    stop, offset, kind, largest = start, colours_file.tell(), "", -np.inf
    coloured, lit = True, False
    unit, left_out = None, LeftOut()
    size, seed, columns, trajectory = reading
    for chunk in read_chunks(path, chunk_points=size, seed=seed, columns=columns, trajectory=trajectory):
        points_file.write(np.ascontiguousarray(chunk.points).data)
        if station is not None:
            chunk = replace(chunk, scanners=np.broadcast_to(station, chunk.points.shape))
        _add_scanners(scanners_file, chunk, stop)
        unit, left_out = unit or chunk.unit, left_out + chunk.left_out
        stop += len(chunk.points)
        coloured &= chunk.colours is not None
        if coloured and chunk.colours is not None:
            lit = lit or bool(chunk.colours.any())
            kind = chunk.colours.dtype.str
            if chunk.colours.dtype != np.uint8:
                largest = max(largest, largest_colour(chunk.colours))
            colours_file.write(np.ascontiguousarray(chunk.colours).data)
        tell(chunk.share)
    section = Section(start, stop, offset, kind if coloured and lit else None, float(np.nan_to_num(largest)))
    return section, unit, left_out


def _add_scanners(file: BinaryIO, chunk: PointChunk, before: int) -> None:
    """Those of a chunk, once any is known; NaN for the points `before` the first."""
    begun = file.tell() > len(_SCANNERS_TITLE)
    if chunk.scanners is None and not begun:
        return
    for start in range(0, 0 if begun else before, CHUNK_POINTS):
        file.write(np.full((min(CHUNK_POINTS, before - start), 3), np.nan).data)
    file.write(np.ascontiguousarray(scanners_of(chunk), dtype=np.float64).data)
