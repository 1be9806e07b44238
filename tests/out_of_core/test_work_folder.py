"""A scan reconstructed through the disk: the result of one piece, resumed after kills, refused where it cannot be."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core import stored_scan, work_folder
from sparse_convonet.out_of_core.assembly import assemble
from sparse_convonet.out_of_core.tiles import plan_tiles, schedule
from sparse_convonet.out_of_core.tiles.encoding import Stage, run_stage
from sparse_convonet.out_of_core.tiles.work_plan import SECOND
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.tile_grid import TileName
from tests.oracles.same_surface import assert_nearly_same_surface, assert_same_surface
from tests.synthetic_scan import room_points

SETTINGS = ReconstructionSettings(voxel_size_m=0.12)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room of a few metres has several tiles."""
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (48,))


@pytest.fixture
def request_on_disk(tmp_path: Path, small_tiles: None) -> ScanRequest:
    points = room_points(8000)
    colours = np.arange(3 * len(points), dtype=np.int64).reshape(-1, 3).astype(np.uint8)
    scan = tmp_path / "scan.npz"
    write_points(
        scan, PointCloud(np.concatenate([points, points[:50], np.full((3, 3), np.nan)])[:, [0, 2, 1]] * [1, 1, -1])
    )
    write_points(tmp_path / "coloured.npz", PointCloud(points, colours))
    return ScanRequest([scan], tmp_path / "out", SETTINGS, engine="native", work=tmp_path / SECOND)  # any name will do


def one_piece(request: ScanRequest) -> ScanRequest:
    return replace(request, work=None, tiles=False, out=request.out.with_name("whole"))


COSTS = ("seconds", "peak_memory_bytes", "predicted", "tiles")


def facts(report: dict[str, Any]) -> dict[str, Any]:
    """A report without costs, and without what is measured on a sample of the points."""
    found = {name: value for name, value in report.items() if name not in COSTS}
    return {**found, "input": {name: value for name, value in found["input"].items() if name != "spacing"}}


def test_the_result_through_the_disk_is_that_of_one_piece(request_on_disk: ScanRequest) -> None:
    request = replace(request_on_disk, inputs=[request_on_disk.out.with_name("coloured.npz")])
    tiled, whole = reconstruct_scan(request), reconstruct_scan(one_piece(request))
    assert tiled["tiles"]["count"] > 4 and whole["tiles"]["count"] == 1
    assert facts(tiled) == facts(whole)
    meshes = [read_mesh(out / "mesh.ply") for out in (request.out, one_piece(request).out)]
    assert_same_surface(*meshes)
    assert meshes[0].colours is not None and meshes[1].colours is not None
    light = [(out / "mesh.glb").read_bytes() for out in (request.out, one_piece(request).out)]
    assert light[0] == light[1] and tiled["light_mesh"]["faces"] < 0.1 * tiled["mesh"]["faces"]
    pictures = [np.asarray(Image.open(out / "preview.png")) for out in (request.out, one_piece(request).out)]
    assert (np.abs(pictures[0].astype(int) - pictures[1]) > 1).mean() < 1e-3
    assert not (request.work or request.out).exists()


def test_a_run_that_was_broken_off_goes_on_with_what_is_finished(
    request_on_disk: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_on_disk
    staged: list[TileName] = []

    def counted(job: Any) -> Any:
        if job.stage == Stage(2, up=True):
            if len(staged) == 2:
                raise KeyboardInterrupt
            staged.append(job.tile)
        return run_stage(job)

    expected = reconstruct_scan(one_piece(request))
    with monkeypatch.context() as patches:
        patches.setattr(schedule, "run_stage", counted)
        with pytest.raises(KeyboardInterrupt):
            reconstruct_scan(request)
    assert not request.out.exists() or not any(request.out.iterdir())
    assert request.work is not None
    times = {path: path.stat().st_mtime_ns for path in request.work.rglob("field*.npz")}
    assert len(times) >= 8
    seen: list[dict[Path, int]] = []

    def meshed(*arguments: Any) -> Any:
        seen.append({path: path.stat().st_mtime_ns for path in times})
        return schedule.mesh_all(*arguments)

    monkeypatch.setattr(stored_scan, "mesh_all", meshed)
    found = reconstruct_scan(request)
    assert seen == [times]
    assert facts(found) == facts(expected)
    meshes = [read_mesh(out / "mesh.ply") for out in (request.out, one_piece(request).out)]
    assert_same_surface(*meshes)
    assert meshes[0].colours is None and meshes[1].colours is None


def test_other_settings_or_points_do_not_meet_the_tiles_of_former_ones(
    request_on_disk: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_on_disk
    monkeypatch.setattr(work_folder.WorkFolder, "remove", lambda work: None)
    reconstruct_scan(request)
    assert request.work is not None and (request.work / "encoded").is_dir()
    coarser = replace(request, settings=replace(SETTINGS, voxel_size_m=0.15), overwrite=True)
    assert facts(reconstruct_scan(coarser)) == facts(reconstruct_scan(replace(one_piece(coarser), overwrite=True)))
    other = request.out.with_name("coloured.npz")
    with pytest.raises(ValueError, match="expected the points of coloured.npz, found those of other files"):
        reconstruct_scan(replace(request, inputs=[other], overwrite=True))


@pytest.mark.parametrize(
    ("chosen", "is_exact"),
    [
        ({"observed_only_voxels": 1.0, "field_normals": True}, True),
        ({"surface": "inner", "simplify_error_mm": 10.0}, True),
        ({"simplify_faces": 3000, "observed_only_voxels": 1.5}, True),
        ({"simplify_faces": 3000, "refine_steps": 3}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_chosen_for_the_mesh_is_done_through_the_disk_as_in_one_piece(
    request_on_disk: ScanRequest, chosen: dict[str, Any], is_exact: bool
) -> None:
    settings = replace(SETTINGS, **chosen)
    coloured = request_on_disk.out.with_name("coloured.npz")
    request = replace(request_on_disk, inputs=[coloured], settings=settings, tiles=True)
    tiled, whole = reconstruct_scan(request), reconstruct_scan(one_piece(request))
    assert tiled["tiles"]["count"] > 4 and facts(tiled) == facts(whole)
    meshes = [read_mesh(out / "mesh.ply") for out in (request.out, one_piece(request).out)]
    if is_exact:
        assert_same_surface(*meshes)
    else:  # the field's slope rounds by how many are asked for at once
        assert_nearly_same_surface(meshes[0], meshes[1], 1e-6)
    orders = [np.lexsort(np.round(mesh.vertices, 5).T) for mesh in meshes]
    for ours, theirs in ((mesh_of(meshes[0]), mesh_of(meshes[1])) for mesh_of in (_normals, _colours)):
        np.testing.assert_allclose(ours[orders[0]], theirs[orders[1]], atol=1e-4)
    assert (request.out / "tiles" / "tileset.json").is_file()


def _normals(mesh: Mesh) -> np.ndarray:
    assert mesh.normals is not None
    return mesh.normals


def _colours(mesh: Mesh) -> np.ndarray:
    assert mesh.colours is not None
    return mesh.colours.astype(float)


def test_a_mesh_too_large_to_be_simplified_is_refused_and_its_tiles_serve_without(
    request_on_disk: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(request_on_disk, settings=replace(SETTINGS, simplify_faces=2000))
    with monkeypatch.context() as patches:
        patches.setattr(assemble, "_BYTES_PER_FACE", 1e9)
        with pytest.raises(
            ValueError, match=r"GB of memory for the whole mesh of \d+ faces, found .* leave --simplify out"
        ):
            reconstruct_scan(request)
    assert request.work is not None
    times = {path: path.stat().st_mtime_ns for path in request.work.rglob("mesh.npz")}
    assert times
    monkeypatch.setattr(work_folder.WorkFolder, "remove", lambda work: None)
    reconstruct_scan(replace(request, settings=SETTINGS))
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_a_budget_that_no_tile_fits_is_refused_with_voxels_that_would(request_on_disk: ScanRequest) -> None:
    request = replace(request_on_disk, settings=replace(SETTINGS, memory_bytes=1_000_000))
    with pytest.raises(
        ValueError,
        match=r"in tiles of \d+ voxels, which take the least, found 0.001 GB allowed; allow that much",
    ):
        reconstruct_scan(request)


def test_a_disk_without_room_is_told_before_the_work_begins(
    request_on_disk: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(request_on_disk.out.parent)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free)
    with pytest.raises(OSError, match="expected about 0.* GB of free disk for the tiles and the mesh, found 0.0 GB"):
        reconstruct_scan(request_on_disk)


def test_a_scan_too_large_for_the_memory_goes_through_the_disk_unasked(
    request_on_disk: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(request_on_disk, work=None)
    monkeypatch.setattr("sparse_convonet.scan.gather.holds_points", lambda points, budget: False)
    report = reconstruct_scan(request)
    assert report["tiles"]["count"] > 4
    assert json.loads((request.out / "report.json").read_text()) == report
    assert sorted(path.name for path in request.out.iterdir()) == ["mesh.glb", "mesh.ply", "preview.png", "report.json"]


@pytest.mark.parametrize("fits", [True, False])
def test_where_no_surface_is_left_nothing_is(
    request_on_disk: ScanRequest, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, smallest_piece_m2=1e6, voxel_size_m=0.3)
    request = replace(request_on_disk, settings=settings, work=None, out=request_on_disk.out / "new")
    monkeypatch.setattr("sparse_convonet.scan.gather.holds_points", lambda points, budget: fits)
    with pytest.raises(ValueError, match=r"no surface: every piece of it .\d+. was removed.* lower --smallest-piece"):
        reconstruct_scan(request)
    assert not request.out.exists()


def test_3d_tiles_stand_beside_the_mesh(request_on_disk: ScanRequest) -> None:
    request = replace(request_on_disk, work=None, tiles=True)
    reconstruct_scan(request)
    assert (request.out / "tiles" / "tileset.json").is_file()
    with pytest.raises(ValueError, match="holds mesh.ply, mesh.glb, preview.png, report.json, tiles already"):
        reconstruct_scan(request)


@pytest.mark.long
@pytest.mark.slow
def test_a_real_hall_through_the_disk_is_the_hall_in_one_piece(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = shared_data / "real" / "two_storey_hall.laz"
    if not scan.is_file():
        pytest.skip(f"no file {scan}")
    monkeypatch.setattr(plan_tiles, "TILE_EDGES", (128,))
    settings = ReconstructionSettings(voxel_size_m=0.12)
    request = ScanRequest([scan], tmp_path / "out", settings, engine="native", work=tmp_path / "work")
    tiled, whole = reconstruct_scan(request), reconstruct_scan(one_piece(request))
    assert tiled["tiles"]["count"] > 3
    assert facts(tiled) == facts(whole)
    assert_same_surface(*(read_mesh(out / "mesh.ply") for out in (request.out, one_piece(request).out)))
