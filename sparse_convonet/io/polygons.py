"""Cut polygons, as files list them, into triangles."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from sparse_convonet.runtime.refusals import unreadable

_LARGEST_WHOLE = float(1 << 53)  # of a double: beyond it not all whole numbers are there

logger = logging.getLogger(__name__)


def triangulate(path: Path, lengths: np.ndarray, corners: np.ndarray, vertex_count: int) -> np.ndarray:
    """Polygons of lengths (P,) corners, stored one after the other in corners (lengths.sum(),) -> (F, 3) int64 fans.

    path: for messages only.  Polygons of fewer than three corners are left out and counted in the log.
    Raises ValueError where a corner names a vertex that does not exist.
    """
    if corners.dtype.kind == "f" and not np.all(np.abs(corners) < _LARGEST_WHOLE):  # false for NaN
        raise unreadable(path, f"faces of vertices 0 to {vertex_count - 1}", "NaN or larger numbers")
    lengths, values = lengths.astype(np.int64), corners.astype(np.int64)
    if not np.array_equal(values, corners):
        raise unreadable(path, "faces of whole vertex numbers", "a fraction or a number that is too large")
    if len(values) and (values.min() < 0 or values.max() >= vertex_count):
        found = f"indices from {values.min()} to {values.max()}"
        raise unreadable(path, f"faces of vertices 0 to {vertex_count - 1}", found)
    degenerate = int(np.sum(lengths < 3))
    if degenerate:
        logger.info("%s: left out %d faces of fewer than three corners", path, degenerate)
    fan_sizes = np.maximum(lengths - 2, 0)  # triangles per polygon
    firsts = np.repeat(np.cumsum(lengths) - lengths, fan_sizes)  # (F,) position of the fan's common corner
    within = np.arange(len(firsts)) - np.repeat(np.cumsum(fan_sizes) - fan_sizes, fan_sizes)
    return np.stack([values[firsts], values[firsts + within + 1], values[firsts + within + 2]], axis=1)
