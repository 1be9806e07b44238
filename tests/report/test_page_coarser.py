from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.raycast import TriangleScene
from sparse_convonet.report.page_coarser import coarser_mesh
from sparse_convonet.structures import Mesh


def ball(radius: float = 2.0) -> Mesh:
    """20,480 faces, far from the origin, coloured by place."""
    made = trimesh.creation.icosphere(subdivisions=5, radius=radius)
    colours = np.rint((made.vertices / radius + 1) * 127).astype(np.uint8)
    return Mesh(made.vertices + [5e5, 5.3e6, 0], np.asarray(made.faces, dtype=np.int64), colours=colours)


@pytest.mark.parametrize("most_collapsed", [8_000_000, 9_000])
def test_a_ball_stays_a_ball_with_its_colours(most_collapsed: int) -> None:
    mesh = ball()
    coarse, nearest = coarser_mesh(mesh, 4000, most_collapsed)
    assert 2000 < len(coarse.faces) <= 4000
    # Cells as wide as the edges of 9,000 faces move its vertices along the surface, and to the inside of chords.
    error = TriangleScene(coarse.vertices, coarse.faces).nearest(mesh.vertices)[0]
    assert error.max() < 0.06
    assert coarse.colours is not None and mesh.colours is not None
    np.testing.assert_array_equal(coarse.colours, mesh.colours[nearest])
    assert np.linalg.norm(mesh.vertices[nearest] - coarse.vertices, axis=1).max() < 0.1


def test_merging_alone_stays_below_the_faces_asked_for() -> None:
    coarse, _ = coarser_mesh(ball(), 8_000, 3_000)
    assert 1000 < len(coarse.faces) <= 3_000
