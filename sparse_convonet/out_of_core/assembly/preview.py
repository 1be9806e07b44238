"""Stage out_of_core: the picture of picture.cutaway.render_cutaway of a mesh that comes tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse_convonet.out_of_core.assembly.surfaces import SurfaceSums
from sparse_convonet.picture.camera import ParallelCamera, fitted_height, heading_of, lay_out
from sparse_convonet.picture.caption import captioned
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
from sparse_convonet.picture.framing import Framing
from sparse_convonet.picture.storeys import Storey, storeys_between
from sparse_convonet.structures import Mesh


@dataclass(frozen=True)
class ViewPlan:
    """What is shown of a building, and from where.  solid: of picture.cutaway.render_cutaway."""

    storeys: tuple[Storey, ...]
    camera: ParallelCamera
    framing: Framing
    solid: bool

    @classmethod
    def of(cls, sums: SurfaceSums) -> ViewPlan:
        storeys = storeys_between(sums.low_z, sums.high_z, sums.levels, sums.columns)
        camera = ParallelCamera.looking_down(heading_of(sums.walls, sums.outline), ELEVATION_DEG)
        ends = sums.low_z, sums.high_z
        framing = Framing.around(sums.outline, *ends, slabs_of(storeys), plane_axes(camera))
        return cls(storeys, camera, framing, sums.closed)

    def measure(self, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
        """Where each storey of a part of the mesh (world, metres, z up) lies in the camera's plane; see Framing."""
        return self.framing.measure(mesh)


class StreamedPicture:
    """A picture to which a mesh with faces is added part by part; it holds what is seen so far, subpixel by subpixel.

    measured: of ViewPlan, of all parts.  coloured: whether the parts have colours.
    """

    def __init__(
        self,
        plan: ViewPlan,
        measured: Sequence[tuple[np.ndarray, np.ndarray]],
        coloured: bool,
        width: int = WIDTH,
        height: int = HEIGHT,
    ) -> None:
        boxes = list(plan.framing.boxes(measured))
        height = fitted_height(boxes, width, height, MARGIN_PIXELS)
        panels = lay_out(boxes, width, height, MARGIN_PIXELS)
        self._cutaway = Cutaway(plan.storeys, tuple(panels), plan.camera, plan.solid)
        self._canvases = [self._cutaway.canvas(number, coloured) for number in range(len(panels))]
        self._size = width, height

    def draw(self, mesh: Mesh) -> None:
        """Add a part of the mesh (world, metres, z up).  Of surfaces at one place, that drawn first is seen."""
        projection = self._cutaway.project(mesh)
        for canvas in self._canvases:
            self._cutaway.draw(canvas, mesh, projection)

    def write(self, path: Path, caption: Sequence[str]) -> None:
        """Write it as a PNG; nothing can be added any more.  caption: as of render_cutaway."""
        picture = blank_picture(*self._size)
        while self._canvases:
            self._cutaway.shade(self._canvases.pop(), picture)
        scale = self._cutaway.panels[0].metres_per_pixel
        write_picture(path, captioned(picture, scale, caption) if caption else picture)
