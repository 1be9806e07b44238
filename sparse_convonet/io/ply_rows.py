"""Structured arrays as the elements of binary PLY files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_NAMES = {"i4": "int", "u1": "uchar", "f4": "float", "f8": "double"}


def write_elements(path: Path, elements: dict[str, np.ndarray]) -> None:
    """Write structured arrays as a binary little-endian PLY; a field of shape (k,) becomes a list of k values."""
    with path.open("wb") as file:
        file.write(header_of({element: (rows.dtype, len(rows)) for element, rows in elements.items()}))
        for rows in elements.values():
            file.write(packed_rows(rows).data)


def header_of(elements: dict[str, tuple[np.dtype, int]]) -> bytes:
    """The header of a binary little-endian PLY: for each element the type of its rows, see write_elements, and how many."""
    header = ["ply", "format binary_little_endian 1.0"]
    for element, (kinds, count) in elements.items():
        header.append(f"element {element} {count}")
        assert kinds.names is not None
        for name in kinds.names:
            kind = _NAMES[_plain(kinds[name])]
            header.append(f"property {f'list uchar {kind}' if kinds[name].shape else kind} {name}")
    return ("\n".join([*header, "end_header"]) + "\n").encode("ascii")


def packed_rows(rows: np.ndarray) -> np.ndarray:
    """A structured array as it stands in the file: every list with its length before it."""
    packed = np.zeros(len(rows), dtype=packed_type(rows.dtype))
    assert rows.dtype.names is not None
    for name in rows.dtype.names:
        packed[name] = rows[name]
        if rows.dtype[name].shape:
            packed[f"length {name}"] = rows.dtype[name].shape[0]
    return packed


def packed_type(kinds: np.dtype) -> np.dtype:
    """The type of packed_rows for rows of a type."""
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = []
    assert kinds.names is not None
    for name in kinds.names:
        if kinds[name].shape:
            fields += [(f"length {name}", "u1"), (name, _plain(kinds[name]), kinds[name].shape)]
        else:
            fields.append((name, _plain(kinds[name])))
    return np.dtype(fields)


def _plain(kind: np.dtype) -> str:
    return kind.base.str.lstrip("<|")
