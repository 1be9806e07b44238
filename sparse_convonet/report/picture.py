"""Stage report: a picture of a building's mesh from above at an angle, every storey cut open below its ceiling."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sparse_convonet.io.atomic import atomic_path
from sparse_convonet.report.camera import Panel, ParallelCamera, heading_off_walls, lay_out
from sparse_convonet.report.face_sums import boxes_of_slabs
from sparse_convonet.report.raster import Projection, look
from sparse_convonet.report.shading import OVERSAMPLING, shade
from sparse_convonet.report.storeys import Storey, find_storeys
from sparse_convonet.structures import Mesh

logger = logging.getLogger(__name__)

_MARGIN_PIXELS = 24


def render_cutaway(
    mesh: Mesh,
    path: str | Path,
    width: int = 1600,
    height: int = 1000,
    *,
    heading_deg: float | None = None,
    elevation_deg: float = 58.0,
    solid: bool = True,
    storeys: tuple[Storey, ...] | None = None,
) -> None:
    """Write a PNG of the mesh (world metres, z up): its storeys cut open, side by side, the lowest first.

    heading_deg: direction of view, counter-clockwise from +x (90: x to the right); None chooses one a little
    off the walls.  solid: faces seen from behind are the inside of walls and drawn dark; False for meshes whose faces
    have no dependable outside.  storeys: None finds them.  Raises ValueError for an empty mesh.
    """
    if len(mesh.faces) == 0:
        raise ValueError("picture: expected a mesh with faces, found none; nothing can be shown")
    storeys = find_storeys(mesh) if storeys is None else storeys
    heading = heading_off_walls(mesh) if heading_deg is None else heading_deg
    camera = ParallelCamera.looking_down(heading, elevation_deg)
    slabs = np.array([(storey.bottom_z, storey.cut_z) for storey in storeys])
    boxes = boxes_of_slabs(mesh, slabs, np.stack([camera.right, camera.up]))
    panels = lay_out(list(boxes), width, height, _MARGIN_PIXELS)
    picture = draw_storeys(mesh, storeys, panels, camera, width, height, solid)
    with atomic_path(Path(path)) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
    logger.info("picture of %d storeys: %s", len(storeys), path)


def draw_storeys(
    mesh: Mesh,
    storeys: Sequence[Storey],
    panels: Sequence[Panel],
    camera: ParallelCamera,
    width: int,
    height: int,
    solid: bool,
) -> np.ndarray:
    """(height, width, 3) uint8 on white: each storey of a mesh with faces (world metres) in the panel of its own.

    panels: of one scale, within the picture and apart from each other.  solid: see render_cutaway.
    """
    origin_z, subpixel_m = storeys[0].floor_z, panels[0].metres_per_pixel / OVERSAMPLING
    projection = Projection.of(mesh, camera, panels[0].centre, origin_z, subpixel_m)
    picture = np.full((height, width, 3), 255, dtype=np.uint8)
    for storey, panel in zip(storeys, panels, strict=True):
        corner, shape = projection.corner(panel), (panel.height * OVERSAMPLING, panel.width * OVERSAMPLING)
        floor, low, high = storey.floor_z - origin_z, storey.bottom_z - origin_z, storey.cut_z - origin_z
        view = look(projection, corner, shape, low, high, solid)
        part = picture[panel.top : panel.top + panel.height, panel.left : panel.left + panel.width]
        shade(mesh, projection, camera, corner, view, floor, high, part)
    return picture
