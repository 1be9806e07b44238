from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.picture.face_sums import area_over_height, boxes_of_slabs, walls_turn
from sparse_convonet.structures import Mesh


@pytest.fixture
def soup(rng: np.random.Generator) -> Mesh:
    """Faces of all directions, some without area."""
    faces = rng.integers(0, 300, (2000, 3))
    return Mesh(rng.uniform([-4, -3, 0], [5, 9, 6], (300, 3)), faces)


def _normals(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Twice the area (F,), and the unit normals (F, 3); zero for faces without area."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    scaled = np.cross(b - a, c - a)
    length = np.linalg.norm(scaled, axis=1)
    return length, scaled / np.maximum(length, 1e-300)[:, None]


def test_area_over_height_is_that_of_the_faces_one_by_one(soup: Mesh) -> None:
    length, normal = _normals(soup)
    bins = np.floor(soup.vertices[soup.faces, 2].mean(axis=1) / 0.25).astype(int)
    upright = np.abs(normal[:, 2]) < 0.3
    for row, chosen in enumerate([~upright & (normal[:, 2] > 0.9), ~upright & (normal[:, 2] < -0.9), upright]):
        expected = np.bincount(bins[chosen], weights=length[chosen] / 2, minlength=25)
        np.testing.assert_allclose(area_over_height(soup, 0.0, 0.25, 25, 0.9, 0.3)[row], expected, atol=1e-9)
        assert expected.max() > 0


def test_walls_turn_is_the_direction_of_four_times_the_angle(soup: Mesh) -> None:
    length, normal = _normals(soup)
    upright = (np.abs(normal[:, 2]) < 0.3) & (length > 0)
    angle = np.arctan2(normal[upright, 1], normal[upright, 0])
    expected = np.angle((length[upright] * np.exp(4j * angle)).sum()) / 4
    assert walls_turn(soup, 0.3) == pytest.approx(expected, abs=1e-9)


def test_a_level_mesh_has_no_walls() -> None:
    assert walls_turn(Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])), 0.3) is None


def test_boxes_hold_the_faces_of_their_slab_and_no_others(soup: Mesh) -> None:
    few = Mesh(soup.vertices, soup.faces[:40])
    axes = np.array([[0.6, 0.8, 0.0], [-0.4, 0.3, 0.5]])
    slabs = np.array([[0.5, 2.0], [2.5, 2.6], [-3.0, -1.0], [8.0, 9.0], [-10.0, 10.0]])
    boxes = boxes_of_slabs(few, slabs, axes)
    for (low, high), box in zip(slabs, boxes, strict=True):
        z = few.vertices[few.faces, 2]
        vertices = few.vertices[np.unique(few.faces[(z.min(axis=1) < high) & (z.max(axis=1) > low)])]
        if low < -1 < high:
            assert len(vertices) == len(np.unique(few.faces))
        clipped = np.column_stack([vertices[:, :2], vertices[:, 2].clip(low, high)])
        plane = clipped @ axes.T if len(vertices) else np.zeros((1, 2))
        np.testing.assert_allclose(box, [plane.min(axis=0), plane.max(axis=0)], atol=1e-12)
