"""Points on a mesh are uniform by area, reproducible, and carry normals and colours."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh import surface_sampling
from sparse_convonet.mesh.surface_sampling import MIN_SAMPLES, sample_faces, sample_mesh
from sparse_convonet.structures import Mesh


def _box(edges: tuple[float, float, float]) -> Mesh:
    solid = trimesh.creation.box(edges)
    return Mesh(np.asarray(solid.vertices), np.asarray(solid.faces))


def test_each_side_of_a_box_gets_its_share_of_the_area(rng: np.random.Generator) -> None:
    edges = np.array([4.0, 2.0, 1.0])
    cloud = sample_mesh(_box((4.0, 2.0, 1.0)), 0.02, rng)
    area = 2 * (edges[0] * edges[1] + edges[1] * edges[2] + edges[0] * edges[2])
    assert len(cloud) == pytest.approx(area / 0.02**2, abs=1)
    for axis in range(3):
        for side in (-1, 1):
            on_side = np.abs(cloud.points[:, axis] - side * edges[axis] / 2) < 1e-12
            expected = edges.prod() / edges[axis] / area
            assert on_side.mean() == pytest.approx(expected, abs=4 / len(cloud))
            assert cloud.normals is not None
            assert np.allclose(cloud.normals[on_side], side * np.eye(3)[axis], atol=1e-6)


def test_points_within_a_triangle_are_uniform(rng: np.random.Generator) -> None:
    mesh = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    x, y, _ = sample_mesh(mesh, 0.001, rng).points.T
    assert x.min() >= 0 and y.min() >= 0 and (x + y).max() <= 1 + 1e-12
    tolerance = 5 / np.sqrt(len(x))
    for low in (0.0, 0.2, 0.5, 0.8):  # the part with x > low is a similar triangle
        assert (x > low).mean() == pytest.approx((1 - low) ** 2, abs=tolerance)
        assert (y > low).mean() == pytest.approx((1 - low) ** 2, abs=tolerance)


def test_the_seed_decides_the_points() -> None:
    mesh = _box((1.0, 1.0, 1.0))
    first, again, other = (sample_mesh(mesh, None, np.random.default_rng(seed)).points for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_number_of_points_is_bounded(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert surface_sampling.MAX_SAMPLES == 5_000_000
    monkeypatch.setattr(surface_sampling, "MAX_SAMPLES", 20_000)
    assert len(sample_mesh(_box((0.01, 0.01, 0.01)), None, rng)) == MIN_SAMPLES
    assert len(sample_mesh(_box((1000.0, 1000.0, 1000.0)), None, rng)) == 20_000


def test_colours_are_interpolated_between_corners(rng: np.random.Generator) -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    colours = np.array([[0, 0, 9], [255, 0, 9], [0, 255, 9]], dtype=np.uint8)
    cloud = sample_mesh(Mesh(corners, np.array([[0, 1, 2]]), None, colours), 0.01, rng)
    assert cloud.colours is not None
    expected = np.concatenate([cloud.points[:, :2] * 255, np.full((len(cloud), 1), 9)], axis=1)
    assert np.abs(cloud.colours - expected).max() <= 0.5 + 1e-9


def test_faces_without_area_get_no_points_and_a_mesh_without_area_is_refused(rng: np.random.Generator) -> None:
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [np.nan, 0, 0]])
    cloud = sample_mesh(Mesh(corners, np.array([[0, 0, 1], [0, 1, 2], [0, 1, 3]])), 0.01, rng)
    assert np.isfinite(cloud.points).all() and cloud.normals is not None
    assert np.allclose(cloud.normals, [0, 0, 1])
    with pytest.raises(ValueError, match="expected faces with an area, found 1 without"):
        sample_mesh(Mesh(corners, np.array([[0, 0, 1]])), None, rng)


@pytest.mark.parametrize("spacing_m", [0.0, -1.0, np.nan, np.inf])
def test_impossible_spacings_are_refused(rng: np.random.Generator, spacing_m: float) -> None:
    with pytest.raises(ValueError, match="sample spacing: expected a positive number of metres"):
        sample_mesh(_box((1.0, 1.0, 1.0)), spacing_m, rng)


def test_samples_of_faces_say_which_face_they_lie_on(rng: np.random.Generator) -> None:
    mesh = _box((4.0, 2.0, 1.0))
    flat = Mesh(mesh.vertices, np.concatenate([mesh.faces, [[0, 0, 1]]]))  # the last face has no area
    samples = sample_faces(flat, 777, rng)
    assert len(samples.points) == 777 and samples.faces.max() < len(mesh.faces)
    corners = flat.vertices[flat.faces[samples.faces]]
    assert np.allclose(np.einsum("nc,ncd->nd", samples.weights, corners), samples.points)
    assert (samples.weights >= 0).all() and np.allclose(samples.weights.sum(axis=1), 1)
    assert np.allclose(samples.normals, mesh.to_trimesh().face_normals[samples.faces], atol=1e-6)


def test_a_draw_at_the_very_end_stays_off_a_last_face_without_area() -> None:
    class Highest:
        """Draws the largest number below 1."""

        def random(self, size: tuple[int, ...] | None = None) -> np.ndarray:
            return np.full(size or (), np.nextafter(1.0, 0.0))

    mesh = _box((1.0, 1.0, 1.0))
    flat = Mesh(mesh.vertices, np.concatenate([mesh.faces, [[0, 0, 1]]]))
    samples = sample_faces(flat, 3, Highest())  # type: ignore[arg-type]
    assert samples.faces.max() == len(mesh.faces) - 1 and np.isfinite(samples.normals).all()
