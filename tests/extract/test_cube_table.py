from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sparse_convonet.extract.cube_table import EDGE_ENDS, FACE_CORNERS, cube_table


def _triangles(case: int) -> np.ndarray:
    table = cube_table()
    return table.edges[table.starts[case] : table.starts[case] + table.counts[case]]


def _crossing_edges(case: int) -> set[int]:
    return {edge for edge, (a, b) in enumerate(EDGE_ENDS) if (case >> a & 1) != (case >> b & 1)}


def _on_one_face(first: int, second: int) -> bool:
    corners = {*EDGE_ENDS[first].tolist(), *EDGE_ENDS[second].tolist()}
    return any(corners <= set(face) for face in FACE_CORNERS)


def test_every_case_uses_exactly_its_crossing_edges() -> None:
    for case in range(256):
        assert set(_triangles(case).ravel().tolist()) == _crossing_edges(case)


def _border_on_face(case: int, face: tuple[int, ...]) -> set[tuple[int, int]]:
    """Directed triangle edges without a partner, among those that lie in one face of the cube."""
    directed = [(int(t[n]), int(t[(n + 1) % 3])) for t in _triangles(case) for n in range(3)]
    assert len(set(directed)) == len(directed)
    border = {(a, b) for a, b in directed if (b, a) not in directed}
    in_face = {edge for edge, ends in enumerate(EDGE_ENDS) if set(ends.tolist()) <= set(face)}
    return {(a, b) for a, b in border if a in in_face and b in in_face}


def test_cells_that_agree_on_a_face_continue_each_other_there() -> None:
    # For each face, each pattern of its four corners, and all cells with that pattern on either side of it.
    for axis in range(3):
        low_face, high_face = FACE_CORNERS[2 * axis], FACE_CORNERS[2 * axis + 1]
        step = 1 << axis
        moved = {edge: _edge_between(a | step, b | step) for edge, (a, b) in enumerate(EDGE_ENDS) if not (a | b) & step}
        for pattern in range(16):
            high_corners = [corner | step for corner in low_face]
            below = [case for case in range(256) if _pattern(case, high_corners) == pattern]
            above = [case for case in range(256) if _pattern(case, low_face) == pattern]
            borders = {frozenset(_border_on_face(case, high_face)) for case in below}
            borders |= {frozenset((moved[b], moved[a]) for a, b in _border_on_face(case, low_face)) for case in above}
            assert len(borders) == 1


def _pattern(case: int, corners: tuple[int, ...] | list[int]) -> int:
    return sum((case >> corner & 1) << n for n, corner in enumerate(corners))


def _edge_between(a: int, b: int) -> int:
    return next(edge for edge, ends in enumerate(EDGE_ENDS) if set(ends.tolist()) == {a, b})


def test_edges_within_a_cell_do_not_lie_in_its_faces() -> None:
    for case in range(256):
        directed = {(int(t[n]), int(t[(n + 1) % 3])) for t in _triangles(case) for n in range(3)}
        inner = {(a, b) for a, b in directed if (b, a) in directed}
        assert not any(_on_one_face(a, b) for a, b in inner)


@pytest.mark.parametrize("corner", range(8))
def test_the_triangle_of_a_single_corner_faces_away_from_it(corner: int) -> None:
    position = (np.arange(8)[:, None] >> np.arange(3)) & 1
    (triangle,) = _triangles(1 << corner)
    a, b, c = position[EDGE_ENDS[triangle]].mean(axis=1)
    assert np.cross(b - a, c - a) @ (a - position[corner]) > 0


def test_on_an_ambiguous_face_the_inside_corners_are_joined() -> None:
    # Two inside corners across a face: one piece of surface with four sides, not two separate triangles.
    for face in FACE_CORNERS:
        for a, b in combinations(face, 2):
            if bin(a ^ b).count("1") == 2:
                case = (1 << a) | (1 << b)
                assert len(_triangles(case)) == 4
                assert len(_crossing_edges(case)) == 6
