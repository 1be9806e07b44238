"""A part of a file's points, before it is known what range the file's colours have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.runtime.refusals import unreadable


@dataclass(frozen=True)
class PointChunk:
    """points: (N, 3) float64, as they stand in the file.  colours: (N, 3) numbers as the file has them, or None.

    share: how much of the file is read with this chunk, in (0, 1].  black_is_none: a file that is all black has no
    colours.  A file has colours where all of its chunks have; their range follows from the largest of all chunks, see
    columns.to_colours.
    """

    points: np.ndarray
    colours: np.ndarray | None
    share: float
    black_is_none: bool = False


def read_rows(path: Path, dtype: np.dtype, count: int, offset: int) -> np.ndarray:
    """(count,) records of a binary file, from a byte of it on.  Raises ValueError where it has become shorter."""
    if dtype.itemsize == 0:
        return np.zeros(count, dtype)
    rows = np.fromfile(path, dtype, count, offset=offset)
    if len(rows) < count:
        raise unreadable(path, f"{count} records", f"only {len(rows)}: the file is truncated")
    return rows
