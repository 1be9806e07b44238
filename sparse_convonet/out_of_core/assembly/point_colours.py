"""Stage out_of_core: vertex colours from the nearest points, of which only those of a box are held; see mesh.colour."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from sparse_convonet.mesh.colour import NEIGHBOURS, blend, has_colour
from sparse_convonet.mesh.query_chunks import query_chunks
from sparse_convonet.out_of_core.assembly.tile_notes import PointSource

_CELL_PER_MARGIN = 8.0  # edge of the cells whose vertices are asked for together


def colours_near(points: PointSource, vertices_world: np.ndarray, margin_m: float) -> np.ndarray:
    """(V, 3) uint8: the colours that mesh.colour.with_colours gives vertices (V, 3) from all points.

    margin_m: how far around the vertices points are looked at first.  Vertices whose nearest points may lie beyond are
    asked for again, those of one cell together, with twice the margin.
    """
    colours = np.zeros((len(vertices_world), 3), dtype=np.uint8)
    count = min(NEIGHBOURS, points.count)
    waiting = [(np.arange(len(vertices_world)), margin_m)] if len(vertices_world) else []
    while waiting:
        rows, margin = waiting.pop()
        unsure = _colour(points, vertices_world, rows, margin, count, colours)
        if len(unsure) == 0:
            continue
        margin *= 2
        cells = np.floor(vertices_world[unsure] / (_CELL_PER_MARGIN * margin)).astype(np.int64)
        _, cell = np.unique(cells, axis=0, return_inverse=True)
        order = np.argsort(cell.ravel(), kind="stable")
        borders = np.flatnonzero(np.diff(cell.ravel()[order])) + 1
        waiting += [(group, margin) for group in np.split(unsure[order], borders)]
    return colours


def _colour(
    points: PointSource, vertices: np.ndarray, rows: np.ndarray, margin: float, count: int, colours: np.ndarray
) -> np.ndarray:
    """Colour the rows whose nearest points are certainly among those of the box around them; returns the other rows."""
    low, high = vertices[rows].min(axis=0) - margin, vertices[rows].max(axis=0) + margin
    holds_all = bool((low <= points.low).all() and (high > points.high).all())
    found = points.within(low, high)
    assert found.colours is not None
    known = has_colour(found.colours)
    places_known, known_colours = found.points_world[known], found.colours[known]
    if holds_all:
        count = min(count, len(places_known))
    if len(places_known) < count:
        return rows
    if count == 0:  # no point of the scan has a colour
        return rows[:0]
    tree = cKDTree(places_known)
    unsure = []
    for part in query_chunks(len(rows)):
        chunk = rows[part]
        places = vertices[chunk]
        distance, nearest = tree.query(places, k=range(1, count + 1), workers=-1)  # both (Q, count)
        to_border = np.minimum(places - low, high - places).min(axis=1)
        sure = (distance[:, -1] < to_border) | holds_all
        colours[chunk[sure]] = blend(distance[sure], known_colours[nearest[sure]])
        unsure.append(chunk[~sure])
    return np.concatenate(unsure)
