"""Stage picture: a picture of a building's mesh from above at an angle, every storey cut open below its ceiling."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sparse_convonet.picture.camera import Panel, ParallelCamera, fitted_height, heading_off_walls, lay_out
from sparse_convonet.picture.caption import captioned
from sparse_convonet.picture.face_sums import boxes_of_slabs
from sparse_convonet.picture.framing import Framing
from sparse_convonet.picture.raster import FRACTION_BITS, Projection, View, draw
from sparse_convonet.picture.seen import Seen, resolve
from sparse_convonet.picture.shading import OVERSAMPLING, PAGE, shade_seen
from sparse_convonet.picture.storeys import Storey, find_storeys
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 1600, 1000
ELEVATION_DEG = 58.0
MARGIN_PIXELS = 24


def render_cutaway(
    mesh: Mesh,
    path: str | Path,
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    heading_deg: float | None = None,
    elevation_deg: float = ELEVATION_DEG,
    solid: bool = True,
    storeys: tuple[Storey, ...] | None = None,
    caption: Sequence[str] = (),
    fit: bool = False,
) -> None:
    """Write a PNG of the mesh (world metres, z up): its storeys cut open, side by side, the lowest first.

    heading_deg: direction of view, counter-clockwise from +x (90: x to the right); None chooses one a little
    off the walls.  solid: faces seen from behind are the inside of walls and drawn dark; False for meshes whose faces
    have no dependable outside.  storeys: None finds them.  caption: lines of words below, beside a scale bar; none:
    neither.  fit: no higher than what is shown, which leaves out stray bits metres away (picture.framing).  Raises
    ValueError for an empty mesh.
    """
    if len(mesh.faces) == 0:
        raise ValueError("picture: expected a mesh with faces, found none; nothing can be shown")
    storeys = find_storeys(mesh) if storeys is None else storeys
    heading = heading_off_walls(mesh) if heading_deg is None else heading_deg
    camera = ParallelCamera.looking_down(heading, elevation_deg)
    slabs, axes = slabs_of(storeys), plane_axes(camera)
    if fit:
        framing = Framing.around(mesh.vertices, *ends_of(mesh), slabs, axes)
        boxes = list(framing.boxes([framing.measure(mesh)]))
        height = fitted_height(boxes, width, height, MARGIN_PIXELS)
    else:
        boxes = list(boxes_of_slabs(mesh, slabs, axes))
    panels = lay_out(boxes, width, height, MARGIN_PIXELS)
    picture = draw_storeys(mesh, storeys, panels, camera, width, height, solid)
    write_picture(Path(path), captioned(picture, panels[0].metres_per_pixel, caption) if caption else picture)
    logger.info("picture of %d storeys: %s", len(storeys), path)


def ends_of(mesh: Mesh) -> tuple[float, float]:
    """The lowest and the highest z."""
    return float(mesh.vertices[:, 2].min()), float(mesh.vertices[:, 2].max())


def slabs_of(storeys: Sequence[Storey]) -> np.ndarray:
    """(S, 2) float64: the heights between which each storey is shown."""
    return np.array([(storey.bottom_z, storey.cut_z) for storey in storeys])


def plane_axes(camera: ParallelCamera) -> np.ndarray:
    """(2, 3) float64: the directions along which the extent of what is shown is measured."""
    return np.stack([camera.right, camera.up])


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 as a PNG."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def draw_storeys(
    mesh: Mesh,
    storeys: Sequence[Storey],
    panels: Sequence[Panel],
    camera: ParallelCamera,
    width: int,
    height: int,
    solid: bool,
) -> np.ndarray:
    """(height, width, 3) uint8 on PAGE: each storey of a mesh with faces (world metres) in the panel of its own.

    panels: of one scale, within the picture and apart from each other.  solid: see render_cutaway.
    """
    cutaway = Cutaway(tuple(storeys), tuple(panels), camera, solid)
    projection = cutaway.project(mesh)
    picture = blank_picture(width, height)
    for number in range(len(storeys)):  # one after the other, for the sake of memory
        canvas = cutaway.canvas(number, mesh.colours is not None)
        cutaway.draw(canvas, mesh, projection)
        cutaway.shade(canvas, picture)
    return picture


def blank_picture(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8, of the colour of the page."""
    return np.full((height, width, 3), PAGE, dtype=np.uint8)


@dataclass(frozen=True)
class Canvas:
    """What is seen of a storey (its number) so far."""

    number: int
    view: View
    seen: Seen


@dataclass(frozen=True)
class Cutaway:
    """Storeys in the panels of a picture; see draw_storeys.  A mesh may be drawn in parts, each with its own projection."""

    storeys: tuple[Storey, ...]
    panels: tuple[Panel, ...]
    camera: ParallelCamera
    solid: bool

    @property
    def _subpixel_m(self) -> float:
        return self.panels[0].metres_per_pixel / OVERSAMPLING

    def project(self, mesh: Mesh) -> Projection:
        """A mesh, or a part of one, ready to be drawn."""
        origin_z = self.storeys[0].floor_z
        return Projection.of(mesh, self.camera, self.panels[0].centre, origin_z, self._subpixel_m)

    def canvas(self, number: int, coloured: bool) -> Canvas:
        """An empty one for a storey."""
        shape = self.panels[number].height * OVERSAMPLING, self.panels[number].width * OVERSAMPLING
        return Canvas(number, View.blank(shape), Seen.blank(shape, coloured))

    def draw(self, canvas: Canvas, mesh: Mesh, projection: Projection) -> None:
        """Add a part of the mesh.  Of two at one height, that which was drawn first is seen."""
        corner = projection.corner(self.panels[canvas.number])
        extreme = (int(end(projection.places[:, 1])) - corner[1] for end in (np.min, np.max))
        top, bottom = (int(row) >> FRACTION_BITS for row in extreme)
        top, bottom = max(top, 0), min(bottom + 1, len(canvas.view.shown))
        if top >= bottom:
            return
        view, seen = canvas.view.rows(top, bottom), canvas.seen.rows(top, bottom)
        corner = corner + np.array([0, top << FRACTION_BITS])
        _, low, high = self._heights(canvas.number)
        draw(view, projection, corner, low, high, self.solid)
        resolve(seen, view, mesh, projection, self.camera, corner)
        view.face.fill(-1)  # the next part has faces of its own

    def shade(self, canvas: Canvas, picture: np.ndarray) -> None:
        """Fill the storey's panel of a picture (H, W, 3) uint8."""
        panel = self.panels[canvas.number]
        part = picture[panel.top : panel.top + panel.height, panel.left : panel.left + panel.width]
        floor, _, high = self._heights(canvas.number)
        shade_seen(canvas.seen, canvas.view, self.camera, self._subpixel_m, floor, high, part)

    def _heights(self, number: int) -> tuple[float, float, float]:
        """A storey's floor, bottom and cut, metres above the first one's floor."""
        storey, origin_z = self.storeys[number], self.storeys[0].floor_z
        return storey.floor_z - origin_z, storey.bottom_z - origin_z, storey.cut_z - origin_z
