"""Normals: across the surface, all to one side of it, and which side; what points are refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sparse_convonet.baselines.oriented_normals import with_estimated_normals, with_normals_to_scanners
from sparse_convonet.baselines.reconstruction import reconstruct_baseline
from sparse_convonet.config.baselines import (
    AlphaShapeSettings,
    BallPivotingSettings,
    BaselineSettings,
    PoissonSettings,
    Side,
)
from sparse_convonet.config.strict_yaml import record_from_mapping, record_to_mapping
from sparse_convonet.structures import PointCloud
from tests.baselines.spheres import moved, sphere
from tests.synthetic_scan import ROOM, room_points

PLANE = np.random.default_rng(5).random((200, 3)) * [4, 3, 0]


def _outward(points: np.ndarray, normals: np.ndarray | None) -> np.ndarray:
    assert normals is not None
    return np.einsum("ij,ij->i", points, normals)


@pytest.mark.parametrize(("seen_from", "sign"), [("outside", 1), ("inside", -1)])
def test_all_normals_of_a_sphere_look_to_the_side_it_was_seen_from(seen_from: Side, sign: int) -> None:
    local, source = with_estimated_normals(sphere(2000, noise=0.001, with_normals=False), 20, seen_from)
    assert np.all(sign * _outward(local.points, local.normals) > 0.9)
    assert source == "estimated, oriented by tangent planes"


def test_normals_look_to_the_nearest_viewpoint_in_the_frame_of_the_cloud() -> None:
    shift = np.array([500_000.0, 5_000_000.0, 0.0])
    stations = np.array([[0.4, 0.4, 1.5], [2.5, 2.0, 1.5]])
    cloud = moved(PointCloud(room_points(3000)), shift)
    local, source = with_estimated_normals(cloud, 20, viewpoints=stations + shift)
    points = local.points + local.origin - shift
    nearest = stations[np.linalg.norm(points[:, None] - stations, axis=2).argmin(axis=1)]
    assert local.normals is not None
    assert np.einsum("ij,ij->i", local.normals, nearest - points).min() >= 0
    assert source == "estimated, oriented to viewpoints"


def test_normals_look_to_the_scanner_of_each_point_even_if_another_is_nearer(rng: np.random.Generator) -> None:
    points = room_points(3000)
    points = np.concatenate([points[:101], points])  # some twice, so that rows and points differ by an odd number
    far = np.where(np.arange(len(points))[:, None] % 2 == 0, (0.4, 0.4, 1.5), (2.5, 2.0, 1.5))
    shift = np.array([500_000.0, 5_000_000.0, 0.0])
    cloud = moved(PointCloud(points, scanners=far), shift)
    cloud = PointCloud(cloud.points, scanners=far + shift)
    local, source = with_normals_to_scanners(cloud, 20)
    assert source == "estimated, oriented to the scanners" and len(local.points) == len(local.rows) == 3000
    np.testing.assert_allclose(local.points + local.origin, cloud.points[local.rows], atol=1e-6)
    assert local.normals is not None
    towards = far[local.rows] + shift - cloud.points[local.rows]
    assert np.einsum("ij,ij->i", local.normals, towards).min() > -1e-6
    for scanners in (None, np.full_like(far, np.nan)):
        with pytest.raises(ValueError, match="expected clouds that say where the scanner of each point stood"):
            with_normals_to_scanners(PointCloud(cloud.points, scanners=scanners), 20)
    made = reconstruct_baseline(cloud, PoissonSettings(depth=6, normals="scanners"))
    assert made.normals_from == source and len(made.mesh.faces) > 100


def test_normals_of_a_room_seen_from_inside_look_into_it() -> None:
    points = room_points(8000, noise_m=0.002)
    local, _ = with_estimated_normals(PointCloud(points), 20, "inside")
    assert local.normals is not None
    on_wall = (np.abs(points - [0, 0, 0]) < 0.01).any(axis=1) | (np.abs(points - ROOM) < 0.01).any(axis=1)
    distance_inwards = np.einsum("ij,ij->i", local.normals, ROOM / 2 - points)[on_wall]
    assert (distance_inwards > 0).mean() > 0.97


def test_viewpoints_give_one_side_to_a_plane() -> None:
    local, _ = with_estimated_normals(PointCloud(PLANE), 10, viewpoints=np.array([[1.0, 1.0, -2.0]]))
    assert local.normals is not None
    assert np.allclose(local.normals, [0, 0, -1])


def test_given_normals_of_any_length_count_alike_and_zeros_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    cloud = sphere(1000)
    assert cloud.normals is not None
    lengths = np.random.default_rng(4).integers(1, 4, size=(1000, 1)) * 2.0
    uneven = (cloud.normals * lengths).astype(np.float32)
    uneven[:100] = 0
    settings = BallPivotingSettings()
    with caplog.at_level("INFO"):
        found = reconstruct_baseline(PointCloud(cloud.points, normals=uneven), settings).mesh
    expected = reconstruct_baseline(cloud.select(np.arange(100, 1000)), settings).mesh
    assert np.array_equal(found.faces, expected.faces)
    assert "100 of 1000 points are left out: 100 have no normal" in caplog.text


METHODS: tuple[BaselineSettings, ...] = (PoissonSettings(), BallPivotingSettings(), AlphaShapeSettings())


@pytest.mark.parametrize("settings", METHODS, ids=lambda settings: settings.method)
@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.eye(3), np.ones((9, 3))], ids=["none", "three", "one place"])
def test_fewer_than_four_places_are_refused(points: np.ndarray, settings: BaselineSettings) -> None:
    cloud = PointCloud(points, normals=np.ones_like(points, dtype=np.float32))
    with pytest.raises(ValueError, match="expected at least 4 different points, found [013] among"):
        reconstruct_baseline(cloud, settings)


@pytest.mark.parametrize("settings", METHODS, ids=lambda settings: settings.method)
def test_coordinates_that_are_not_finite_are_refused(settings: BaselineSettings) -> None:
    cloud = sphere(100)
    cloud.points[7, 1] = np.nan
    with pytest.raises(ValueError, match="expected finite coordinates, found 1 of 100 points without"):
        reconstruct_baseline(cloud, settings)


def test_normals_that_are_missing_or_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="found points alone; give normals or set normals: estimated"):
        reconstruct_baseline(sphere(100, with_normals=False), PoissonSettings())
    cloud = sphere(100)
    assert cloud.normals is not None
    cloud.normals[3, 0] = np.inf
    with pytest.raises(ValueError, match="expected finite normals, found 1 of 100 without"):
        reconstruct_baseline(cloud, BallPivotingSettings())


def test_estimating_on_a_plane_without_viewpoints_and_wrong_viewpoints_are_refused() -> None:
    with pytest.raises(ValueError, match="normals by tangent planes: expected points in space, found 200 points on"):
        with_estimated_normals(PointCloud(PLANE), 10)
    with pytest.raises(ValueError, match=r"viewpoints: expected finite numbers of shape \(S, 3\), found shape \(3,\)"):
        with_estimated_normals(PointCloud(PLANE), 10, viewpoints=np.zeros(3))


@dataclass(frozen=True)
class _Experiment:
    baseline: BaselineSettings = PoissonSettings()


@pytest.mark.parametrize("settings", METHODS, ids=lambda settings: settings.method)
def test_settings_survive_their_way_through_yaml(settings: BaselineSettings) -> None:
    written = record_to_mapping(_Experiment(settings))
    assert record_from_mapping(_Experiment, written, "test").baseline == settings
