"""Stage picture: what of each storey a picture is framed on: not on stray bits that lie metres away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_convonet.picture.face_sums import extents_of_slabs, joined_boxes, spread_areas
from sparse_convonet.structures import Mesh

_BIN_M = 0.1
_MOST_BINS = 1 << 14
_GAP_M = 1.0  # what lies so far beside the rest, ...
_STRAY_SHARE = 0.03  # ... with less than this share of the storey's surface, is outside the frame


@dataclass(frozen=True)
class Framing:
    """Measures parts of a mesh.

    slabs: (S, 2) lowest and highest z of each storey.  axes: (2, 3) of the camera's plane.  low: (2,) least coordinates of
    the whole mesh along these, from where bins of bin_m count, metres.
    """

    slabs: np.ndarray
    axes: np.ndarray
    low: np.ndarray
    bin_m: float
    count: int

    @classmethod
    def around(cls, outline: np.ndarray, low_z: float, high_z: float, slabs: np.ndarray, axes: np.ndarray) -> Framing:
        """outline: (N, 3) points that reach as far as the mesh in level directions; low_z, high_z: its ends."""
        ends = [np.c_[outline[:, :2], np.full(len(outline), z)] @ axes.T for z in (low_z, high_z)]
        low, high = np.concatenate(ends).min(axis=0), np.concatenate(ends).max(axis=0)
        bin_m = max(_BIN_M, float((high - low).max()) / _MOST_BINS)
        return cls(slabs, axes, low, bin_m, int((high - low).max() / bin_m) + 1)

    def measure(self, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
        """(S, 2, 2) extents_of_slabs, and (S, 2, count) m2 of faces over the bins along both axes."""
        areas = spread_areas(mesh, self.slabs, self.axes, self.low, self.bin_m, self.count)
        return extents_of_slabs(mesh, self.slabs, self.axes), areas

    def boxes(self, measured: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        """(S, 2, 2): from where to where each storey is shown, metres along the axes; of the parts together."""
        boxes = joined_boxes([extents for extents, _ in measured])
        areas = np.sum([each for _, each in measured], axis=0)
        for storey, axis in np.ndindex(areas.shape[:2]):
            first, last = _without_strays(areas[storey, axis], round(_GAP_M / self.bin_m))
            if first > 0:
                boxes[storey, 0, axis] = max(boxes[storey, 0, axis], self.low[axis] + first * self.bin_m)
            if last < self.count - 1:
                boxes[storey, 1, axis] = min(boxes[storey, 1, axis], self.low[axis] + (last + 1) * self.bin_m)
        return boxes


def _without_strays(areas: np.ndarray, gap: int) -> tuple[int, int]:
    """The first and last bin of what is no stray; areas: (B,)."""
    covered = np.flatnonzero(areas > 0)
    if len(covered) == 0:
        return 0, len(areas) - 1
    breaks = np.flatnonzero(np.diff(covered) > gap)
    starts, stops = covered[np.append(0, breaks + 1)], covered[np.append(breaks, len(covered) - 1)]
    sums = np.concatenate([[0.0], np.cumsum(areas)])
    share = (sums[stops + 1] - sums[starts]) / sums[-1]
    first, last = 0, len(share) - 1
    while first < last and share[first] < _STRAY_SHARE:
        first += 1
    while last > first and share[last] < _STRAY_SHARE:
        last -= 1
    return int(starts[first]), int(stops[last])
