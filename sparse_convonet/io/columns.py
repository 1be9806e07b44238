"""Turn named columns, as files carry them, into points, colours and normals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sparse_convonet.io.refusals import unreadable
from sparse_convonet.structures import PointCloud

_COLOUR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_NORMAL_NAMES = (("nx", "ny", "nz"), ("normal_x", "normal_y", "normal_z"), ("normalx", "normaly", "normalz"))


def cloud_from_columns(path: Path, columns: Mapping[str, np.ndarray]) -> PointCloud:
    """A cloud from columns x, y, z and, where present, colours and normals under their usual names.

    Other columns are left out.  Raises ValueError, naming what was found, where x, y or z is missing.
    """
    if not {"x", "y", "z"} <= set(columns):
        raise unreadable(path, "columns x, y and z", ", ".join(columns) or "no column")
    with np.errstate(invalid="ignore"):  # NaN of any bits passes
        points = np.stack([np.asarray(columns[name], dtype=np.float64) for name in "xyz"], axis=1)
    colours = next((to_colours(_stack(columns, names)) for names in _COLOUR_NAMES if set(names) <= set(columns)), None)
    normals = next((to_normals(_stack(columns, names)) for names in _NORMAL_NAMES if set(names) <= set(columns)), None)
    return PointCloud(points, colours, normals)


def _stack(columns: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    return np.stack([columns[name] for name in names], axis=1)


def to_colours(values: np.ndarray) -> np.ndarray:
    """(N, 3) colours of any usual range -> (N, 3) uint8.

    Whole numbers up to 255 stay; larger ones are 16-bit and lose their low byte; fractions in 0 to 1 are scaled.
    """
    values = np.asarray(values)
    if values.dtype == np.uint8 or values.size == 0:
        return values.astype(np.uint8)
    numbers = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    high = numbers.max()
    is_fraction = not np.issubdtype(values.dtype, np.integer) and high <= 1
    scale = 255.0 if is_fraction else 1 / 256 if high > 255 else 1.0
    scaled = numbers * scale
    return np.clip(np.rint(scaled) if is_fraction else np.floor(scaled), 0, 255).astype(np.uint8)


def to_normals(values: np.ndarray) -> np.ndarray | None:
    """(N, 3) vectors -> (N, 3) float32 unit vectors; None where the file carries only zeros."""
    vectors = np.asarray(values, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.any(lengths > 0):
        return None
    return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
