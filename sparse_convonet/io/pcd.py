"""Read point clouds in PCL's PCD format (0.5 to 0.7; ascii, binary, binary_compressed).

Own reader on purpose: Open3D 0.20 reads fields of 8 bytes wrongly and invents the points that a truncated text lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io import line_blocks
from sparse_convonet.io.columns import cloud_from_columns, points_and_raw_colours
from sparse_convonet.io.number_text import number_rows, parse_numbers
from sparse_convonet.io.point_chunk import PointChunk, read_rows
from sparse_convonet.runtime.refusals import require_points, unreadable
from sparse_convonet.structures import PointCloud

_KINDS = {"F": "f", "I": "i", "U": "u"}
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

    def dtype(self) -> np.dtype:
        """One record; fields are numbered, since padding fields share the name '_'."""
        fields = enumerate(zip(self.types, self.counts, strict=True))
        return np.dtype([(str(index), kind, (count,)) for index, (kind, count) in fields])


def read_pcd(path: Path) -> PointCloud:
    """Points, and colours and normals where present.  Raises ValueError for a damaged or truncated file."""
    content = path.read_bytes()
    header = _parse_header(path, content)
    readers = {"ascii": _read_ascii, "binary": _read_binary, "binary_compressed": _read_compressed}
    columns = readers[header.encoding](path, content, header)
    require_points(path, header.points)
    return cloud_from_columns(path, _scalars(columns, header))


def pcd_chunks(path: Path, chunk_points: int) -> Iterator[PointChunk] | None:
    """The points of a PCD file, so many at a time; None for compressed ones, and text that fits a block of lines.

    Raises ValueError as read_pcd.
    """
    with path.open("rb") as file:
        header = _parse_header(path, head := file.read(2 * _HEADER_BYTES))
    if header.encoding == "binary":
        return _chunks_of_rows(path, header, chunk_points)
    is_small = path.stat().st_size <= line_blocks.BLOCK_BYTES or b"\n" not in head[header.start :]
    scalars = {name for name, count in zip(header.names, header.counts, strict=True) if count == 1}
    if header.encoding != "ascii" or is_small or not {"x", "y", "z"} <= scalars:
        return None
    return _chunks_of_text(path, header, chunk_points)


def _chunks_of_text(path: Path, header: _Header, chunk_points: int) -> Iterator[PointChunk]:
    """Where colours are packed into floats, the file is read twice: all of them tell how."""
    width, wanted = sum(header.counts), header.points * sum(header.counts)
    has_bits = None
    if any(name in ("rgb", "rgba") for name in header.names):
        small, lit = True, False
        for table, _ in number_rows(path, header.start, header.lines + 1, width):
            packed = _packed(_single(_fields(table, header)))
            if packed is not None:
                small, lit = small and bool(np.all(np.abs(packed) < 1)), lit or bool(np.any(packed != 0))
        has_bits = small and lit
    found = done = 0
    for table, _ in number_rows(path, header.start, header.lines + 1, width):
        found += table.size
        if table.shape[1] < width or found > wanted:  # refused below, once it is known how many there are
            continue
        for start in range(0, len(table), chunk_points):
            part = table[start : start + chunk_points]
            done += len(part)
            scalars = _scalars(_fields(part, header), header, has_bits)
            yield PointChunk(*points_and_raw_colours(path, scalars), done / header.points)
    if found != wanted:
        raise _truncated(path, header, found // width)
    require_points(path, header.points)


def _chunks_of_rows(path: Path, header: _Header, chunk_points: int) -> Iterator[PointChunk]:
    dtype, size = header.dtype(), path.stat().st_size
    if header.start + header.points * dtype.itemsize > size:
        raise _truncated(path, header, (size - header.start) // max(1, dtype.itemsize))
    require_points(path, header.points)
    for start in range(0, header.points, chunk_points):
        count = min(chunk_points, header.points - start)
        rows = read_rows(path, dtype, count, header.start + start * dtype.itemsize)
        columns = _scalars({name: rows[str(index)] for index, name in enumerate(header.names)}, header)
        yield PointChunk(*points_and_raw_colours(path, columns), (start + count) / header.points)


def _scalars(columns: dict[str, np.ndarray], header: _Header, has_bits: bool | None = None) -> dict[str, np.ndarray]:
    """The fields (N, values) of one value each, (N,), with packed colours unpacked; has_bits: see _unpack_colours."""
    scalars = _single(columns)
    packed = _packed(scalars)
    return scalars if packed is None else scalars | _unpack_colours(packed, header.encoding, has_bits)


def _single(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values[:, 0] for name, values in columns.items() if values.shape[1] == 1}


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
        types = [np.dtype(f"<{_KINDS[kind]}{_SIZES[size]}").str for kind, size in kinds]
        size = int(entries["WIDTH"][0]) * int(entries.get("HEIGHT", ["1"])[0])
        points = int(entries.get("POINTS", [str(size)])[0])
        encoding = entries["DATA"][0].lower()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise unreadable(path, "a PCD header with FIELDS, SIZE, TYPE, WIDTH and DATA", f"{error!r}") from error
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
    return _Header(tuple(names), tuple(types), tuple(counts), points, encoding, offset, lines)


def _truncated(path: Path, header: _Header, found: int) -> ValueError:
    return unreadable(path, f"{header.points} points", f"only {found}: the file is truncated")


def _read_ascii(path: Path, content: bytes, header: _Header) -> dict[str, np.ndarray]:
    numbers = parse_numbers(path, content[header.start :], header.lines + 1)
    width = sum(header.counts)
    if len(numbers) != header.points * width:
        raise _truncated(path, header, len(numbers) // max(1, width))
    return _fields(numbers.reshape(header.points, width), header)


def _fields(table: np.ndarray, header: _Header) -> dict[str, np.ndarray]:
    """(N, all values) -> (N, values) by field."""
    starts = np.cumsum([0, *header.counts])
    return {name: table[:, starts[i] : starts[i + 1]] for i, name in enumerate(header.names)}


def _read_binary(path: Path, content: bytes, header: _Header) -> dict[str, np.ndarray]:
    dtype = header.dtype()
    if header.start + header.points * dtype.itemsize > len(content):
        raise _truncated(path, header, (len(content) - header.start) // max(1, dtype.itemsize))
    rows = np.frombuffer(content, dtype, header.points, header.start)
    return {name: rows[str(index)] for index, name in enumerate(header.names)}


def _read_compressed(path: Path, content: bytes, header: _Header) -> dict[str, np.ndarray]:
    """Two uint32 sizes, then LZF data that hold one field of all points after the other."""
    expected = header.points * header.dtype().itemsize
    if header.start + 8 > len(content):
        raise _truncated(path, header, 0)
    compressed, size = (int(value) for value in np.frombuffer(content, "<u4", 2, header.start))
    body = content[header.start + 8 : header.start + 8 + compressed]
    if len(body) < compressed:
        raise unreadable(path, f"{compressed} compressed bytes", f"only {len(body)}: the file is truncated")
    if size != expected:
        raise unreadable(path, f"{expected} bytes for {header.points} points", f"{size}")
    fields = _decompress_lzf(path, body, expected)
    columns, offset = {}, 0
    for name, kind, count in zip(header.names, header.types, header.counts, strict=True):
        columns[name] = np.frombuffer(fields, kind, header.points * count, offset).reshape(header.points, count)
        offset += columns[name].nbytes
    return columns


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


def _unpack_colours(packed: np.ndarray, encoding: str, has_bits: bool | None) -> dict[str, np.ndarray]:
    """PCL packs 0x00RRGGBB into an integer, or into the bits of a float.

    has_bits: whether all numbers of a text together are such floats, where these are a part of them.
    """
    if packed.dtype.kind == "f" and encoding == "ascii":
        # Text holds either the whole number or the decimal form of the float with these bits (a tiny number).
        if has_bits is None:
            has_bits = bool(np.all(np.abs(packed) < 1)) and bool(np.any(packed != 0))
        bits = packed.astype(np.float32).view(np.uint32) if has_bits else _whole(packed)
    elif packed.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):  # doubles that are no colours
            bits = np.ascontiguousarray(packed, dtype=np.float32).view(np.uint32)
    else:
        bits = packed
    return {name: ((bits >> shift) & 255).astype(np.uint8) for name, shift in (("red", 16), ("green", 8), ("blue", 0))}
