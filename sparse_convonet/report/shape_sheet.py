"""Stage report: a sheet of meshes, each seen at an angle with a line under it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sparse_convonet.picture.lettering import FAINT, INK, write_line
from sparse_convonet.picture.perspective import PerspectiveCamera, ball_of, direction_of, render
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

Y_UP = np.array([0.0, 1.0, 0.0])  # of the unit cube
Z_UP = np.array([0.0, 0.0, 1.0])
_PANEL, _GAP, _TEXT_HEIGHT, _HEAD_HEIGHT = 240, 12, 22, 52
_WIDEST = 6
_TURN, _ELEVATION = math.radians(35.0), math.radians(25.0)


@dataclass(frozen=True)
class SheetShape:
    """mesh: in any frame and unit; without faces, or None: the panel says that there is no surface."""

    mesh: Mesh | None
    title: str


def show_mesh(mesh: Mesh, size: int, up: np.ndarray = Y_UP, per_pixel: int = 2) -> np.ndarray:
    """(size, size, 3) uint8: a mesh seen from a little above.  Raises ValueError for one without faces."""
    centre, radius = ball_of(mesh)
    camera = PerspectiveCamera.around(centre, direction_of(_TURN, _ELEVATION, up), up, radius, size)
    return render(mesh, camera, up, per_pixel)


def write_shape_sheet(
    path: Path, title: str, shapes: Sequence[SheetShape], *, columns: int = _WIDEST, up: np.ndarray = Y_UP
) -> None:
    """Write a PNG with a panel for each of at least one shape, `columns` in a row."""
    columns = min(columns, len(shapes))
    rows = -(-len(shapes) // columns)
    width = columns * (_PANEL + _GAP) + _GAP
    height = _HEAD_HEIGHT + rows * (_PANEL + _TEXT_HEIGHT + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    write_line(draw, (_GAP, 14), title, 20, INK, width - 2 * _GAP)
    for number, shape in enumerate(shapes):
        left = _GAP + number % columns * (_PANEL + _GAP)
        top = _HEAD_HEIGHT + number // columns * (_PANEL + _TEXT_HEIGHT + _GAP)
        if shape.mesh is not None and len(shape.mesh.faces):
            sheet.paste(Image.fromarray(show_mesh(shape.mesh, _PANEL, up)), (left, top))
        else:
            write_line(draw, (left + 60, top + _PANEL // 2), "no surface", 16, FAINT, _PANEL - 60)
        draw.rectangle((left, top, left + _PANEL - 1, top + _PANEL - 1), outline=(205, 209, 214))
        write_line(draw, (left + 2, top + _PANEL + 3), shape.title, 14, INK, _PANEL)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
