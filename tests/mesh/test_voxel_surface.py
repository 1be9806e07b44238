"""The surface of voxels: closed, facing out, exactly around what is occupied."""

from __future__ import annotations

import numpy as np

from sparse_convonet.mesh.topology import is_watertight
from sparse_convonet.mesh.voxel_surface import surface_of_voxels
from sparse_convonet.mesh.winding import WindingNumbers


def test_any_voxels_have_their_volume_area_and_inside(rng: np.random.Generator) -> None:
    occupied = rng.random((4, 5, 6)) > 0.6
    mesh = surface_of_voxels(occupied)
    padded = np.pad(occupied, 1).astype(int)
    squares = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in range(3))
    assert len(mesh.faces) == 2 * squares
    assert np.isclose(mesh.to_trimesh().area, squares) and np.isclose(mesh.to_trimesh().volume, occupied.sum())
    centres = np.argwhere(np.ones_like(occupied)) + 0.5
    assert np.array_equal(WindingNumbers(mesh.vertices, mesh.faces).occupied(centres), occupied.reshape(-1))


def test_a_block_is_watertight_with_shared_vertices() -> None:
    mesh = surface_of_voxels(np.ones((2, 1, 3), dtype=bool))
    assert is_watertight(mesh.faces, len(mesh.vertices)) and len(mesh.vertices) == 24
    assert len(surface_of_voxels(np.zeros((2, 2, 2), dtype=bool)).faces) == 0
