"""Every ray against every triangle, by solving three equations (Moeller and Trumbore 1997), for comparison."""

from __future__ import annotations

import numpy as np


def hit_distances(rays: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(R, F) float64: where rays (R, 6) meet triangles (F, 3, 3), infinite where they do not."""
    origins, directions = rays[:, None, :3].astype(np.float64), rays[:, None, 3:].astype(np.float64)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]  # (F, 3)
    across = np.cross(directions, second[None])  # (R, F, 3)
    determinant = np.einsum("rfi,fi->rf", across, first)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = origins - corners[None, :, 0]
        u = np.einsum("rfi,rfi->rf", across, offset) / determinant
        turned = np.cross(offset, first[None])
        v = np.einsum("rfi,rfi->rf", turned, np.broadcast_to(directions, turned.shape)) / determinant
        distance = np.einsum("rfi,fi->rf", turned, second) / determinant
    met = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance >= 0)
    return np.where(met, distance, np.inf)
