"""Stage out_of_core: the picture of picture.cutaway.render_cutaway of a mesh that comes tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.out_of_core.assembly.surfaces import SurfaceSums
from sparse_convonet.picture.camera import ParallelCamera, heading_of, lay_out
from sparse_convonet.picture.cutaway import (
    ELEVATION_DEG,
    HEIGHT,
    MARGIN_PIXELS,
    WIDTH,
    Cutaway,
    blank_picture,
    plane_axes,
    slabs_of,
    write_picture,
)
from sparse_convonet.picture.face_sums import extents_of_slabs, joined_boxes
from sparse_convonet.picture.storeys import Storey, storeys_between
from sparse_convonet.structures import Mesh


@dataclass(frozen=True)
class ViewPlan:
    """What is shown of a building, and from where."""

    storeys: tuple[Storey, ...]
    camera: ParallelCamera

    @classmethod
    def of(cls, sums: SurfaceSums) -> ViewPlan:
        storeys = storeys_between(sums.low_z, sums.high_z, sums.levels)
        return cls(storeys, ParallelCamera.looking_down(heading_of(sums.walls, sums.outline), ELEVATION_DEG))

    def extents(self, mesh: Mesh) -> np.ndarray:
        """(S, 2, 2): how far each storey of a part of the mesh (world, metres, z up) reaches in the camera's plane."""
        return extents_of_slabs(mesh, slabs_of(self.storeys), plane_axes(self.camera))


class StreamedPicture:
    """A picture to which a mesh with faces is added part by part; it holds what is seen so far, subpixel by subpixel.

    extents: those of ViewPlan of all parts.  coloured: whether the parts have colours.
    """

    def __init__(
        self,
        plan: ViewPlan,
        extents: Sequence[np.ndarray],
        coloured: bool,
        width: int = WIDTH,
        height: int = HEIGHT,
    ) -> None:
        panels = lay_out(list(joined_boxes(extents)), width, height, MARGIN_PIXELS)
        self._cutaway = Cutaway(plan.storeys, tuple(panels), plan.camera, solid=True)
        self._canvases = [self._cutaway.canvas(number, coloured) for number in range(len(panels))]
        self._size = width, height

    def draw(self, mesh: Mesh) -> None:
        """Add a part of the mesh (world, metres, z up).  Of surfaces at one place, that drawn first is seen."""
        projection = self._cutaway.project(mesh)
        for canvas in self._canvases:
            self._cutaway.draw(canvas, mesh, projection)

    def write(self, path: Path) -> None:
        """Write it as a PNG; nothing can be added any more."""
        picture = blank_picture(*self._size)
        while self._canvases:
            self._cutaway.shade(self._canvases.pop(), picture)
        write_picture(path, picture)
