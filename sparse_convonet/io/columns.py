"""Turn named columns, as files carry them, into points, colours and normals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparse_convonet.io.column_names import COLOUR, NORMAL, POSITION, known_names
from sparse_convonet.runtime.refusals import unreadable

_SQUARES_FIT = (1e-150, 1e150)  # the squares of numbers between these are neither 0 nor infinite

Fields = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]


def fields_of(path: Path, columns: Mapping[str, np.ndarray]) -> Fields:
    """Points (N, 3) float64 from the columns x, y, z; colours and normals (N, 3) as the columns have them, or None.

    Names as column_names.known_names knows them; other columns are left out.  Raises ValueError, naming what was found,
    where x, y or z is missing.
    """
    known = dict(zip(known_names(list(columns)), columns.values(), strict=True))
    if "x" not in known:
        raise unreadable(path, "columns x, y and z", ", ".join(columns) or "no column")
    points = np.empty((len(known["x"]), 3))
    with np.errstate(invalid="ignore", over="ignore"):  # NaN of any bits passes
        for axis, name in enumerate(POSITION):
            points[:, axis] = known[name]
    return points, _stacked(known, COLOUR), _stacked(known, NORMAL)


def _stacked(columns: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray | None:
    return np.stack([columns[name] for name in names], axis=1) if names[0] in columns else None


def to_colours(values: np.ndarray, largest: float | None = None) -> np.ndarray:
    """(N, 3) colours of any usual range -> (N, 3) uint8.

    Whole numbers up to 255 stay; larger ones are 16-bit and lose their low byte; fractions in 0 to 1 are scaled.
    largest: that of all colours of a file, as largest_colour gives it, where these are a part of them.
    """
    values = np.asarray(values)
    if values.dtype == np.uint8 or values.size == 0:
        return values.astype(np.uint8)
    numbers = _finite(values)
    high = numbers.max() if largest is None else largest
    is_fraction = not np.issubdtype(values.dtype, np.integer) and high <= 1
    scale = 255.0 if is_fraction else 1 / 256 if high > 255 else 1.0
    scaled = np.clip(numbers, 0, 1 / _SQUARES_FIT[0]) * scale
    return np.clip(np.rint(scaled) if is_fraction else np.floor(scaled), 0, 255).astype(np.uint8)


def largest_colour(values: np.ndarray) -> float:
    """The number that decides to_colours' range; that of several parts is the largest of theirs (-inf of none)."""
    with np.errstate(invalid="ignore"):
        high = float(values.max()) if values.size and values.dtype.kind in "fiu" else -np.inf
    return high if 0 <= high < np.inf else float(_finite(values).max(initial=-np.inf))  # NaN and infinity count as 0


def _finite(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def to_normals(values: np.ndarray) -> np.ndarray | None:
    """(N, 3) vectors -> (N, 3) float32 unit vectors; None where the file carries only zeros."""
    with np.errstate(all="ignore"):  # NaN of any bits passes, and inf becomes NaN
        vectors = np.asarray(values, dtype=np.float64)
        largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
        extreme = (largest > 0) & ((largest < _SQUARES_FIT[0]) | (largest > _SQUARES_FIT[1]))
        if extreme.any():
            vectors = np.where(extreme, vectors / np.where(extreme, largest, 1.0), vectors)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.any(lengths > 0):
            return None
        return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
