"""Clouds of other packages become ours without losing precision, colours or normals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from sparse_convonet.io.conversion import as_point_cloud
from sparse_convonet.structures import Mesh, PointCloud

FAR = np.array([[500000.1250001, -0.1, 3.0], [500000.25, 1e-17, -4.0]])
COLOURS = np.array([[0, 128, 255], [1, 2, 3]], dtype=np.uint8)
NORMALS = np.array([[0, 0, 1], [0, 1, 0]], dtype=np.float32)


def test_arrays_lists_and_tensors_are_copied_as_doubles() -> None:
    for source in (FAR, FAR.tolist(), torch.from_numpy(FAR), np.asfortranarray(FAR)):
        cloud = as_point_cloud(source)
        assert np.array_equal(cloud.points, FAR) and cloud.points.dtype == np.float64
        assert not np.shares_memory(cloud.points, FAR)
    assert as_point_cloud(FAR.astype(np.float32)).points.dtype == np.float64


def test_our_own_cloud_passes_through() -> None:
    cloud = PointCloud(FAR, COLOURS, NORMALS)
    assert as_point_cloud(cloud) is cloud


def test_open3d_legacy_clouds() -> None:
    open3d = pytest.importorskip("open3d")
    source = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(FAR))
    assert as_point_cloud(source).colours is None and as_point_cloud(source).normals is None
    source.colors = open3d.utility.Vector3dVector(COLOURS / 255)
    source.normals = open3d.utility.Vector3dVector(NORMALS.astype(float))
    cloud = as_point_cloud(source)
    assert np.array_equal(cloud.points, FAR)
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)
    assert cloud.normals is not None and np.array_equal(cloud.normals, NORMALS)


@pytest.mark.parametrize("colours", [COLOURS, (COLOURS / 255).astype(np.float32)])
def test_open3d_tensor_clouds(colours: np.ndarray) -> None:
    open3d = pytest.importorskip("open3d")
    source = open3d.t.geometry.PointCloud(open3d.core.Tensor(FAR))
    source.point.colors = open3d.core.Tensor(colours)
    source.point.normals = open3d.core.Tensor(NORMALS)
    cloud = as_point_cloud(source)
    assert np.array_equal(cloud.points, FAR)
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)
    assert cloud.normals is not None and np.array_equal(cloud.normals, NORMALS)


def test_trimesh_clouds() -> None:
    cloud = as_point_cloud(trimesh.PointCloud(FAR))
    assert np.array_equal(cloud.points, FAR)
    cloud = as_point_cloud(trimesh.PointCloud(FAR, colors=COLOURS))
    assert cloud.colours is not None and np.array_equal(cloud.colours, COLOURS)


def test_meshes_are_sampled_on_their_surface_with_the_seed() -> None:
    solid = trimesh.creation.box((2.0, 2.0, 2.0))
    ours = Mesh(np.asarray(solid.vertices), np.asarray(solid.faces))
    for source in (solid, ours):
        cloud = as_point_cloud(source, sample_spacing_m=0.03)
        assert len(cloud) == pytest.approx(24 / 0.03**2, abs=1)
        assert np.abs(np.abs(cloud.points).max(axis=1) - 1).max() < 1e-12
        assert np.array_equal(cloud.points, as_point_cloud(ours, seed=0, sample_spacing_m=0.03).points)
        assert not np.array_equal(cloud.points, as_point_cloud(ours, seed=1, sample_spacing_m=0.03).points)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((5, 4)), r"expected an array of shape \(N, 3\), found \(5, 4\); pass the columns"),
        (np.zeros(3), r"found \(3,\)"),
        (np.zeros((0, 3)), "expected at least one point, found none"),
        ("scan.ply", r"expected an array \(N, 3\), an open3d or trimesh cloud .* found str"),
        (object(), "found object; convert it to an array first"),
        ([[1, 2, 3], [4, 5]], "found list"),
        (None, "found"),
        (np.ones((4, 3), dtype=complex), "found complex numbers; convert it to an array first"),
    ],
)
def test_anything_else_is_refused_with_what_was_found(source: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_point_cloud(source)


def test_open3d_objects_that_are_no_clouds_are_refused() -> None:
    open3d = pytest.importorskip("open3d")
    with pytest.raises(ValueError, match="found TriangleMesh|found LineSet"):
        as_point_cloud(open3d.t.geometry.LineSet())
