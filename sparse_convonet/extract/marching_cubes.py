"""Stage extract: marching cubes over the crossing cells alone; vertices belong to lattice edges and are shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.extract.cube_table import EDGE_ENDS, cube_table
from sparse_convonet.extract.lattice import LatticeLevel, padded_rows, parts_of
from sparse_convonet.extract.marching_cubes_numba import (
    count_rows,
    mark_border_edges,
    number_rows,
    write_faces,
    write_vertex_keys,
    write_vertices,
)
from sparse_convonet.runtime.threads import run_ranges

_EDGE_LOWS = EDGE_ENDS[:, 0].copy()


@dataclass(frozen=True)
class CrossingEdges:
    """The lattice edges that have a vertex, numbered in the order of their points, then axes.

    blocks: (M,) int64 sorted by their `keys` (M,).  places: (B,) where each block stands in `blocks`.  padded, edges,
    rows: as in marching_cubes_numba.
    """

    blocks: np.ndarray
    keys: np.ndarray
    places: np.ndarray
    padded: np.ndarray
    edges: np.ndarray
    rows: np.ndarray
    vertex_count: int
    face_count: int

    @classmethod
    def of(cls, level: LatticeLevel, own: np.ndarray | None = None) -> CrossingEdges:
        """All edges; with own (B,) bool, those of crossing cells in these blocks (the level knows all their corners)."""
        blocks = np.argsort(level.index.keys)
        keys = level.index.keys[blocks]
        places = np.empty(len(blocks), dtype=np.int64)
        places[blocks] = np.arange(len(blocks))
        padded = padded_rows(level, blocks)
        edges = np.empty((len(blocks), 8, 8), dtype=np.int32)
        rows = np.empty((len(blocks), 8, 8, 2), dtype=np.int64)
        counts = cube_table().counts

        def count(part: int, begin: int, end: int) -> None:
            count_rows(blocks, padded, level.cells, level.crossing, counts, edges, rows, begin, end)

        run_ranges(count, len(blocks), parts_of(len(blocks)))
        if own is not None:
            border = (level.neighbours, padded, level.crossing, _EDGE_LOWS, edges, rows)
            mark_border_edges(blocks, places, own[blocks], *border)
        return cls(blocks, keys, places, padded, edges, rows, *number_rows(keys, rows))

    def vertex_keys(self) -> np.ndarray:
        """(V,) int64 ascending: 4 * the key (lattice.pack_lattice) of the lower point of each edge + its axis."""
        vertex_keys = np.empty(self.vertex_count, dtype=np.int64)
        write_vertex_keys(self.keys, self.edges, self.rows, vertex_keys)
        return vertex_keys


def marching_cubes(
    level: LatticeLevel,
    threshold: float,
    interpolation_margin: float,
    cell: float,
    lattice_offset: float,
    crossing: CrossingEdges | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 in field units and faces (F, 3) int64, counter-clockwise from outside.

    Inside is logit > threshold.  There is exactly one vertex on each lattice edge that crosses, kept
    `interpolation_margin` (share of an edge) away from both ends, so that no face has zero area; lattice point i
    lies at i * cell + lattice_offset.  Vertices are in the order of their lattice edges, faces of their cells.  The
    surface is closed wherever the crossing cells are complete (see cube_table).
    """
    table = cube_table()
    found = crossing or CrossingEdges.of(level)
    vertices, faces = np.empty((found.vertex_count, 3)), np.empty((found.face_count, 3), dtype=np.int64)
    position = (float(threshold), float(interpolation_margin), float(cell), float(lattice_offset))
    blocks, edges, rows = found.blocks, found.edges, found.rows

    def write(part: int, begin: int, end: int) -> None:
        write_vertices(blocks, found.keys, level.neighbours, edges, rows, level.logits, *position, vertices, begin, end)
        write_faces(
            blocks,
            found.places,
            level.neighbours,
            found.padded,
            level.crossing,
            edges,
            rows,
            table.counts,
            table.starts,
            table.edges,
            _EDGE_LOWS,
            np.zeros((2, 9, 9, 2), dtype=np.int64),
            faces,
            begin,
            end,
        )

    run_ranges(write, len(blocks), parts_of(len(blocks)))
    return vertices, faces
