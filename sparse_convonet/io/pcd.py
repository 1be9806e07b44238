"""Read point clouds in PCL's PCD format (0.5 to 0.7; ascii, binary, binary_compressed).

Own reader on purpose: Open3D 0.20 reads fields of 8 bytes wrongly and invents the points that a truncated text lacks.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.columns import fields_of
from sparse_convonet.io.number_text import NumberFile
from sparse_convonet.io.point_chunk import CACHED_POINTS, NamedNumbers, PointChunk
from sparse_convonet.runtime.refusals import require_points, unreadable

_KINDS = {"F": "f", "I": "i", "U": "u"}
_NEEDED = ("FIELDS", "SIZE", "TYPE", "WIDTH", "DATA")
_HEADER_BYTES = 1 << 16
_LARGEST_COUNT = 10**12
_LARGEST_RECORD = 1 << 20
_SIZES = {"1": 1, "2": 2, "4": 4, "8": 8}  # bytes


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    types: tuple[str, ...]  # numpy types, little-endian
    counts: tuple[int, ...]  # values per field
    points: int
    encoding: str  # ascii, binary or binary_compressed
    start: int  # offset of the body
    lines: int  # lines of the header
    viewpoint: tuple[float, ...] | None  # where the scanner stood, in the frame of the points, unless at their origin

    def dtype(self, kind: str | None = None) -> np.dtype:
        """One record, of the file's types or all of one; fields are numbered, since padding fields share the name '_'."""
        fields = enumerate(zip(self.types, self.counts, strict=True))
        return np.dtype([(str(index), kind or own, (count,)) for index, (own, count) in fields])

    def by_name(self, records: np.ndarray) -> dict[str, np.ndarray]:
        """The fields (n, values) of records."""
        return {name: records[str(index)] for index, name in enumerate(self.names)}


_OWN = {"x", "y", "z", "rgb", "rgba", "normal_x", "normal_y", "normal_z", "_"}


def pcd_chunks(path: Path, chunk_points: int | None) -> Iterator[PointChunk]:
    """The points of a PCD file, so many at a time (None: as reading is fastest); compressed ones are unpacked at once.

    Where colours may be packed into the floats of a text, it is read twice: all of them tell how.
    Raises ValueError for a damaged or truncated file.
    """
    with path.open("rb") as file:
        header = _parse_header(path, file.read(2 * _HEADER_BYTES))
        file.seek(header.start)
        has_bits, done, rows = False, 0, chunk_points or CACHED_POINTS
        if header.encoding == "ascii":
            fields_of(path, _single(header.by_name(np.zeros(0, header.dtype()))))  # refuses missing columns
            text = NumberFile(path, file, header.lines + 1, keep=chunk_points is None and _has_packed(header))
            if _has_packed(header):
                has_bits = _have_bits(_records(path, text, header, rows))
                text.rewind()
            parts = _records(path, text, header, rows)
        elif header.encoding == "binary":
            parts = _records(path, file, header, rows)
        else:
            parts = _unpacked(path, file.read(), header, rows)
        for part in parts:
            scalars = _single(part)
            packed = _packed(scalars)
            if packed is not None:
                scalars |= _unpack_colours(packed, header.encoding, has_bits)
            fields = fields_of(path, scalars)
            done += len(fields[0])
            scanners = None if header.viewpoint is None else np.broadcast_to(header.viewpoint, fields[0].shape)
            single = _single(part)
            others = NamedNumbers((name for name in single if name not in _OWN), partial(_as_declared, header, single))
            yield PointChunk(
                *fields, share=done / max(1, header.points), count=header.points, scanners=scanners, attributes=others
            )
    require_points(path, header.points)


def _records(path: Path, body: BinaryIO | NumberFile, header: _Header, rows: int) -> Iterator[dict[str, np.ndarray]]:
    """The fields (n, values) of so many points at a time; text must hold as many numbers as they take."""
    is_text = isinstance(body, NumberFile)
    dtype = header.dtype("<f8" if is_text else None)
    if not isinstance(body, NumberFile):
        left = body.seek(0, io.SEEK_END) - header.start
        if header.points * dtype.itemsize > left:
            raise _truncated(path, header, left // dtype.itemsize)
        body.seek(header.start)
    if dtype.itemsize == 0:
        yield header.by_name(np.zeros(0, dtype))
        return
    for start in range(0, header.points, rows):
        wanted = min(rows, header.points - start) * dtype.itemsize
        content = body.read(wanted)
        if len(content) < wanted:
            raise _truncated(path, header, start + len(content) // dtype.itemsize)
        yield header.by_name(np.frombuffer(content, dtype))
    further = 0
    while is_text and (content := body.read(_HEADER_BYTES)):
        further += len(content)
    if further:
        raise _truncated(path, header, header.points + further // dtype.itemsize)


def _have_bits(parts: Iterator[dict[str, np.ndarray]]) -> bool:
    """Whether all packed colours of a text are floats with these bits: tiny numbers, and not all 0."""
    small, lit = True, False
    for part in parts:
        packed = _packed(_single(part))
        if packed is not None:
            small, lit = small and bool(np.all(np.abs(packed) < 1)), lit or bool(np.any(packed != 0))
    return small and lit


def _has_packed(header: _Header) -> bool:
    return any(name in ("rgb", "rgba") for name in header.names)


def _single(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of the fields (n, values) those of one value each, (n,)."""
    return {name: values[:, 0] for name, values in columns.items() if values.shape[1] == 1}


def _as_declared(header: _Header, scalars: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Of the type that the header names, where text was read as floats; as it is where that would lose something."""
    values, kind = scalars[name], dict(zip(header.names, header.types, strict=True))[name]
    return values.astype(kind) if np.isfinite(values).all() else values


def _packed(scalars: dict[str, np.ndarray]) -> np.ndarray | None:
    return next((scalars[name] for name in ("rgb", "rgba") if name in scalars), None)


def _parse_header(path: Path, content: bytes) -> _Header:
    entries: dict[str, list[str]] = {}
    offset = lines = 0
    while "DATA" not in entries:
        end = content.find(b"\n", offset)
        line = content[offset:end].decode("latin-1") if 0 <= end < _HEADER_BYTES else ""
        if end < 0 or end >= _HEADER_BYTES or "\0" in line:
            raise unreadable(path, "a PCD header that ends with a line DATA", f"{content[:16]!r} and no such line")
        offset, lines = end + 1, lines + 1
        words = line.split()
        if words and not words[0].startswith("#"):
            entries[words[0].upper()] = words[1:]
    try:
        names = entries.get("FIELDS", entries.get("COLUMNS", []))
        counts = [int(word) for word in entries.get("COUNT", ["1"] * len(names))]
        kinds = zip(entries["TYPE"], entries["SIZE"], strict=True)
        # Numbers that are checked: numpy takes other texts for whole expressions, and ends the process for some.
        types = [np.dtype(f"<{_KINDS[kind.upper()]}{_SIZES[size]}").str for kind, size in kinds]
        size = int(entries["WIDTH"][0]) * int(entries.get("HEIGHT", ["1"])[0])
        points = int(entries.get("POINTS", [str(size)])[0])
        encoding = entries["DATA"][0].lower()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        present = [f"{name} {' '.join(given)}" for name, given in entries.items() if name in _NEEDED]
        missing = [f"no {name}" for name in _NEEDED if name not in entries]
        found = ", ".join([*missing, *present])
        raise unreadable(path, "a PCD header with FIELDS, SIZE, TYPE, WIDTH and DATA", found) from error
    if not len(names) == len(counts) == len(types) or min([points, *counts], default=0) < 0:
        found = f"{len(names)} fields, {len(types)} types, {len(counts)} counts"
        raise unreadable(path, "one SIZE, TYPE and COUNT per field", found)
    if max([points, *counts]) > _LARGEST_COUNT:
        raise unreadable(path, f"counts of at most {_LARGEST_COUNT:g}", "a larger one")
    record = sum(np.dtype(kind).itemsize * count for kind, count in zip(types, counts, strict=True))
    if record > _LARGEST_RECORD:  # numpy's own sizes of records wrap around
        raise unreadable(path, f"at most {_LARGEST_RECORD} bytes for each point", f"{record:g}")
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise unreadable(path, "DATA ascii, binary or binary_compressed", encoding)
    viewpoint = _viewpoint(path, entries.get("VIEWPOINT", []))
    return _Header(tuple(names), tuple(types), tuple(counts), points, encoding, offset, lines, viewpoint)


def _viewpoint(path: Path, words: list[str]) -> tuple[float, ...] | None:
    """The translation of a VIEWPOINT; None for that of files whose writer knows none, which is the origin."""
    try:
        place = tuple(float(word) for word in words[:3])
    except ValueError as error:
        raise unreadable(path, "a VIEWPOINT of numbers", " ".join(words)) from error
    return place if len(place) == 3 and any(place) and all(map(math.isfinite, place)) else None


def _truncated(path: Path, header: _Header, found: int) -> ValueError:
    return unreadable(path, f"{header.points} points", f"only {found}: the file is truncated")


def _unpacked(path: Path, content: bytes, header: _Header, rows: int) -> Iterator[dict[str, np.ndarray]]:
    """As _records, from two uint32 sizes and LZF data that hold one field of all points after the other."""
    expected = header.points * header.dtype().itemsize
    if len(content) < 8:
        raise _truncated(path, header, 0)
    compressed, size = (int(value) for value in np.frombuffer(content, "<u4", 2))
    body = content[8 : 8 + compressed]
    if len(body) < compressed:
        raise unreadable(path, f"{compressed} compressed bytes", f"only {len(body)}: the file is truncated")
    if size != expected:
        raise unreadable(path, f"{expected} bytes for {header.points} points", f"{size}")
    fields = _decompress_lzf(path, body, expected)
    columns, offset = {}, 0
    for name, kind, count in zip(header.names, header.types, header.counts, strict=True):
        columns[name] = np.frombuffer(fields, kind, header.points * count, offset).reshape(header.points, count)
        offset += columns[name].nbytes
    for start in range(0, header.points, rows):
        yield {name: values[start : start + rows] for name, values in columns.items()}


def _decompress_lzf(path: Path, data: bytes, size: int) -> bytes:
    """LZF as in liblzf: a control byte below 32 is followed by literals, others refer back to what is written."""
    out = bytearray()
    position = 0
    try:
        while position < len(data):
            control = data[position]
            position += 1
            if control < 32:
                out += data[position : position + control + 1]
                position += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[position]
                position += 1
            distance = ((control & 31) << 8) + data[position] + 1
            position += 1
            length += 2
            start = len(out) - distance
            if start < 0:
                raise unreadable(path, "intact LZF data", "a reference to before its beginning")
            if distance >= length:
                out += out[start : start + length]
            else:  # the copy overlaps what it writes: a repeated pattern
                pattern = bytes(out[start:])
                out += (pattern * (length // distance + 1))[:length]
    except IndexError as error:
        raise unreadable(path, "intact LZF data", "an end in the middle") from error
    if len(out) != size:
        raise unreadable(path, f"{size} bytes of points", f"{len(out)} after decompression")
    return bytes(out)


def _whole(packed: np.ndarray) -> np.ndarray:
    """(N,) int64 of what fits 32 bits; what does not, and NaN, is black."""
    return np.where((packed >= 0) & (packed < 1 << 32), packed, 0).astype(np.int64)


def _unpack_colours(packed: np.ndarray, encoding: str, has_bits: bool) -> dict[str, np.ndarray]:
    """PCL packs 0x00RRGGBB into an integer, or into the bits of a float.

    has_bits: whether the numbers of a text are such floats, see _have_bits.
    """
    if packed.dtype.kind == "f" and encoding == "ascii":
        # Text holds either the whole number or the decimal form of the float with these bits (a tiny number).
        bits = packed.astype(np.float32).view(np.uint32) if has_bits else _whole(packed)
    elif packed.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # doubles that are no colours
            bits = np.ascontiguousarray(packed, dtype=np.float32).view(np.uint32)
    else:
        bits = packed
    return {name: ((bits >> shift) & 255).astype(np.uint8) for name, shift in (("red", 16), ("green", 8), ("blue", 0))}
