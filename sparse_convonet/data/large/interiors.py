"""The inside of a large hall while it is fitted out: its rectangle, its height and what already stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.data.buildings.floorplan import Rectangle
from sparse_convonet.data.buildings.footprints import Footprints
from sparse_convonet.data.scenes.assembly import Assembly
from sparse_convonet.data.scenes.solids import yaw_matrix


@dataclass(frozen=True)
class Interior:
    """A rectangle (low x, low y, high x, high y) between walls, metres, floor at z = 0.

    taken: what stands there.  roof: whether there is one to hang things from, `height` metres above the floor.
    """

    assembly: Assembly
    rectangle: Rectangle
    height: float
    taken: Footprints
    roof: bool = True

    @property
    def low(self) -> np.ndarray:
        return np.array(self.rectangle[:2])

    @property
    def size(self) -> np.ndarray:
        return np.array(self.rectangle[2:]) - self.low

    def claim(self, centre: np.ndarray, half: np.ndarray, yaw: float = 0.0, gap: float = 0.05) -> bool:
        """Take a footprint of half extents (2,) about centre (2,); False, and nothing taken, where it does not fit."""
        reach = np.abs(yaw_matrix(yaw)[:2, :2]) @ half
        footprint = np.array([*centre, *half, yaw])
        fits = (centre - reach >= self.low).all() and (centre + reach <= self.low + self.size).all()
        if not (fits and self.taken.free(footprint, gap)):
            return False
        self.taken.add(footprint)
        return True


def add_column(assembly: Assembly, planar: np.ndarray, half: float, z: tuple[float, float], is_round: bool) -> None:
    """A column about `planar` (2,) between two heights, square or round, `half` metres from its axis to its sides."""
    if is_round:
        assembly.rod([*planar, z[0]], [*planar, z[1]], half)
    else:
        assembly.box([*(planar - half), z[0]], [*(planar + half), z[1]])
