"""Stage floor_plan: contours of rasters as polygons, between the places of the raster, straightened."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from skimage.measure import find_contours

from sparse_convonet.floor_plan.sections import Raster


def polygons_where(values: np.ndarray, raster: Raster, tolerance_m: float) -> MultiPolygon:
    """Where values (X, Y) are above 0, in the world: marching squares, then Douglas and Peucker's simplification.

    tolerance_m: how far that may move the outline; holes stay holes, and nothing crosses itself.
    """
    padded = np.pad(values.astype(np.float64), 1, constant_values=-1.0)
    rings = [raster.to_world(ring - 1) for ring in find_contours(padded, 0.0) if len(ring) > 3]
    area = shapely.build_area(shapely.geometrycollections([shapely.linestrings(ring) for ring in rings]))
    return _many(shapely.simplify(area, tolerance_m))


def room_polygon(room: np.ndarray, wall: np.ndarray, raster: Raster, tolerance_m: float) -> Polygon:
    """The largest polygon around places of a room (X, Y) bool: along walls where their logits (X, Y) cross 0, beside other
    free places half a step before them."""
    rows, columns = (np.flatnonzero(room.any(axis=axis)) for axis in (1, 0))
    box = np.s_[max(0, rows[0] - 2) : rows[-1] + 3, max(0, columns[0] - 2) : columns[-1] + 3]
    inside, logits = room[box], wall[box]
    values = np.where(inside, -logits, np.where(logits > 0, -logits, -np.abs(logits).max()))
    part = Raster(raster.to_world(np.array([[box[0].start, box[1].start]]))[0], raster.step_m, inside.shape)
    found = polygons_where(values, part, tolerance_m)
    return max(found.geoms, key=lambda polygon: polygon.area)


def _many(area: shapely.Geometry) -> MultiPolygon:
    parts = [part for part in shapely.get_parts(area) if isinstance(part, Polygon) and not part.is_empty]
    return MultiPolygon(parts)
