from __future__ import annotations

import numpy as np
import pytest
import trimesh

from sparse_convonet.mesh.colour import with_colours
from sparse_convonet.mesh.normals import central_differences, with_area_normals, with_field_normals
from sparse_convonet.structures import Mesh, PointCloud
from tests.mesh.analytic_fields import sphere


def _sphere_mesh() -> Mesh:
    shape = trimesh.creation.icosphere(subdivisions=3, radius=5.0)
    return Mesh(np.array(shape.vertices), np.array(shape.faces, dtype=np.int64))


def test_normals_from_the_field_point_outwards_to_a_hundredth_of_a_degree() -> None:
    mesh = _sphere_mesh()
    normals = with_field_normals(mesh, central_differences(sphere((0.0, 0.0, 0.0), 5.0), 0.25)).normals
    assert normals is not None
    assert normals.dtype == np.float32
    assert np.einsum("ij,ij->i", normals, mesh.vertices / 5).min() > np.cos(np.deg2rad(0.01)) - 1e-7


def test_where_the_field_has_no_direction_normals_come_from_the_faces() -> None:
    mesh = _sphere_mesh()
    by_area = with_area_normals(mesh).normals

    def useless(queries: np.ndarray) -> np.ndarray:
        gradient = queries.copy()  # points outwards: the wrong way for a logit that falls outwards
        gradient[::3] = 0
        gradient[1::3] = np.nan
        return gradient

    np.testing.assert_array_equal(with_field_normals(mesh, useless).normals, by_area)
    assert by_area is not None
    assert np.einsum("ij,ij->i", by_area, mesh.vertices / 5).min() > 0.99


def test_normals_of_unused_vertices_are_zero_and_not_nan() -> None:
    mesh = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]]), np.array([[0, 1, 2]]))
    np.testing.assert_array_equal(with_area_normals(mesh).normals, [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 0]])


def test_a_vertex_on_a_point_takes_its_colour_and_one_between_two_their_mean() -> None:
    cloud = PointCloud(np.array([[0.0, 0, 0], [2, 0, 0]]), np.array([[200, 0, 10], [100, 50, 20]], dtype=np.uint8))
    mesh = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0]]), np.array([[0, 1, 2]]))
    coloured = with_colours(mesh, cloud, neighbours=2)
    # At 0.5 the distances are 0.5 and 1.5, the weights 3/4 and 1/4.
    np.testing.assert_array_equal(coloured.colours, [[200, 0, 10], [150, 25, 15], [175, 12, 12]])


def test_colours_do_not_depend_on_the_unit_of_length_and_few_points_suffice(rng: np.random.Generator) -> None:
    mesh = _sphere_mesh()
    cloud = PointCloud(rng.normal(size=(3, 3)), rng.integers(0, 256, (3, 3)).astype(np.uint8))
    metres = with_colours(mesh, cloud, neighbours=8).colours
    millimetres = with_colours(
        Mesh(mesh.vertices * 1024, mesh.faces), PointCloud(cloud.points * 1024, cloud.colours), neighbours=8
    ).colours
    np.testing.assert_array_equal(metres, millimetres)


def test_a_cloud_without_colours_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a point cloud with colours, found 1 points without colours"):
        with_colours(_sphere_mesh(), PointCloud(np.zeros((1, 3))))


def test_a_black_sector_takes_the_colours_around_it(rng: np.random.Generator) -> None:
    mesh = _sphere_mesh()
    points = mesh.vertices + rng.normal(0, 0.01, mesh.vertices.shape)
    colours = np.tile(np.array([200, 100, 50], np.uint8), (len(points), 1))
    colours[points[:, 0] > 0] = 0  # what the camera did not see
    found = with_colours(mesh, PointCloud(points, colours)).colours
    assert found is not None and (found == [200, 100, 50]).all()
    nothing = with_colours(mesh, PointCloud(points, np.zeros_like(colours))).colours
    assert nothing is not None and (nothing == 0).all()
