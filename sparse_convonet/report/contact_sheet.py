"""Stage report: a sheet of models, each with its points seen at an angle and a slice through its occupancy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial import cKDTree

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.samples import OccupancySamples
from sparse_convonet.data.convonet.survey import ModelData
from sparse_convonet.picture.camera import ParallelCamera
from sparse_convonet.picture.lettering import FAINT, INK, round_length, write_line
from sparse_convonet.picture.splats import draw_points
from sparse_convonet.runtime.atomic import atomic_path

_CLOUD_PIXELS, _SLICE_PIXELS, _PANEL_HEIGHT = 420, 300, 300
_GAP, _TEXT_HEIGHT, _HEAD_HEIGHT, _FOOT_HEIGHT = 18, 44, 58, 72
_PANELS_WIDE = 3
_POINTS_DRAWN = 100_000
_HEADING_DEG = 65.0  # x to the right, a little turned
_OBJECT_ELEVATION_DEG, _ROOM_ELEVATION_DEG = 28.0, 50.0
_CUT_SHARE = 0.62  # of the height of a room that stays below its roof
_SLICE_SHARE = 0.3  # of the height, where rooms have furniture and objects their body
_SLICE_POINTS = 6000
_THICKEST_SLICE = 0.05  # of the longest extent, to either side
_FLATTENING = 0.5  # a query above or below the slice counts as so much nearer than one in it
_REACH = 4.0  # typical gaps between queries; beyond lies nothing
_PLAN_CELLS = 24
_COVER = 0.5
_WALL_BAND, _WALL_REACH = 0.2, 0.8  # walls: points so near half the height reach over so much of the plan
_LOW_SHARE = 0.6  # height over length
_HOLLOW_SHARE = 0.3  # of the queries in the box that are inside
_INSIDE, _OUTSIDE, _UNKNOWN = (58, 64, 74), (236, 239, 243), (255, 255, 255)
_SURFACE_DOT = (230, 0, 150)
_PLANES = (176, 180, 186)  # label -1
_LABEL_COLOURS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75),
    (227, 119, 194), (188, 189, 34), (23, 190, 207), (60, 80, 160), (120, 170, 90), (200, 150, 60),
)  # fmt: skip
# The brighter part of viridis (van der Walt and Smith 2015), mixed with white: the shading darkens it.
_HEIGHT_COLOURS = np.array([(109, 126, 173), (84, 155, 170), (77, 181, 165), (137, 214, 131), (253, 235, 92)])


@dataclass(frozen=True)
class SheetEntry:
    """One panel: what was read of a model, and what stands under it."""

    data: ModelData
    title: str
    remark: str


def write_contact_sheet(
    path: Path, title: str, entries: Sequence[SheetEntry], label_names: Mapping[int, str], rng: np.random.Generator
) -> None:
    """Write a PNG with a panel per entry, at least one.  label_names: what semantic classes are called, if known."""
    columns = min(_PANELS_WIDE, len(entries))
    rows = -(-len(entries) // columns)
    panel_width = _CLOUD_PIXELS + _SLICE_PIXELS
    width = columns * (panel_width + _GAP) + _GAP
    height = _HEAD_HEIGHT + rows * (_PANEL_HEIGHT + _TEXT_HEIGHT + _GAP) + _FOOT_HEIGHT
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    write_line(draw, (_GAP, 14), title, 22, INK, width - 2 * _GAP)
    for number, entry in enumerate(entries):
        left = _GAP + number % columns * (panel_width + _GAP)
        top = _HEAD_HEIGHT + number // columns * (_PANEL_HEIGHT + _TEXT_HEIGHT + _GAP)
        cloud, roof_off = draw_cloud(entry.data, _CLOUD_PIXELS, _PANEL_HEIGHT, rng)
        sheet.paste(Image.fromarray(cloud), (left, top))
        sheet.paste(Image.fromarray(draw_slice(entry.data, _SLICE_PIXELS)), (left + _CLOUD_PIXELS, top))
        draw.rectangle((left, top, left + panel_width - 1, top + _PANEL_HEIGHT - 1), outline=(205, 209, 214))
        below = top + _PANEL_HEIGHT + 3
        write_line(draw, (left + 2, below), entry.title, 16, INK, panel_width)
        remark = entry.remark + (" · drawn without its roof" if roof_off else "")
        write_line(draw, (left + 2, below + 20), remark, 14, FAINT, panel_width)
        _scale_bar(draw, entry.data, left + _CLOUD_PIXELS, top)
    _legend(draw, entries, label_names, height - _FOOT_HEIGHT + 6, width)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def draw_cloud(data: ModelData, width: int, height: int, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """(height, width, 3) uint8 of the points seen at an angle, and whether a roof was taken off to see inside."""
    points, normals, labels = data.surface.points_unit, data.surface.normals, data.surface.semantics
    chosen = np.arange(len(points))
    if len(chosen) > _POINTS_DRAWN:
        chosen = np.sort(rng.choice(len(points), _POINTS_DRAWN, replace=False))
    upright = _upright(points[chosen])
    room = _is_room(upright, data.occupancy)
    if room:
        low, high = upright[:, 2].min(), upright[:, 2].max()
        kept = upright[:, 2] <= low + _CUT_SHARE * (high - low)
        chosen, upright = chosen[kept], upright[kept]
    colours = _height_colours(upright[:, 2]) if labels is None else _label_colours(labels[chosen])
    elevation = _ROOM_ELEVATION_DEG if room or _is_flat(upright) else _OBJECT_ELEVATION_DEG
    camera = ParallelCamera.looking_down(_HEADING_DEG, elevation)
    facing = None if normals is None else _upright(normals[chosen])
    return draw_points(upright, colours, facing, camera, width, height).picture, room


def draw_slice(data: ModelData, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of a horizontal slice seen from above, x to the right: inside dark, outside light.

    Surface points within the slice are dots on it.  A pixel shows the nearest query of a thin layer.
    """
    picture = np.full((size, size, 3), _UNKNOWN, dtype=np.uint8)
    if data.occupancy is None:
        return picture
    surface, queries = _upright(data.surface.points_unit), _upright(data.occupancy.points_unit)
    level, half = _layer(surface, queries)
    within = np.flatnonzero(np.abs(queries[:, 2] - level) <= half)
    centre, units_per_pixel = _slice_window(data, size)
    rows, columns = np.mgrid[:size, :size]
    x = centre[0] + (columns + 0.5 - size / 2) * units_per_pixel
    y = centre[1] - (rows + 0.5 - size / 2) * units_per_pixel
    if len(within):
        layer = queries[within] - (0, 0, level)
        layer[:, 2] *= _FLATTENING
        tree = cKDTree(layer)
        gap = float(np.median(tree.query(layer, [min(2, len(layer))])[0]))
        places = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
        distance, nearest = tree.query(places, distance_upper_bound=max(_REACH * gap, 2 * units_per_pixel))
        found = np.isfinite(distance)
        inside = data.occupancy.occupied[within][np.minimum(nearest, len(within) - 1)]
        shown = np.where(inside[:, None], _INSIDE, _OUTSIDE)
        picture.reshape(-1, 3)[found] = shown[found]
    near = surface[np.abs(surface[:, 2] - level) <= half / 4]
    column = np.floor((near[:, 0] - centre[0]) / units_per_pixel + size / 2).astype(int)
    row = np.floor((centre[1] - near[:, 1]) / units_per_pixel + size / 2).astype(int)
    visible = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    picture[row[visible], column[visible]] = _SURFACE_DOT
    return picture


def _upright(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) y up -> (N, 3) float64 z up, in units."""
    return UnitFrame(np.zeros(3), 1.0).to_world(vectors)


def _layer(surface: np.ndarray, queries: np.ndarray) -> tuple[float, float]:
    """Height of the slice, and how far the queries reach above and below it; the thinnest that has enough queries."""
    low, high = surface[:, 2].min(), surface[:, 2].max()
    level = float(low + _SLICE_SHARE * (high - low))
    off = np.sort(np.abs(queries[:, 2] - level))
    thickest = _THICKEST_SLICE * float(np.ptp(surface, axis=0).max())
    return level, min(float(off[min(_SLICE_POINTS, len(off)) - 1]), thickest)


def _slice_window(data: ModelData, size: int) -> tuple[np.ndarray, float]:
    """The middle (2,) of a slice's picture, and the units in one of its pixels."""
    surface = _upright(data.surface.points_unit)[:, :2]
    low, high = surface.min(axis=0), surface.max(axis=0)
    return (low + high) / 2, float(max((high - low).max() * 1.12, 1e-6)) / size


def _plan_share(points: np.ndarray, low: float, high: float) -> float:
    """Share of the cells of the plan with points that have some between two heights, given as shares of the extent."""
    origin, extent = points.min(axis=0), np.maximum(np.ptp(points, axis=0), 1e-6)
    relative = (points - origin) / extent
    cells = np.minimum((relative[:, :2] * _PLAN_CELLS).astype(int), _PLAN_CELLS - 1) @ (_PLAN_CELLS, 1)
    between = (relative[:, 2] >= low) & (relative[:, 2] <= high)
    return len(np.unique(cells[between])) / len(np.unique(cells))


def _is_flat(points: np.ndarray) -> bool:
    """Whether a ground covers most of the plan of something low: it is seen better from higher up."""
    low = np.ptp(points[:, 2]) < _LOW_SHARE * np.ptp(points[:, :2], axis=0).max()
    return bool(low) and _plan_share(points, 0.0, 0.12) > _COVER


def _is_room(points: np.ndarray, occupancy: OccupancySamples | None) -> bool:
    """Whether there are a floor and a roof, both over most of the plan, walls around and mostly air between them."""
    if _plan_share(points, 0.0, 0.12) <= _COVER or _plan_share(points, 0.8, 1.0) <= _COVER:
        return False
    low, high = points.min(axis=0), points.max(axis=0)
    middle = points[np.abs(points[:, 2] - (low[2] + high[2]) / 2) < _WALL_BAND * (high[2] - low[2])]
    if len(middle) == 0 or (np.ptp(middle, axis=0) < _WALL_REACH * (high - low))[:2].any():
        return False
    if occupancy is None:
        return _is_flat(points)
    queries = _upright(occupancy.points_unit)
    within = ((queries >= points.min(axis=0)) & (queries <= points.max(axis=0))).all(axis=1)
    return bool(within.any()) and float(occupancy.occupied[within].mean()) < _HOLLOW_SHARE


def _height_colours(heights: np.ndarray) -> np.ndarray:
    share = (heights - heights.min()) / max(float(np.ptp(heights)), 1e-6) * (len(_HEIGHT_COLOURS) - 1)
    stops = np.arange(len(_HEIGHT_COLOURS))
    return np.stack([np.interp(share, stops, channel) for channel in _HEIGHT_COLOURS.T], axis=1).astype(np.uint8)


def _label_colours(labels: np.ndarray) -> np.ndarray:
    palette = np.array(_LABEL_COLOURS, dtype=np.uint8)
    return np.where(labels[:, None] < 0, np.array(_PLANES, dtype=np.uint8), palette[labels % len(palette)])


def _scale_bar(draw: ImageDraw.ImageDraw, data: ModelData, left: int, top: int) -> None:
    """A round length in the corner of the slice that begins at (left, top)."""
    if data.occupancy is None:
        write_line(draw, (left + 12, top + 12), "no occupancy", 14, FAINT, _SLICE_PIXELS)
        return
    _, units_per_pixel = _slice_window(data, _SLICE_PIXELS)
    unit, factor = ("m", data.frame.metres_per_unit) if data.frame else ("of the cube", 1.0)
    length = round_length(_SLICE_PIXELS / 3 * units_per_pixel * factor)
    x, y = left + 10, top + _PANEL_HEIGHT - 10
    pixels = round(length / factor / units_per_pixel)
    text = f"{length:g} {unit}"
    wide = max(pixels, round(draw.textlength(text, font=ImageFont.load_default(13))))
    draw.rectangle((x - 4, y - 21, x + wide + 4, y + 5), fill=(255, 255, 255))
    draw.line((x, y, x + pixels, y), fill=INK, width=3)
    write_line(draw, (x, y - 20), text, 13, INK, _SLICE_PIXELS)


def _legend(
    draw: ImageDraw.ImageDraw, entries: Sequence[SheetEntry], names: Mapping[int, str], top: int, width: int
) -> None:
    """What the colours mean, on two lines at most."""
    used: set[int] = set()
    for entry in entries:
        if entry.data.surface.semantics is not None:
            used.update(np.unique(entry.data.surface.semantics).tolist())
    items = [(_colour_of(label), names.get(label, f"class {label}")) for label in sorted(used)]
    if any(entry.data.occupancy is not None for entry in entries):
        items += [(_INSIDE, "slice: inside"), (_OUTSIDE, "outside"), (_SURFACE_DOT, "surface points")]
    x = _GAP
    if any(entry.data.surface.semantics is None for entry in entries):
        x += write_line(draw, (x, top), "height: low", 15, INK, width) + 8
        bar = _height_colours(np.arange(90.0)).tolist()
        for number, colour in enumerate(bar):
            draw.line((x + number, top, x + number, top + 16), fill=tuple(colour))
        x += len(bar) + 8
        x += write_line(draw, (x, top), "high", 15, INK, width) + 26
    for colour, name in items:
        if x + 22 + draw.textlength(name, font=ImageFont.load_default(15)) > width - _GAP:
            x, top = _GAP, top + 24
        draw.rectangle((x, top, x + 16, top + 16), fill=colour, outline=FAINT)
        x += 22 + write_line(draw, (x + 22, top), name, 15, INK, width) + 26


def _colour_of(label: int) -> tuple[int, int, int]:
    red, green, blue = _label_colours(np.array([label]))[0].tolist()
    return red, green, blue
