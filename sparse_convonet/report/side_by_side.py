"""Stage report: several meshes of one scene side by side, all seen alike, coloured by how far they lie off the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.picture.camera import Panel, ParallelCamera, heading_off_walls, lay_out
from sparse_convonet.picture.cutaway import draw_storeys
from sparse_convonet.picture.face_sums import boxes_of_slabs
from sparse_convonet.picture.lettering import FAINT, INK, write_line
from sparse_convonet.picture.shading import PAGE
from sparse_convonet.picture.storeys import Storey, find_storeys
from sparse_convonet.report.error_legend import LEGEND_HEIGHT, Legend, draw_legend, error_colours
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh

_PANEL_WIDTHS = {1: 1000, 2: 860, 3: 660, 4: 560}  # pixels, by how many stand in a row
_LOWEST_PANEL, _HIGHEST_PANEL, _EMPTY_PANEL = 260, 620, 360  # pixels
_HEAD, _GAP, _NAME, _REMARK, _MARGIN = 66, 20, 32, 34, 16  # pixels
_TITLE_SIZE, _NAME_SIZE, _REMARK_SIZE = 28, 22, 18  # of letters
_FRAME = (205, 209, 214)
_CUT_ELEVATION_DEG, _WHOLE_ELEVATION_DEG = 58.0, 32.0
_BEYOND_SHARE = 0.12  # of the first mesh's extent that others may reach beyond it and are still shown
_FLOOR_DEPTH_M = 0.35  # below the lowest floor that is shown
_METRES = ("m", "metre", "metres")
_UNIT_CUBE = 2.0  # meshes no longer than this, in units other than metres, are scenes of the unit cube, ...
_METRES_PER_CUBE = 5.0  # ... which are drawn as large as rooms: storeys and shadows are looked for in metres


@dataclass(frozen=True)
class Entry:
    """One panel.

    mesh: z up, in the unit of the picture; it may be empty.  remark: one line under the panel.
    error: (V,) distances of the vertices to the truth, in the same unit; None draws the mesh plainly.
    Raises ValueError where there is not one error per vertex, or one is negative or not a number.
    """

    name: str
    mesh: Mesh
    remark: str
    error: np.ndarray | None

    def __post_init__(self) -> None:
        if self.error is None:
            return
        if self.error.shape != (len(self.mesh.vertices),):
            raise ValueError(
                f"picture of {self.name}: expected one error for each of {len(self.mesh.vertices)} vertices, "
                f"found an array of shape {self.error.shape}"
            )
        if not (self.error >= 0).all():
            raise ValueError(f"picture of {self.name}: expected distances of 0 or more, found negative ones or NaN")


@dataclass(frozen=True)
class _Stage:
    """What all panels share: the camera, the storeys, where in a panel each stands and how high panels are (pixels)."""

    camera: ParallelCamera
    storeys: tuple[Storey, ...]
    panels: list[Panel]
    height: int
    limits: np.ndarray  # (S, 2, 2) metres in the camera's plane: what of each storey is shown


def write_side_by_side(
    path: Path,
    title: str,
    entries: Sequence[Entry],
    *,
    largest_error: float,
    unit: str,
    cut: bool = True,
    error_name: str = "distance to the truth",
) -> None:
    """Write a PNG with a panel per entry, all with the camera, scale and cuts of the first mesh that has faces.

    error_name: what the errors are.  largest_error: at which the colours end, in `unit`, that of the meshes; those up to
    2 units long that are not in metres are taken for scenes of the unit cube.  cut: open every storey below its ceiling;
    False shows single objects whole.  Watertight meshes have a solid inside, which shows dark where it is cut.
    Raises ValueError without entries and for a largest error that is not positive.
    """
    if not entries:
        raise ValueError("side by side: expected at least one mesh to show, found none")
    if not (math.isfinite(largest_error) and largest_error > 0):
        raise ValueError(f"side by side: expected a largest error above 0, found {largest_error}")
    columns = _columns(len(entries))
    width = _PANEL_WIDTHS[columns]
    factor = _metres_per_unit([entry.mesh for entry in entries], unit)
    meshes = [_plain(entry.mesh, factor) for entry in entries]
    stage = _common_stage(meshes, width, cut) if any(len(mesh.faces) for mesh in meshes) else None
    height = stage.height if stage else _EMPTY_PANEL

    rows = -(-len(entries) // columns)
    row_height = _NAME + height + _REMARK + _GAP
    sheet_width = columns * (width + _GAP) + _GAP
    sheet = Image.new("RGB", (sheet_width, _HEAD + rows * row_height + LEGEND_HEIGHT), PAGE)
    draw = ImageDraw.Draw(sheet)
    write_line(draw, (_GAP, 14), title, _TITLE_SIZE, INK, sheet_width - 2 * _GAP)
    any_solid = False
    for number, (entry, mesh) in enumerate(zip(entries, meshes, strict=True)):
        left, top = _GAP + number % columns * (width + _GAP), _HEAD + number // columns * row_height + _NAME
        write_line(draw, (left, top - _NAME), entry.name, _NAME_SIZE, INK, width)
        remark = entry.remark
        if stage is not None and len(mesh.faces):
            solid = is_watertight(mesh.faces, len(mesh.vertices))
            any_solid |= solid
            coloured = mesh
            if entry.error is not None:
                colours = error_colours(entry.error, largest_error)
                coloured = Mesh(mesh.vertices, mesh.faces, mesh.normals, colours)
            picture = draw_storeys(coloured, stage.storeys, stage.panels, stage.camera, width, height, solid)
            sheet.paste(Image.fromarray(picture), (left, top))
            if _reaches_beyond(mesh, stage):
                remark = f"{remark} · reaches beyond the picture" if remark else "reaches beyond the picture"
        else:
            draw.text((left + width / 2, top + height / 2), "no surface", fill=FAINT, font_size=_NAME_SIZE, anchor="mm")
        draw.rectangle((left, top, left + width - 1, top + height - 1), outline=_FRAME)
        write_line(draw, (left, top + height + 5), remark, _REMARK_SIZE, FAINT, width)
    legend = Legend(
        error_name=error_name,
        largest_error=largest_error if any(entry.error is not None for entry in entries) else None,
        unit="m" if unit in _METRES else unit,
        units_per_pixel=stage.panels[0].metres_per_pixel / factor if stage else None,
        sections=any_solid and cut,
        storeys=_storeys_in_words(stage),
    )
    draw_legend(draw, (_GAP, _HEAD + rows * row_height), sheet_width - 2 * _GAP, legend)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _columns(count: int) -> int:
    if count in (1, 2, 4):
        return min(count, 2)
    return 3 if count <= 9 else 4


def _metres_per_unit(meshes: Sequence[Mesh], unit: str) -> float:
    for mesh in meshes:
        if len(mesh.faces) and unit not in _METRES:
            return _METRES_PER_CUBE if float(np.ptp(mesh.vertices, axis=0).max()) <= _UNIT_CUBE else 1.0
    return 1.0


def _plain(mesh: Mesh, factor: float) -> Mesh:
    """The mesh in metres, without the colours and normals that only some methods give: all are to look alike."""
    return Mesh(mesh.vertices * factor, mesh.faces)


def _common_stage(meshes: Sequence[Mesh], width: int, cut: bool) -> _Stage:
    first = next(mesh for mesh in meshes if len(mesh.faces))
    camera = ParallelCamera.looking_down(heading_off_walls(first), _CUT_ELEVATION_DEG if cut else _WHOLE_ELEVATION_DEG)
    storeys = _cut_storeys(first) if cut else (_whole(meshes),)
    boxes = [_boxes(mesh, storeys, camera) for mesh in meshes if len(mesh.faces)]
    beyond = _BEYOND_SHARE * (boxes[0][:, 1] - boxes[0][:, 0]).max(axis=1)[:, None]
    low = np.maximum(np.min([box[:, 0] for box in boxes], axis=0), boxes[0][:, 0] - beyond)
    high = np.minimum(np.max([box[:, 1] for box in boxes], axis=0), boxes[0][:, 1] + beyond)
    limits = np.stack([low, high], axis=1)
    shown = list(limits)
    height = _panel_height(shown, width)
    return _Stage(camera, storeys, lay_out(shown, width, height, _MARGIN), height, limits)


def _cut_storeys(mesh: Mesh) -> tuple[Storey, ...]:
    """Its storeys, shown from so far below the lowest floor that the other meshes' floors are seen as well."""
    lowest, *others = find_storeys(mesh)
    bottom_z = min(lowest.bottom_z, lowest.floor_z - _FLOOR_DEPTH_M)
    return Storey(lowest.floor_z, bottom_z, lowest.cut_z), *others


def _whole(meshes: Sequence[Mesh]) -> Storey:
    """All heights of all meshes, on the ground of the first."""
    lowest = [float(mesh.vertices[:, 2].min()) for mesh in meshes if len(mesh.faces)]
    highest = [float(mesh.vertices[:, 2].max()) for mesh in meshes if len(mesh.faces)]
    return Storey(lowest[0], min(lowest) - _FLOOR_DEPTH_M, max(highest) + _FLOOR_DEPTH_M)


def _boxes(mesh: Mesh, storeys: Sequence[Storey], camera: ParallelCamera) -> np.ndarray:
    """(S, 2, 2): what each storey covers in the camera's plane; nothing (from inf to -inf) where it has no face."""
    slabs = np.array([(storey.bottom_z, storey.cut_z) for storey in storeys])
    boxes = boxes_of_slabs(mesh, slabs, np.stack([camera.right, camera.up]))
    boxes[(boxes == 0).all(axis=(1, 2))] = np.array([np.inf, -np.inf])[:, None]
    return boxes


def _panel_height(boxes: list[np.ndarray], width: int) -> int:
    """The lowest height of panels, in pixels, at which storeys appear as large as they can."""
    across, upwards = np.max([box[1] - box[0] for box in boxes], axis=0)
    heights = []
    for columns in range(1, len(boxes) + 1):
        rows = -(-len(boxes) // columns)
        row = (width / columns - 2 * _MARGIN) * upwards / max(across, 1e-6) + 2 * _MARGIN
        heights.append(int(np.clip(math.ceil(rows * row), _LOWEST_PANEL, _HIGHEST_PANEL)))
    return min(heights, key=lambda height: (lay_out(boxes, width, height, _MARGIN)[0].metres_per_pixel, height))


def _reaches_beyond(mesh: Mesh, stage: _Stage) -> bool:
    """Whether parts of the mesh lie outside of what its panel shows."""
    boxes = _boxes(mesh, stage.storeys, stage.camera)
    slack = stage.panels[0].metres_per_pixel
    beyond = (boxes[:, 0] < stage.limits[:, 0] - slack) | (boxes[:, 1] > stage.limits[:, 1] + slack)
    return bool(beyond.any())


def _storeys_in_words(stage: _Stage | None) -> str:
    if stage is None or len(stage.storeys) == 1:
        return ""
    first, last = stage.panels[0], stage.panels[-1]
    stacked, beside = last.top < first.top, any(panel.left > first.left for panel in stage.panels)
    place = ("at the bottom left" if beside else "at the bottom") if stacked else "on the left"
    return f"{len(stage.storeys)} storeys, the lowest {place} of each panel"
