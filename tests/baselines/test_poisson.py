"""Screened Poisson: closed, outward, where the points are, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.baselines.poisson import octree
from sparse_convonet.baselines.reconstruction import reconstruct_baseline
from sparse_convonet.config.baselines import PoissonSettings
from sparse_convonet.mesh.topology import face_areas, mesh_statistics
from sparse_convonet.structures import PointCloud
from tests.baselines.spheres import AREA, VOLUME, moved, radii, signed_volume, sphere

SHIFT = np.array([1_000_000.0, -3_000_000.0, 2_000_000.0])


def test_a_sphere_with_given_normals_becomes_one_closed_sphere_facing_out() -> None:
    result = reconstruct_baseline(sphere(), PoissonSettings(depth=6))
    statistics = mesh_statistics(result.mesh)
    assert statistics.watertight and statistics.components == 1 and statistics.euler_number == 2
    assert signed_volume(result.mesh) == pytest.approx(VOLUME, rel=0.02)
    assert np.abs(radii(result.mesh) - 1).max() < 0.01
    assert result.normals_from == "given"
    assert set(result.seconds) == {"normals", "surface"} and min(result.seconds.values()) >= 0


@pytest.mark.parametrize(("noise", "tolerance"), [(0.001, 0.01), (0.01, 0.04)])
def test_a_noisy_sphere_with_estimated_normals_becomes_the_same(noise: float, tolerance: float) -> None:
    settings = PoissonSettings(depth=5, normals="estimated")
    result = reconstruct_baseline(sphere(noise=noise), settings)
    assert mesh_statistics(result.mesh).watertight
    assert signed_volume(result.mesh) == pytest.approx(VOLUME, rel=0.02)
    assert np.abs(radii(result.mesh) - 1).max() < tolerance
    assert result.normals_from == "estimated, oriented by tangent planes"


def test_normals_that_point_in_turn_the_faces() -> None:
    cloud = sphere(2000)
    assert cloud.normals is not None
    inward = reconstruct_baseline(PointCloud(cloud.points, normals=-3 * cloud.normals), PoissonSettings(depth=5))
    assert signed_volume(inward.mesh) == pytest.approx(-VOLUME, rel=0.02)


def test_the_same_points_give_the_same_bits() -> None:
    settings = PoissonSettings(depth=6, normals="estimated")
    first, second = (reconstruct_baseline(sphere(noise=0.01), settings).mesh for _ in range(2))
    assert np.array_equal(first.vertices, second.vertices)
    assert np.array_equal(first.faces, second.faces)


@pytest.mark.parametrize("settings", [PoissonSettings(depth=5), PoissonSettings(depth=5, trim_quantile=0.1)])
def test_a_scan_a_thousand_kilometres_away_gives_the_same_mesh_there(settings: PoissonSettings) -> None:
    here = reconstruct_baseline(sphere(2000), settings).mesh
    there = reconstruct_baseline(moved(sphere(2000), SHIFT), settings).mesh
    assert np.array_equal(there.faces, here.faces)
    assert np.abs(there.vertices - SHIFT - here.vertices).max() < 2e-9  # rounding of coordinates of millions


def test_the_cell_keeps_its_size_when_the_units_of_the_points_change() -> None:
    metres = sphere(2000)
    millimetres = PointCloud(metres.points * 1024, normals=metres.normals)  # exact in binary
    mesh = reconstruct_baseline(metres, PoissonSettings(depth=None, cell=0.0625)).mesh
    scaled = reconstruct_baseline(millimetres, PoissonSettings(depth=None, cell=64.0)).mesh
    assert np.array_equal(mesh.faces, scaled.faces)
    assert np.abs(mesh.vertices * 1024 - scaled.vertices).max() < 0.1
    edges = np.linalg.norm(mesh.vertices[mesh.faces[:, 0]] - mesh.vertices[mesh.faces[:, 1]], axis=1)
    assert np.median(edges) == pytest.approx(0.0625, rel=0.1)


@pytest.mark.parametrize(("side", "cell", "depth"), [(10.0, 0.1, 7), (10.0, 11 / 128, 7), (10.0, 11 / 129, 8)])
def test_a_wanted_cell_is_met_exactly_by_the_least_octree_with_a_margin(side: float, cell: float, depth: int) -> None:
    found, scale = octree(side, PoissonSettings(depth=None, cell=cell))
    assert found == depth
    assert scale * side / 2**found == pytest.approx(cell, rel=1e-12)
    assert 1.1 * (1 - 1e-12) <= scale < 2.2


@pytest.mark.parametrize(("cell", "depth"), [(100.0, 5), (1e-6, 14)])
def test_cells_beyond_what_is_possible_take_the_nearest_depth_and_say_so(
    cell: float, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert octree(10.0, PoissonSettings(depth=None, cell=cell)) == (depth, 1.1)
    assert f"depth {depth} has cells of" in caplog.text


def test_trimming_removes_what_poisson_invents_behind_half_a_sphere() -> None:
    whole = sphere()
    half = whole.select(whole.points[:, 2] > 0)
    closed = reconstruct_baseline(half, PoissonSettings(depth=6)).mesh
    trimmed = reconstruct_baseline(half, PoissonSettings(depth=6, trim_quantile=0.1)).mesh
    assert face_areas(closed).sum() > 1.3 * AREA / 2
    assert face_areas(trimmed).sum() == pytest.approx(AREA / 2, rel=0.02)
    assert trimmed.vertices[:, 2].min() > -0.1 > closed.vertices[:, 2].min()
    assert np.abs(radii(trimmed) - 1).max() < 0.04
    assert np.array_equal(np.unique(trimmed.faces), np.arange(len(trimmed.vertices)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"depth": 6, "cell": 0.1}, "Poisson: expected either depth or cell, found depth 6 and cell 0.1; set one to"),
        ({"depth": None}, "found depth None and cell None"),
        ({"depth": 4}, "Poisson: expected a depth of 5 to 14, found 4; 8 gives 256 cells a side"),
        ({"depth": None, "cell": 0.0}, "Poisson: cell: expected a positive number, found 0.0"),
        ({"depth": None, "cell": float("nan")}, "Poisson: cell: expected a positive number, found nan"),
        ({"trim_quantile": 1.0}, "expected a trim_quantile from 0 to below 1, found 1.0; 0 leaves all"),
        ({"threads": 0}, "expected at least one thread, found 0"),
        ({"neighbours": 2}, "neighbours: expected at least 3, for a plane, found 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PoissonSettings(**arguments)
