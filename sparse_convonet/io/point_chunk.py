"""Parts of a file's points, and how they become one cloud."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from sparse_convonet.io.columns import largest_colour, to_colours, to_normals
from sparse_convonet.structures import LeftOut, LengthUnit, PointCloud

CHUNK_POINTS = 1 << 20
CACHED_POINTS = 1 << 15  # so many stay in the processor's cache while they are converted


class NamedNumbers(Mapping[str, np.ndarray]):
    """Numbers (N,) by name, each read when it is asked for."""

    def __init__(self, names: Iterable[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = dict.fromkeys(names), read

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class PointChunk:
    """Some of a file's points, in its order, before the rest of the file is known.

    points: (N, 3) float64, as they stand in the file.  colours, normals: (N, 3) numbers as the file has them, or None.
    share: how much of the file is read with this chunk, in (0, 1].  count: the points of all chunks together, or more,
    where that is known before.  A file has colours and normals where all of its chunks have, and colours only where not
    all are black, which is how files say that there are none; the range of the colours follows from the largest of all,
    see columns.to_colours.
    scanners: (N, 3), where the scanner stood that measured each point, NaN where that is not known; None: nowhere.
    unit: that the file declares.  left_out: before the points of this chunk and behind those of the last.
    times: (N,) seconds, when each point was measured, as the file counts them; None: it does not say.
    attributes: other numbers (N,) of each point, by the file's names; some are read when they are asked for.
    """

    points: np.ndarray
    colours: np.ndarray | None
    normals: np.ndarray | None
    share: float
    count: int | None = None
    scanners: np.ndarray | None = None
    unit: LengthUnit | None = None
    left_out: LeftOut = LeftOut()
    times: np.ndarray | None = None
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)


def joined(chunks: Iterable[PointChunk]) -> PointCloud:
    """All chunks of a file, at least one, as one cloud: colours uint8, normals unit vectors float32, or None."""
    points, colours, normals = _Rows(), _Rows(), _Rows()
    coloured = directed = True
    lit = has_directions = False
    largest = -np.inf
    scanners: list[np.ndarray] = []
    has_scanners = False
    unit, left_out = None, LeftOut()
    for chunk in chunks:
        points.add(chunk.points, chunk.count)
        unit, left_out = unit or chunk.unit, left_out + chunk.left_out
        scanners.append(scanners_of(chunk))
        has_scanners = has_scanners or chunk.scanners is not None
        coloured, directed = coloured and chunk.colours is not None, directed and chunk.normals is not None
        if coloured and chunk.colours is not None:
            lit = lit or bool(chunk.colours.any())
            largest = max(largest, largest_colour(chunk.colours))
            colours.add(chunk.colours, chunk.count)
        if directed and chunk.normals is not None:
            directions = to_normals(chunk.normals)
            has_directions = has_directions or directions is not None
            normals.add(chunk.normals.astype(np.float32) if directions is None else directions, chunk.count)
    return PointCloud(
        points.all(),
        _as_bytes(colours.all(), largest) if coloured and lit else None,
        normals.all() if directed and has_directions else None,
        np.concatenate(scanners) if has_scanners else None,
        unit,
        left_out,
    )


def scanners_of(chunk: PointChunk) -> np.ndarray:
    """(N, 3) float64, NaN where a scanner is not known."""
    unknown = np.broadcast_to(np.array(np.nan), chunk.points.shape)
    return unknown if chunk.scanners is None else chunk.scanners


class _Rows:
    """Parts (n, 3) of one array, which is in memory once: in its place at once where it is known how many there may be."""

    def __init__(self) -> None:
        self._parts: deque[np.ndarray] = deque()
        self._array: np.ndarray | None = None
        self._filled = 0

    def add(self, part: np.ndarray, count: int | None) -> None:
        if count is None or len(part) == count:
            self._parts.append(part)
            return
        if self._array is None:
            self._array = np.empty((count, 3), part.dtype)
        self._array[self._filled : self._filled + len(part)] = part
        self._filled += len(part)

    def all(self) -> np.ndarray:
        if self._array is not None and not self._parts:
            return self._array[: self._filled]
        if len(self._parts) == 1:
            return np.ascontiguousarray(self._parts[0])
        count = sum(len(part) for part in self._parts)
        while self._parts:  # each is given back as soon as it is copied
            self.add(self._parts.popleft(), count)
        assert self._array is not None
        return self._array


def _as_bytes(colours: np.ndarray, largest: float) -> np.ndarray:
    """As to_colours; what is computed on the way stays small."""
    if colours.dtype == np.uint8:
        return colours
    found = np.empty(colours.shape, np.uint8)
    for start in range(0, len(colours), CACHED_POINTS):
        part = slice(start, start + CACHED_POINTS)
        found[part] = to_colours(colours[part], largest)
    return found
