"""Scans whose stations are named: where the rays from them first meet the mesh stands in the report."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import pytest

from sparse_convonet.commands.reconstruct import _parser, station
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.metrics.sides import in_ray_sample
from sparse_convonet.out_of_core.tiles import plan_tiles
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import room_points

STATIONS = (1.5, 1.0, 1.2), (2.3, 2.0, 1.0)  # metres, z up
VOXEL_M = 0.12


def in_scan(points: Any) -> np.ndarray:
    """Metres, z up -> millimetres, y up."""
    return np.asarray(points)[..., [0, 2, 1]] * [1, 1, -1] * 1000


@pytest.fixture
def request_of_two(tmp_path: Path) -> ScanRequest:
    """Two files, each of one station."""
    points = in_scan(room_points(6000))
    inputs = [tmp_path / "a.ply", tmp_path / "b.ply"]
    for path, part in zip(inputs, (points[:2000], points[2000:]), strict=True):
        write_points(path, PointCloud(part))
    stations = [tuple(place) for place in in_scan(STATIONS).tolist()]
    settings = ReconstructionSettings(voxel_size_m=VOXEL_M)
    return ScanRequest(inputs, tmp_path / "out", settings, up="y", scale=0.001, stations=stations)


def measured(request: ScanRequest, points: np.ndarray, stations: np.ndarray) -> dict[str, float]:
    """Shares of the rays to all points (N, 3) from (N, 3), in the frame of the scan, by embree on mesh.ply."""
    mesh = read_mesh(request.out / "mesh.ply")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.asarray(mesh.vertices / 1000, np.float32), np.asarray(mesh.faces, np.uint32))
    way = (points - stations) / 1000
    reach = np.linalg.norm(way, axis=1)
    far = reach > 0.5 + 2 * VOXEL_M
    towards = way[far] / reach[far, None]
    rays = np.hstack([stations[far] / 1000 + 0.5 * towards, towards]).astype(np.float32)
    behind = scene.cast_rays(o3d.core.Tensor(rays))["t_hit"].numpy() + 0.5 - reach[far]
    early, far_early, through = behind < -0.4 * VOXEL_M, behind < -2 * VOXEL_M, behind > 2 * VOXEL_M
    return {"early": early.mean(), "early_far": far_early.mean(), "through": through.mean(), "rays": far.sum()}


def test_the_report_says_where_the_rays_from_the_stations_meet_the_mesh(request_of_two: ScanRequest) -> None:
    whole = reconstruct_scan(request_of_two)["sides"]
    points = in_scan(room_points(6000))
    stations = np.repeat(in_scan(STATIONS), (2000, 4000), axis=0)
    expected = measured(request_of_two, points, stations)
    assert whole["rays"] == expected["rays"] > 4000
    for name in ("early", "early_far", "through"):
        assert whole[name] == pytest.approx(expected[name], abs=1e-3)
    swapped = replace(request_of_two, stations=request_of_two.stations[::-1], overwrite=True)
    assert reconstruct_scan(swapped)["sides"] != whole  # each file has its own


@pytest.mark.parametrize("simplify", [None, 3000])
def test_the_sides_through_the_disk_are_those_in_one_piece(
    request_of_two: ScanRequest, simplify: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (32,))
    settings = replace(request_of_two.settings, simplify_faces=simplify)
    whole = replace(request_of_two, settings=settings)
    tiled = replace(whole, out=whole.out.with_name("tiled"), work=whole.out.with_name("work"))
    report = reconstruct_scan(tiled)
    assert report["tiles"]["count"] > 1 and report["sides"] == reconstruct_scan(whole)["sides"]


def test_one_station_is_that_of_all_inputs_and_none_is_no_word(request_of_two: ScanRequest) -> None:
    one = replace(request_of_two, stations=request_of_two.stations[:1])
    each = replace(one, stations=(*one.stations, *one.stations), overwrite=True)
    assert reconstruct_scan(one)["sides"] == reconstruct_scan(each)["sides"]
    assert reconstruct_scan(replace(one, stations=(), overwrite=True))["sides"] is None


def test_other_numbers_of_stations_and_other_texts_are_refused(request_of_two: ScanRequest) -> None:
    with pytest.raises(ValueError, match=r"--station: expected one, or one for each input \(2\), found 3"):
        reconstruct_scan(replace(request_of_two, stations=[(0.0, 0.0, 0.0)] * 3))
    assert station("-1.5,0,2e1") == (-1.5, 0.0, 20.0)
    for text in ("1,2", "1,2,3,4", "a,b,c", "", "1,nan,2"):
        with pytest.raises(ValueError, match="--station: expected"):
            station(text)


def test_the_sample_of_rays_depends_on_places_alone(rng: np.random.Generator) -> None:
    points = rng.uniform(-20, 20, (40_000, 3))
    chosen = in_ray_sample(points, 1_000_000)
    assert 0.08 < chosen.mean() < 0.12  # one in ten
    order = rng.permutation(len(points))
    assert np.array_equal(in_ray_sample(points[order], 1_000_000), chosen[order])
    assert in_ray_sample(points, 40_000).all()


@pytest.mark.parametrize("far", [1e8, 1e300])
@pytest.mark.filterwarnings("error")
def test_a_station_in_another_frame_is_told_and_says_nothing(
    request_of_two: ScanRequest, far: float, caplog: pytest.LogCaptureFixture
) -> None:
    request = replace(request_of_two, stations=[(far, far, 0.0)])
    with caplog.at_level(logging.WARNING):
        assert reconstruct_scan(request)["sides"] is None
    assert "no point lies 0.5 m to 10 km from --station; is it in the frame and units of the scan?" in caplog.text


def test_an_input_that_is_missing_leaves_nothing_behind_on_the_disk(request_of_two: ScanRequest) -> None:
    inputs = [*request_of_two.inputs, request_of_two.out.with_name("missing.ply")]
    with pytest.raises(FileNotFoundError, match="missing.ply does not exist"):
        reconstruct_scan(replace(request_of_two, inputs=inputs, stations=(), work=request_of_two.out.with_name("work")))
    assert not request_of_two.out.exists()


@pytest.mark.parametrize("was_there", [False, True])
def test_a_run_that_is_stopped_leaves_no_empty_folder(
    request_of_two: ScanRequest, was_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        request_of_two.out.mkdir(exist_ok=True)  # as a file of a temporary name would have it
        raise KeyboardInterrupt

    if was_there:
        request_of_two.out.mkdir()
    monkeypatch.setattr("sparse_convonet.reconstruct.whole_scan.WholeScan.find_surface", stopped)
    with pytest.raises(KeyboardInterrupt):
        reconstruct_scan(request_of_two)
    assert request_of_two.out.exists() == was_there


def test_a_station_may_begin_with_a_minus() -> None:
    options = _parser().parse_args(["a.ply", "--out", "out", "--station", "-1.5,0,2", "--station", "-2,-3e0,.5"])
    assert [station(text) for text in options.station] == [(-1.5, 0.0, 2.0), (-2.0, -3.0, 0.5)]
