"""Stage mesh: marching cubes over the crossing cells alone; vertices belong to lattice edges and are shared."""

from __future__ import annotations

import numpy as np

from sparse_convonet.engine.threads import run_ranges
from sparse_convonet.mesh import lattice_numba
from sparse_convonet.mesh.cube_table import EDGE_AXIS, EDGE_ENDS, cube_table
from sparse_convonet.mesh.lattice import axis_shift, corner_places, lower_bounds, unpack_lattice

_CELLS_PER_PART = 1 << 16  # that a thread assembles at once


def marching_cubes(
    cells: np.ndarray,  # (M,) int64 sorted keys of the crossing cells (edge 1)
    cases: np.ndarray,  # (M,) uint8, bit c set where corner c is inside
    points: np.ndarray,  # (P,) int64 sorted keys of lattice points, all corners of the cells among them
    logits: np.ndarray,  # (P,) float32
    threshold: float,
    interpolation_margin: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 in lattice units and faces (F, 3) int64, counter-clockwise from outside.

    Inside is logit > threshold.  There is exactly one vertex on each lattice edge that crosses, kept
    `interpolation_margin` (share of an edge) away from both ends, so that no face has zero area.  The surface
    is closed wherever the crossing cells are complete (see cube_table).
    """
    if len(cells) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    places = corner_places(cells, points, stride=1)  # (M, 8)
    vertex_of, low, axis = _number_crossing_edges(places, cases, len(points))
    vertices = _interpolate(low, axis, points, logits, threshold, interpolation_margin)
    return vertices, _assemble_faces(places, cases, vertex_of)


def _number_crossing_edges(
    places: np.ndarray, cases: np.ndarray, point_count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One vertex number per crossing lattice edge, ordered by low end, then axis.

    Returns the numbers as a flat (P * 3,) int32 table indexed by 3 * low end + axis (-1 = no vertex), and
    for each vertex the low end's place (V,) and the axis (V,).
    """
    crossing = np.zeros(3 * point_count, dtype=bool)
    lattice_numba.mark_edges(places, cases, EDGE_ENDS, EDGE_AXIS, crossing)
    slots = np.flatnonzero(crossing)
    vertex_of = np.full(3 * point_count, -1, dtype=np.int32)
    vertex_of[slots] = np.arange(len(slots), dtype=np.int32)
    return vertex_of, slots // 3, slots % 3


def _interpolate(
    low: np.ndarray, axis: np.ndarray, points: np.ndarray, logits: np.ndarray, threshold: float, margin: float
) -> np.ndarray:
    """(V, 3) positions of the threshold on the lattice edges, by linear interpolation."""
    position = unpack_lattice(points[low])
    steps = np.array([axis_shift(n, 1) for n in range(3)])
    high = lower_bounds(points, points[low] + steps[axis])
    start, end = logits[low].astype(np.float64), logits[high].astype(np.float64)
    share = np.clip((threshold - start) / (end - start), margin, 1 - margin)
    vertices = position.astype(np.float64)
    vertices[np.arange(len(vertices)), axis] += share
    return vertices


def _assemble_faces(places: np.ndarray, cases: np.ndarray, vertex_of: np.ndarray) -> np.ndarray:
    """(F, 3) int64: the table's triangles of every cell, in the order of the cells."""
    table = cube_table()
    counts = table.counts[cases]
    faces = np.empty((int(counts.sum()), 3), dtype=np.int64)
    first_face = np.cumsum(counts) - counts  # (M,) where each cell's triangles begin
    arrays = (
        places,
        cases,
        first_face,
        table.starts,
        table.counts,
        table.edges,
        EDGE_ENDS,
        EDGE_AXIS,
        vertex_of,
        faces,
    )
    run_ranges(
        lambda part, begin, end: lattice_numba.fill_faces(*arrays, begin, end),
        count=len(cases),
        parts=1 + len(cases) // _CELLS_PER_PART,
    )
    return faces
