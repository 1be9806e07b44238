"""Oracle for extract_mesh: the same search cell by cell, with sets and dictionaries of integer triples."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from sparse_convonet.extract.cube_table import EDGE_ENDS, cube_table

Cell = tuple[int, ...]  # x, y, z in finest cells
_CORNERS = [(c & 1, c >> 1 & 1, c >> 2) for c in range(8)]


class NaiveSearch:
    """Cells and lattice points of one extraction; coordinates are in finest cells at every level."""

    def __init__(
        self,
        evaluate: Callable[[np.ndarray], np.ndarray],
        seeds: np.ndarray,  # (M, 3) int
        stride: int,
        points: np.ndarray,  # (N, 3), field coordinates
        cell: float,
        threshold: float,
        offset: float,
    ) -> None:
        self._evaluate, self._stride, self._cell, self._offset = evaluate, stride, cell, offset
        self._threshold = threshold
        self.logits: dict[Cell, np.float32] = {}
        self.asked: list[Cell] = []
        seed_cells = {tuple(int(value) for value in seed) for seed in seeds}
        self._domain = {_sum(seed, step) for seed in seed_cells for step in product((-1, 0, 1), repeat=3)}
        self._point_cells = {tuple(map(int, row)) for row in np.floor((points - offset) / cell)}
        self.cases: dict[Cell, int] = {}  # of the finest cells looked at
        cells = {_scaled(seed, stride) for seed in seed_cells}
        edge = stride
        while True:
            self.cases = self._close(cells, edge)
            if edge == 1:
                break
            with_points = {tuple(value // edge * edge for value in cell) for cell in self._point_cells}
            split = {low for low, case in self.cases.items() if 0 < case < 255 or low in with_points}
            edge //= 2
            cells = {_sum(low, _scaled(corner, edge)) for low in split for corner in _CORNERS}

    def _close(self, cells: set[Cell], edge: int) -> dict[Cell, int]:
        cases: dict[Cell, int] = {}
        while cells:
            corners = {_sum(low, _scaled(corner, edge)) for low in cells for corner in _CORNERS}
            self._learn(corners - self.logits.keys())
            fresh = {low: self._case(low, edge) for low in sorted(cells)}
            cases.update(fresh)
            cells = set()
            for low, case in fresh.items():
                for axis in range(3):
                    for side in (0, 1):
                        on_face = {case >> c & 1 for c in range(8) if (c >> axis & 1) == side}
                        step = [0, 0, 0]
                        step[axis] = edge if side else -edge
                        neighbour = _sum(low, step)
                        if len(on_face) == 2 and neighbour not in cases and self._within(neighbour):
                            cells.add(neighbour)
        return cases

    def _within(self, cell: Cell) -> bool:
        return tuple(value // self._stride for value in cell) in self._domain

    def _case(self, low: Cell, edge: int) -> int:
        logits = [self.logits[_sum(low, _scaled(corner, edge))] for corner in _CORNERS]
        return sum(1 << c for c, logit in enumerate(logits) if logit > np.float32(self._threshold))

    def _learn(self, points: set[Cell]) -> None:
        for point in points:
            self.logits[point] = np.float32(self._threshold - 1.0)
        asked = [point for point in points if all(self._within(_sum(point, _scaled(c, -1))) for c in _CORNERS)]
        self.asked += asked
        positions = np.array(asked, dtype=np.float64).reshape(-1, 3) * self._cell + self._offset
        self.logits.update(zip(asked, self._evaluate(positions.astype(np.float32)), strict=True))

    def mesh(self, margin: float) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) by lattice edge (low end, then axis) and faces (F, 3) by cell."""
        table = cube_table()
        edges: set[tuple[Cell, int]] = set()
        triangles: list[list[tuple[Cell, int]]] = []
        for low, case in sorted(self.cases.items()):
            for row in table.edges[table.starts[case] : table.starts[case] + table.counts[case]].tolist():
                triangle = [(_sum(low, _CORNERS[EDGE_ENDS[edge, 0]]), edge // 4) for edge in row]
                triangles.append(triangle)
                edges.update(triangle)
        numbers = {edge: number for number, edge in enumerate(sorted(edges))}
        vertices = np.array([self._vertex(*edge, margin) for edge in sorted(edges)]).reshape(-1, 3)
        faces = np.array([[numbers[edge] for edge in triangle] for triangle in triangles], dtype=np.int64)
        return vertices, faces.reshape(-1, 3)

    def _vertex(self, low: Cell, axis: int, margin: float) -> np.ndarray:
        step = np.eye(3, dtype=np.int64)[axis]
        start, end = float(self.logits[low]), float(self.logits[_sum(low, step)])
        share = np.clip((self._threshold - start) / (end - start), margin, 1 - margin)
        return (np.array(low) + share * step) * self._cell + self._offset


def _sum(cell: Cell, step: Cell | list[int] | np.ndarray) -> Cell:
    return tuple(int(a) + int(b) for a, b in zip(cell, step, strict=True))


def _scaled(cell: Cell, factor: int) -> Cell:
    return tuple(value * factor for value in cell)
