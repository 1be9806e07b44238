"""Stage mesh: marching cubes over the crossing cells alone; vertices belong to lattice edges and are shared."""

from __future__ import annotations

import numpy as np

from sparse_convonet.engine.threads import run_ranges
from sparse_convonet.mesh.cube_table import EDGE_ENDS, cube_table
from sparse_convonet.mesh.lattice import LatticeLevel, padded_rows, parts_of
from sparse_convonet.mesh.marching_cubes_numba import count_rows, number_rows, write_faces, write_vertices


def marching_cubes(
    level: LatticeLevel, threshold: float, interpolation_margin: float, cell: float, lattice_offset: float
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 in field units and faces (F, 3) int64, counter-clockwise from outside.

    Inside is logit > threshold.  There is exactly one vertex on each lattice edge that crosses, kept
    `interpolation_margin` (share of an edge) away from both ends, so that no face has zero area; lattice point i
    lies at i * cell + lattice_offset.  Vertices are in the order of their lattice edges, faces of their cells.  The
    surface is closed wherever the crossing cells are complete (see cube_table).
    """
    table = cube_table()
    blocks = np.argsort(level.index.keys)
    keys = level.index.keys[blocks]
    places = np.empty(len(blocks), dtype=np.int64)
    places[blocks] = np.arange(len(blocks))
    padded = padded_rows(level, blocks)
    edges = np.empty((len(blocks), 8, 8), dtype=np.int32)
    rows = np.empty((len(blocks), 8, 8, 2), dtype=np.int64)
    parts = parts_of(len(blocks))
    run_ranges(
        lambda part, begin, end: count_rows(
            blocks, padded, level.cells, level.crossing, table.counts, edges, rows, begin, end
        ),
        len(blocks),
        parts,
    )
    vertex_count, face_count = number_rows(keys, rows)
    vertices, faces = np.empty((vertex_count, 3)), np.empty((face_count, 3), dtype=np.int64)
    position = (float(threshold), float(interpolation_margin), float(cell), float(lattice_offset))

    def write(part: int, begin: int, end: int) -> None:
        write_vertices(blocks, keys, level.neighbours, edges, rows, level.logits, *position, vertices, begin, end)
        write_faces(
            blocks,
            places,
            level.neighbours,
            padded,
            level.crossing,
            edges,
            rows,
            table.counts,
            table.starts,
            table.edges,
            EDGE_ENDS[:, 0].copy(),
            np.zeros((2, 9, 9, 2), dtype=np.int64),
            faces,
            begin,
            end,
        )

    run_ranges(write, len(blocks), parts)
    return vertices, faces
