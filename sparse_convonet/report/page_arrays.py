"""Stage report: arrays as text in a page, small and fast to read; tools/viewer/src/data.js reads them.

An array of whole numbers becomes, column by column, the differences from row to row with their sign in the lowest bit;
their bytes, all the lowest first, are deflated and written in base64.  So a vertex takes some 6 bytes and a face some 3.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np

_LEVEL = 6  # of deflate: beyond it time grows and size hardly falls
_MOST_BITS = 31  # whole numbers in the page are int32
POSITION_STEP_M = 0.00025  # so that a face of 5 cm keeps its direction to half a degree
_MORTON_BITS = 21


@dataclass(frozen=True)
class PackedArray:
    """text: base64 of the deflated bytes.  step: what one stands for; origin: what 0 stands for, by column."""

    text: str
    rows: int
    columns: int
    planes: int
    differences: bool
    step: float = 1.0
    origin: tuple[float, ...] = ()

    @property
    def layout(self) -> dict[str, object]:
        """What a reader needs beside the text."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "planes": self.planes,
            "differences": self.differences,
            "step": self.step,
            "origin": list(self.origin),
        }


def pack_integers(values: np.ndarray, *, differences: bool = True) -> PackedArray:
    """(N, C) or (N,) whole numbers, below 2^30 in size; those of which no differences are taken at least 0."""
    columns = np.atleast_2d(np.asarray(values, dtype=np.int64).T)  # (C, N)
    if differences:
        change = np.diff(columns, axis=1, prepend=0)
        columns = (change << 1) ^ (change >> 63)
    largest = int(columns.max(initial=0))
    assert columns.min(initial=0) >= 0 and largest.bit_length() <= _MOST_BITS
    planes = max(1, -(-largest.bit_length() // 8))
    parts = [(column >> (8 * plane)).astype(np.uint8).tobytes() for column in columns for plane in range(planes)]
    text = base64.b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode("ascii")
    return PackedArray(text, columns.shape[1], columns.shape[0], planes, differences)


def pack_positions(places: np.ndarray, origin: np.ndarray) -> PackedArray:
    """(N, 3) metres from an origin (3,), which becomes 0, in steps of POSITION_STEP_M or, where they reach far, larger."""
    local = places - origin
    reach = float(np.abs(local).max(initial=0.0))
    step = POSITION_STEP_M * 2.0 ** max(0, np.ceil(np.log2(max(reach, 1e-9) / POSITION_STEP_M)) - 28)
    packed = pack_integers(np.rint(local / step))
    return _scaled(packed, step, (0.0, 0.0, 0.0))


def pack_numbers(values: np.ndarray, step: float) -> PackedArray:
    """(N,) numbers of at least 0, in steps."""
    return _scaled(pack_integers(np.rint(np.asarray(values) / step)), step, ())


def pack_faces(faces: np.ndarray) -> PackedArray:
    """(F, 3) vertices, numbered by their first use: 0 for a new one, n for that named n before the next new one."""
    corners = faces.reshape(-1)
    seen = np.maximum.accumulate(corners) if len(corners) else corners
    following = np.concatenate([[0], seen[:-1] + 1]) if len(corners) else corners
    return pack_integers(following - corners, differences=False)


def near_in_order(places: np.ndarray) -> np.ndarray:
    """(N,) int64: an order of (N, 3) places in which those that follow each other are near: that of their Morton codes."""
    low, span = places.min(axis=0), float(np.ptp(places, axis=0).max())
    cells = ((places - low) * (((1 << _MORTON_BITS) - 1) / max(span, 1e-9))).astype(np.uint64)
    codes = np.zeros(len(places), dtype=np.uint64)
    for axis in range(3):
        codes |= _spread(cells[:, axis]) << np.uint64(axis)
    return np.argsort(codes, kind="stable")


def _spread(values: np.ndarray) -> np.ndarray:
    """21 bits of each, with two zeros between them."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        values = (values | (values << np.uint64(shift))) & np.uint64(mask)
    return values


def _scaled(packed: PackedArray, step: float, origin: tuple[float, ...]) -> PackedArray:
    return PackedArray(packed.text, packed.rows, packed.columns, packed.planes, packed.differences, float(step), origin)
