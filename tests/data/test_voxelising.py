"""A mesh as voxels: exactly those that its surface touches, and what they enclose."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.data.voxelising import voxels_of_mesh
from sparse_convonet.structures import Mesh


def mesh_of(shape: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(shape.vertices, dtype=np.float64), np.asarray(shape.faces))


def clipped_area(triangle: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Area of the part of a triangle (3, 3) in a box, cutting its polygon plane by plane (Sutherland and Hodgman)."""
    polygon = list(triangle)
    for axis in range(3):
        for sign, limit in ((1, high[axis]), (-1, -low[axis])):
            cut = []
            for first, second in zip(polygon, polygon[1:] + polygon[:1], strict=True):
                a, b = sign * first[axis] - limit, sign * second[axis] - limit
                if a <= 0:
                    cut.append(first)
                if (a < 0 < b) or (b < 0 < a):
                    cut.append(first + (second - first) * (a / (a - b)))
            polygon = cut
            if not polygon:
                return 0.0
    around = np.array(polygon) - polygon[0]
    return float(np.linalg.norm(np.cross(around[1:-1], around[2:]).sum(axis=0)) / 2)


def test_surface_voxels_are_those_in_which_faces_have_area(rng: np.random.Generator) -> None:
    corners = rng.uniform(-0.6, 0.6, (12, 3, 3))
    corners[:6] *= 0.2  # small ones too
    mesh = Mesh(corners.reshape(-1, 3), np.arange(36).reshape(-1, 3))
    found = voxels_of_mesh(mesh, 6, filled=False)
    for voxel in np.ndindex(6, 6, 6):
        low = np.array(voxel) / 6 - 0.5
        area = sum(clipped_area(triangle, low, low + 1 / 6) for triangle in corners)
        assert found[voxel] == (area > 1e-12), voxel


def test_a_ball_is_filled_and_its_axes_are_those_of_the_mesh() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.2)
    ball.apply_translation((0.1, -0.2, 0.25))
    filled, shell = (voxels_of_mesh(mesh_of(ball), 32, filled=each) for each in (True, False))
    centres = (np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), axis=-1) + 0.5) / 32 - 0.5
    distance = np.linalg.norm(centres - (0.1, -0.2, 0.25), axis=-1)
    half_diagonal = np.sqrt(3) / 64
    assert filled[distance < 0.195].all() and not filled[distance > 0.2 + half_diagonal].any()
    assert not shell[distance < 0.19 - half_diagonal].any() and (shell & ~filled).sum() == 0


def test_a_box_on_the_borders_of_voxels_touches_both_sides_and_what_lies_beyond_is_left_out() -> None:
    found = voxels_of_mesh(mesh_of(trimesh.creation.box(bounds=[(-0.25, 0, 0), (0.25, 0.25, 0.25)])), 4, filled=False)
    assert found.sum() == 4 * 3 * 3 and found[:, 1:, 1:].all()
    assert not voxels_of_mesh(mesh_of(trimesh.creation.box(bounds=[(0.6, 0, 0), (0.7, 1, 1)])), 4).any()


def test_an_impossible_resolution_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 to 512 along a side, found 0"):
        voxels_of_mesh(mesh_of(trimesh.creation.box()), 0)
