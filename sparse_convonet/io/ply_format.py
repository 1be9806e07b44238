"""Parse PLY files of every encoding into plain arrays.

Own reader on purpose: Open3D returns an empty cloud for a damaged file, and other readers lose doubles or accept
truncated lists.  Format: Greg Turk's PLY 1.0 (ascii, binary_little_endian, binary_big_endian).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.io.number_text import parse_numbers
from sparse_convonet.io.ply_header import Element, Property, parse_header
from sparse_convonet.runtime.refusals import unreadable

_LARGEST_RECORD = 1 << 24  # bytes: numpy's own sizes of records wrap around beyond 2^31


@dataclass(frozen=True)
class ListColumn:
    """A list property: row i holds lengths[i] of the values, which are stored one row after the other."""

    lengths: np.ndarray  # (rows,) int64
    values: np.ndarray  # (lengths.sum(),)


Column = np.ndarray | ListColumn


def read_elements(path: Path, content: bytes) -> dict[str, dict[str, Column]]:
    """The elements of a PLY file by name, each with its properties by name.

    path: for messages only.  content: the whole file.  Numbers keep the file's type; fractions in
    ascii files are float64.
    Raises ValueError for a damaged header, a truncated body or text where numbers belong.
    """
    order, elements, start = parse_header(path, content)
    if not order:
        return _read_ascii(path, content[start:], elements, content[:start].count(b"\n") + 1)
    found: dict[str, dict[str, Column]] = {}
    for element in elements:
        read = _read_varying if element.has_lists else _read_fixed
        found[element.name], start = read(path, content, start, element, order)
    return found


def _truncated(path: Path, element: Element, found: int) -> ValueError:
    return unreadable(path, f"{element.count} rows of element {element.name!r}", f"only {found}: the file is truncated")


@dataclass(frozen=True)
class FixedRows:
    """Where a binary element of scalars stands in its file: `count` rows of `dtype` from `offset` on."""

    offset: int
    count: int
    dtype: np.dtype
    names: tuple[str, ...]

    def columns(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The properties of (n,) rows by name, in the machine's byte order."""
        return {name: _native(rows[f"{index}"]) for index, name in enumerate(self.names)}


def locate_fixed(path: Path, head: bytes, size: int, name: str) -> FixedRows | None:
    """The rows of an element, found without reading the file; None where only reading it tells where they are.

    head: at least the first 2^20 bytes of the file, or all.  size: of the file, bytes.
    Raises ValueError as read_elements.
    """
    order, elements, start = parse_header(path, head)
    if not order or any(element.has_lists and element.count for element in elements):
        return None
    found = None
    for element in elements:
        if element.has_lists:
            found = None if element.name == name else found  # of elements of one name the last counts
            continue
        rows = _fixed_rows(path, start, element, order, size)
        start += rows.count * rows.dtype.itemsize
        if element.name == name:
            found = rows
    return found


@dataclass(frozen=True)
class TextRows:
    """Where the only rows of an ascii file stand, if they hold scalars: `count` of them from `offset` on."""

    offset: int
    first_line: int
    count: int
    properties: tuple[Property, ...]

    def truncated(self, path: Path, name: str, found: int) -> ValueError:
        return _truncated(path, Element(name, self.count), found)

    @property
    def has_integers(self) -> bool:
        return any(item.kind[0] != "f" for item in self.properties)

    def columns(self, path: Path, rows: np.ndarray, ranges: list[ValueRange] | None) -> dict[str, np.ndarray]:
        """The properties of rows (n, properties) by name; ranges: of all rows, where there are more than these."""
        return {
            item.name: _as_declared(path, rows[:, i], item, ranges[i] if ranges else ValueRange.of(rows[:, i]))
            for i, item in enumerate(self.properties)
        }


def locate_text(path: Path, head: bytes, name: str) -> TextRows | None:
    """The rows of an element of an ascii file; None where others have rows too, or it has lists, or no x, y and z.

    head: as for locate_fixed.  Raises ValueError as read_elements.
    """
    order, elements, start = parse_header(path, head)
    filled = [element for element in elements if element.count]
    if order or len(filled) != 1 or filled[0].name != name or sum(each.name == name for each in elements) != 1:
        return None
    element = filled[0]
    names = {item.name for item in element.properties}
    if element.has_lists or not {"x", "y", "z"} <= names or b"\n" not in head[start:]:
        return None
    return TextRows(start, head[:start].count(b"\n") + 1, element.count, tuple(element.properties))


@dataclass(frozen=True)
class ValueRange:
    """Of the numbers of a column; not finite where any of them is not."""

    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> ValueRange:
        if len(values) == 0:
            return cls(math.inf, -math.inf)
        return cls(float(values.min()), float(values.max()))  # NaN stays

    def joined(self, other: ValueRange) -> ValueRange:
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)  # NaN stays
        return ValueRange(float(low), float(high))


def _fixed_rows(path: Path, start: int, element: Element, order: str, size: int) -> FixedRows:
    dtype = np.dtype([(f"{index}", order + item.kind) for index, item in enumerate(element.properties)])
    if start + element.count * dtype.itemsize > size:
        raise _truncated(path, element, max(0, size - start) // max(1, dtype.itemsize))
    return FixedRows(start, element.count, dtype, tuple(item.name for item in element.properties))


def _read_fixed(path: Path, content: bytes, start: int, element: Element, order: str) -> tuple[dict[str, Column], int]:
    """A binary element of scalars only: one structured array."""
    found = _fixed_rows(path, start, element, order, len(content))
    dtype = found.dtype
    if dtype.itemsize == 0:  # no properties, of as many rows as there may be
        return {}, start
    rows = np.frombuffer(content, dtype, element.count, start)
    return {**found.columns(rows)}, start + element.count * dtype.itemsize


def _native(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def _read_varying(
    path: Path, content: bytes, start: int, element: Element, order: str
) -> tuple[dict[str, Column], int]:
    """A binary element with lists: at once where all rows have the lengths of the first, else row by row."""
    uniform = _read_uniform_lists(content, start, element, order)
    if uniform is not None:
        return uniform
    pieces: list[list[np.ndarray]] = [[] for _ in element.properties]
    types = [np.dtype(order + item.kind) for item in element.properties]
    length_types = [np.dtype(order + item.length_kind) if item.length_kind else None for item in element.properties]
    offset = start
    for row in range(element.count):
        for index, (kind, length_kind) in enumerate(zip(types, length_types, strict=True)):
            length = 1
            if length_kind is not None and offset + length_kind.itemsize <= len(content):
                length = int(np.frombuffer(content, length_kind, 1, offset)[0])
                offset += length_kind.itemsize
            if length < 0 or offset + length * kind.itemsize > len(content):
                raise _truncated(path, element, row)
            pieces[index].append(np.frombuffer(content, kind, length, offset))
            offset += length * kind.itemsize
    return _columns(element, pieces), offset


def _columns(element: Element, pieces: list[list[np.ndarray]]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for item, arrays in zip(element.properties, pieces, strict=True):
        values = _native(np.concatenate(arrays)) if arrays else np.zeros(0, item.kind)
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        columns[item.name] = ListColumn(lengths, values) if item.length_kind else values
    return columns


def _read_uniform_lists(
    content: bytes, start: int, element: Element, order: str
) -> tuple[dict[str, Column], int] | None:
    """The element, provided that every row's lists are as long as those of the first row; else None."""
    fields: list[tuple] = []
    offset = start
    for index, item in enumerate(element.properties):
        if item.length_kind is None:
            fields.append((f"{index}", order + item.kind))
            offset += np.dtype(item.kind).itemsize
            continue
        length_kind = np.dtype(order + item.length_kind)
        if offset + length_kind.itemsize > len(content):
            return None
        length = int(np.frombuffer(content, length_kind, 1, offset)[0])
        offset += length_kind.itemsize + length * np.dtype(item.kind).itemsize
        if length < 0 or offset > len(content) or offset - start > _LARGEST_RECORD:
            return None
        fields += [(f"length {index}", length_kind), (f"{index}", order + item.kind, (length,))]
    dtype = np.dtype(fields)
    end = start + element.count * dtype.itemsize
    if end > len(content):
        return None
    rows = np.frombuffer(content, dtype, element.count, start)
    columns: dict[str, Column] = {}
    for index, item in enumerate(element.properties):
        values = _native(rows[f"{index}"])
        if item.length_kind is None:
            columns[item.name] = values
            continue
        lengths = rows[f"length {index}"].astype(np.int64)
        if np.any(lengths != values.shape[1]):
            return None
        columns[item.name] = ListColumn(lengths, values.reshape(-1))
    return columns, end


def _read_ascii(path: Path, body: bytes, elements: list[Element], first_line: int) -> dict[str, dict[str, Column]]:
    numbers = parse_numbers(path, body, first_line)
    found: dict[str, dict[str, Column]] = {}
    start = 0
    for element in elements:
        width = len(element.properties)
        if not element.has_lists:
            if start + element.count * width > len(numbers):
                raise _truncated(path, element, (len(numbers) - start) // max(1, width))
            rows = numbers[start : start + element.count * width].reshape(element.count, width)
            found[element.name] = {
                item.name: _as_declared(path, rows[:, i], item, ValueRange.of(rows[:, i]))
                for i, item in enumerate(element.properties)
            }
            start += rows.size
            continue
        pieces: list[list[np.ndarray]] = [[] for _ in element.properties]
        for row in range(element.count):
            for index, item in enumerate(element.properties):
                length = 1
                if item.length_kind and start < len(numbers):
                    length = int(numbers[start]) if 0 <= numbers[start] <= len(numbers) else -1  # -1 for NaN
                    start += 1
                if length < 0 or start + length > len(numbers):
                    raise _truncated(path, element, row)
                pieces[index].append(numbers[start : start + length])
                start += length
        found[element.name] = _columns(element, pieces)
    return found


def _as_declared(path: Path, values: np.ndarray, item: Property, found: ValueRange) -> np.ndarray:
    """Whole numbers in their declared type; fractions stay float64, since text may hold more than a float."""
    if item.kind[0] == "f" or not math.isfinite(found.low) or not math.isfinite(found.high):
        return values
    limits = np.iinfo(item.kind)
    if found.low < limits.min or found.high > limits.max or found.high >= 1 << 63:
        expected = f"{item.name!r} of {limits.min} to {limits.max}"
        raise unreadable(path, expected, f"{found.low:g} to {found.high:g}")
    return values.astype(np.int64).astype(item.kind)
