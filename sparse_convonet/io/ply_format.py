"""Parse PLY files of every encoding into plain arrays, some rows at a time.

Own reader on purpose: Open3D returns an empty cloud for a damaged file, and other readers lose doubles or accept
truncated lists.  Format: Greg Turk's PLY 1.0 (ascii, binary_little_endian, binary_big_endian).
"""

from __future__ import annotations

import io
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sparse_convonet.io.number_text import NumberFile
from sparse_convonet.runtime.refusals import unreadable

_HEADER_BYTES = 1 << 20
_LARGEST_RECORD = 1 << 24  # bytes: numpy's own sizes of records wrap around beyond 2^31
_KIND = "a PLY file"
_SCALARS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class ListColumn:
    """A list property: row i holds lengths[i] of the values, which are stored one row after the other."""

    lengths: np.ndarray  # (rows,) int64
    values: np.ndarray  # (lengths.sum(),)


Column = np.ndarray | ListColumn
Columns = dict[str, Column]


@dataclass
class Property:
    name: str
    kind: str  # numpy type without byte order
    length_kind: str | None = None  # numpy type of the length of a list, None for a scalar


@dataclass
class Element:
    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    @property
    def has_lists(self) -> bool:
        return any(item.length_kind for item in self.properties)


@dataclass(frozen=True)
class PlyHeader:
    """order: of the bytes, empty for ascii.  start: offset of the body.  lines: of the header."""

    order: str
    elements: list[Element]
    start: int
    lines: int

    def element(self, name: str) -> Element | None:
        """Of several of one name the last counts."""
        return next((element for element in reversed(self.elements) if element.name == name), None)


def parse_header(path: Path, file: BinaryIO) -> PlyHeader:
    """The header of a file from its beginning on.  path: for messages only.  Raises ValueError where it is damaged."""
    file.seek(0)
    content = file.read(_HEADER_BYTES)
    if not re.match(rb"ply[ \t]*[\r\n]", content):
        raise unreadable(path, f"{_KIND} (first line 'ply')", f"{content[:12]!r}")
    # The body of a binary file may begin with the byte of a line end, so the header's own line end decides.
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)", content)
    if end is None:
        raise unreadable(path, _KIND, "no line 'end_header'")
    start = end.end()
    if end.group(1) == b"\r\n" and b"\r\n" not in content[: end.start() + 1]:
        start -= 1
    order, elements = None, list[Element]()
    for line in content[: end.start()].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        try:
            if words[0] == "format":
                order = _ORDERS[words[1]]
            elif words[0] == "element":
                elements.append(Element(words[1], int(words[2])))
            elif words[0] == "property" and words[1] == "list":
                length_kind = _SCALARS[words[2]]
                if length_kind[0] == "f":
                    raise ValueError("a list has a whole number of entries")
                elements[-1].properties.append(Property(words[4], _SCALARS[words[3]], length_kind))
            elif words[0] == "property":
                elements[-1].properties.append(Property(words[2], _SCALARS[words[1]]))
            else:
                raise KeyError(words[0])
        except (KeyError, IndexError, ValueError) as error:
            raise unreadable(path, f"{_KIND} header", f"the line {line!r}") from error
        if elements and elements[-1].count < 0:
            raise unreadable(path, f"{_KIND} header", f"the negative count {line!r}")
    if order is None:
        raise unreadable(path, f"{_KIND} header", "no line 'format'")
    return PlyHeader(order, elements, start, content[:start].count(b"\n"))


def read_elements(path: Path, content: bytes) -> dict[str, Columns]:
    """The elements of a PLY file by name, each with its properties by name; see read_blocks.  content: of the file."""
    file = io.BytesIO(content)
    blocks = read_blocks(path, file, parse_header(path, file), sys.maxsize, keep=True)
    return {element.name: columns for element, columns in blocks}


def read_blocks(
    path: Path, file: BinaryIO, header: PlyHeader, rows: int, *, keep: bool
) -> Iterator[tuple[Element, Columns]]:
    """The body front to back: elements with lists whole, others so many rows at a time, at least one block of each.

    path: for messages only.  keep: numbers of text that are needed twice stay in memory.  Numbers keep the file's type;
    fractions in ascii files are float64.
    Raises ValueError for a truncated body, text where numbers belong, and numbers beyond their type.
    """
    file.seek(header.start)
    if header.order:
        for place, columns in _blocks(path, file, header.elements, header.order, rows):
            yield header.elements[place], columns
        return
    # Text is read as if it were a binary file of doubles.
    doubles = [
        Element(
            each.name, each.count, [Property(item.name, "f8", item.length_kind and "f8") for item in each.properties]
        )
        for each in header.elements
    ]
    is_whole = [[item.kind[0] != "f" and not each.has_lists for item in each.properties] for each in header.elements]
    has_whole = any(map(any, is_whole))
    text = NumberFile(path, file, header.lines + 1, keep=keep and has_whole)
    content = text.read() if any(each.has_lists and each.count for each in doubles) else None

    def blocks() -> Iterator[tuple[int, Columns]]:
        text.rewind()
        yield from _blocks(path, text if content is None else io.BytesIO(content), doubles, "=", rows)
        while content is None and text.read(_HEADER_BYTES):  # what is behind the rows must be numbers, too
            pass

    ranges: dict[tuple[int, str], _Range] = {}
    for place, columns in blocks() if has_whole else ():  # all numbers of a column tell whether they are whole
        for item, whole in zip(header.elements[place].properties, is_whole[place], strict=True):
            values, key = columns.get(item.name), (place, item.name)
            if whole and isinstance(values, np.ndarray):
                ranges[key] = _Range.of(values).joined(ranges.get(key))
    for place, columns in blocks():
        for item in header.elements[place].properties:
            values, found = columns.get(item.name), ranges.get((place, item.name))
            if found is not None and isinstance(values, np.ndarray):
                columns[item.name] = _as_declared(path, values, item, found)
        yield header.elements[place], columns


def _truncated(path: Path, element: Element, found: int) -> ValueError:
    return unreadable(path, f"{element.count} rows of element {element.name!r}", f"only {found}: the file is truncated")


def _blocks(
    path: Path, body: BinaryIO | NumberFile, elements: list[Element], order: str, rows: int
) -> Iterator[tuple[int, Columns]]:
    """As read_blocks, with the number of the element; elements with lists only where the body is a file."""
    for place, element in enumerate(elements):
        if element.has_lists:
            content = body.read() if element.count else b""
            columns, end = _read_uniform(content, element, order) or _read_varying(path, content, element, order)
            if end < len(content) and not isinstance(body, NumberFile):
                body.seek(end - len(content), io.SEEK_CUR)
            yield place, columns
            continue
        dtype = np.dtype([(f"{index}", order + item.kind) for index, item in enumerate(element.properties)])
        if dtype.itemsize == 0:  # no properties, of as many rows as there may be
            yield place, {}
            continue
        if not isinstance(body, NumberFile):
            start = body.tell()
            left = max(0, body.seek(0, io.SEEK_END) - start) // dtype.itemsize
            if left < element.count:
                raise _truncated(path, element, left)
            body.seek(start)
        for start in range(0, max(1, element.count), rows):
            wanted = min(rows, element.count - start) * dtype.itemsize
            content = body.read(wanted)
            if len(content) < wanted:
                raise _truncated(path, element, start + len(content) // dtype.itemsize)
            records = np.frombuffer(content, dtype)
            yield place, {item.name: _native(records[f"{i}"]) for i, item in enumerate(element.properties)}


def _native(values: np.ndarray) -> np.ndarray:
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _length(content: bytes, kind: np.dtype, offset: int) -> int:
    """The length of a list; -1 where it is cut off or none."""
    if offset + kind.itemsize > len(content):
        return -1
    length = np.frombuffer(content, kind, 1, offset)[0]
    return int(length) if 0 <= length <= len(content) else -1  # -1 for NaN


def _read_varying(path: Path, content: bytes, element: Element, order: str) -> tuple[Columns, int]:
    """The element at the beginning of `content`, row by row, and where it ends."""
    pieces: list[list[np.ndarray]] = [[] for _ in element.properties]
    types = [np.dtype(order + item.kind) for item in element.properties]
    length_types = [np.dtype(order + item.length_kind) if item.length_kind else None for item in element.properties]
    offset = 0
    for row in range(element.count):
        for index, (kind, length_kind) in enumerate(zip(types, length_types, strict=True)):
            length = 1
            if length_kind is not None:
                length = _length(content, length_kind, offset)
                offset += length_kind.itemsize
            if length < 0 or offset + length * kind.itemsize > len(content):
                raise _truncated(path, element, row)
            pieces[index].append(np.frombuffer(content, kind, length, offset))
            offset += length * kind.itemsize
    columns: Columns = {}
    for item, arrays in zip(element.properties, pieces, strict=True):
        values = _native(np.concatenate(arrays)) if arrays else np.zeros(0, item.kind)
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        columns[item.name] = ListColumn(lengths, values) if item.length_kind else values
    return columns, offset


def _read_uniform(content: bytes, element: Element, order: str) -> tuple[Columns, int] | None:
    """As _read_varying, at once, where every row's lists are as long as those of the first row; else None."""
    fields: list[tuple] = []
    offset = 0
    for index, item in enumerate(element.properties):
        if item.length_kind is None:
            fields.append((f"{index}", order + item.kind))
            offset += np.dtype(item.kind).itemsize
            continue
        length_kind = np.dtype(order + item.length_kind)
        length = _length(content, length_kind, offset)
        offset += length_kind.itemsize + length * np.dtype(item.kind).itemsize
        if length < 0 or offset > len(content) or offset > _LARGEST_RECORD:
            return None
        fields += [(f"length {index}", length_kind), (f"{index}", order + item.kind, (length,))]
    dtype = np.dtype(fields)
    end = element.count * dtype.itemsize
    if end > len(content):
        return None
    rows = np.frombuffer(content, dtype, element.count)
    columns: Columns = {}
    for index, item in enumerate(element.properties):
        values = _native(rows[f"{index}"])
        if item.length_kind is None:
            columns[item.name] = values
            continue
        if np.any(rows[f"length {index}"] != values.shape[1]):
            return None
        columns[item.name] = ListColumn(np.full(len(rows), values.shape[1]), values.reshape(-1))
    return columns, end


@dataclass(frozen=True)
class _Range:
    """Of the numbers of a column; not finite where any of them is not."""

    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> _Range:
        return cls(float(values.min()), float(values.max())) if len(values) else cls(math.inf, -math.inf)  # NaN stays

    def joined(self, other: _Range | None) -> _Range:
        if other is None:
            return self
        return _Range(float(np.minimum(self.low, other.low)), float(np.maximum(self.high, other.high)))  # NaN stays


def _as_declared(path: Path, values: np.ndarray, item: Property, found: _Range) -> np.ndarray:
    """Whole numbers in their declared type; fractions stay float64, since text may hold more than a float."""
    if not math.isfinite(found.low) or not math.isfinite(found.high):
        return values
    limits = np.iinfo(item.kind)
    if found.low < limits.min or found.high > limits.max or found.high >= 1 << 63:
        expected = f"{item.name!r} of {limits.min} to {limits.max}"
        raise unreadable(path, expected, f"{found.low:g} to {found.high:g}")
    return values.astype(np.int64).astype(item.kind)
