"""What rays from elsewhere passed through is left out of a scan whose scanners are known, however these are told."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.clouds.ghosts import without_ghosts
from sparse_convonet.io.meshes import read_mesh
from sparse_convonet.io.points import read_points, write_points
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import Mesh, PointCloud
from tests.io.test_trajectory import timed_las
from tests.oracles.same_surface import assert_same_surface
from tests.walked_room import STATIONS, WALKED, walked_room

COUNT = 100_000


def area_of_walkers(mesh: Mesh) -> float:
    """m2 of surface above the floor where a walker was."""
    corners = mesh.vertices[mesh.faces]
    centres, areas = (
        corners.mean(axis=1),
        np.linalg.norm(np.cross(*(corners[:, 1:] - corners[:, :1]).swapaxes(0, 1)), axis=1) / 2,
    )
    near = np.zeros(len(centres), dtype=bool)
    for walker in WALKED:
        near |= (np.abs(centres[:, :2] - walker) < 0.5).all(axis=1)
    return float(areas[near & (centres[:, 2] > 0.5) & (centres[:, 2] < 2.2)].sum())


@pytest.fixture(scope="module")
def cloud() -> PointCloud:
    return walked_room(COUNT)[0]


@pytest.fixture
def request_of_one_file(cloud: PointCloud, tmp_path: Path) -> ScanRequest:
    write_points(tmp_path / "room.npz", cloud)
    settings = ReconstructionSettings(voxel_size_m=0.12, smallest_piece_m2=0.3)  # half a walker is a small piece
    return ScanRequest([tmp_path / "room.npz"], tmp_path / "out", settings, up="z", light=(), removed=True)


def test_walkers_go_are_counted_and_written_in_one_piece_and_through_the_disk(request_of_one_file: ScanRequest) -> None:
    whole = request_of_one_file
    stored = replace(whole, out=whole.out.with_name("stored"), work=whole.out.with_name("work"))
    reports = [reconstruct_scan(request) for request in (whole, stored)]
    dropped = reports[0]["input"]["dropped"]
    assert 300 < dropped["ghosts"] < 0.02 * COUNT and reports[1]["input"]["dropped"] == dropped
    assert reports[0]["overlap"] == reports[1]["overlap"] and reports[0]["overlap"]["viewpoints"] == 2
    assert 0.5 < reports[0]["overlap"]["median_mm"] < 3  # noise of 5 mm, and at least 10 points of each
    removed = [(request.out / "removed.ply").read_bytes() for request in (whole, stored)]
    assert removed[0] == removed[1] and len(read_points(whole.out / "removed.ply")) == dropped["ghosts"]
    assert_same_surface(*(read_mesh(request.out / "mesh.ply") for request in (stored, whole)))
    uncarved = replace(whole.settings, carve=False)  # or the rays that passed the walker take some of the surface
    kept = replace(whole, settings=uncarved, keep_ghosts=True, removed=False, overwrite=True)
    assert area_of_walkers(read_mesh(whole.out / "mesh.ply")) < 0.3
    assert reconstruct_scan(kept)["input"]["dropped"]["ghosts"] == 0
    assert area_of_walkers(read_mesh(kept.out / "mesh.ply")) > 1.0
    assert not (kept.out / "removed.ply").exists()  # of the run before


def test_a_trajectory_tells_what_positions_in_the_file_tell(
    request_of_one_file: ScanRequest, cloud: PointCloud, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(3)
    times = np.concatenate([rng.uniform(5, 6, COUNT), rng.uniform(50, 51, COUNT)])
    path = timed_las(tmp_path / "room.las", cloud.points, times)
    a, b = (" ".join(map(str, place)) for place in STATIONS.tolist())
    way = tmp_path / "way.txt"
    way.write_text(f"time x y z\n5 {a}\n6 {a}\n50 {b}\n51 {b}\n")
    told = replace(request_of_one_file, inputs=[path], trajectory=way)
    report = reconstruct_scan(told)
    known = len(without_ghosts(cloud)[1])
    assert abs(report["input"]["dropped"]["ghosts"] - known) < 0.05 * known  # LAS rounds to a tenth of a millimetre
    assert report["sides"]["rays"] > 0.4 * len(cloud)  # a sample
    far = tmp_path / "far.txt"
    far.write_text("5 691000 5335000 1\n51 691000 5335000 1\n")  # of another frame
    with caplog.at_level(logging.INFO):
        assert reconstruct_scan(replace(told, trajectory=far, overwrite=True))["sides"] is None
    assert "10 km from --trajectory; is it in the frame and units of the scan?" in caplog.text
    assert "removed   no point, so removed.ply is empty" in caplog.text
    with pytest.raises(ValueError, match="--removed: expected not both --keep-ghosts and --keep-outliers beside it"):
        reconstruct_scan(replace(told, keep_ghosts=True, keep_outliers=True, overwrite=True))
    with pytest.raises(ValueError, match="--trajectory: expected no --station beside it"):
        reconstruct_scan(replace(told, stations=[(0.0, 0.0, 0.0)], overwrite=True))


def test_points_whose_ghosts_were_sought_otherwise_are_not_taken(
    request_of_one_file: ScanRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(request_of_one_file, work=request_of_one_file.out.with_name("work"))
    monkeypatch.setattr(
        "sparse_convonet.out_of_core.stored_scan.StoredScan.find_surface",
        lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    with pytest.raises(KeyboardInterrupt):  # the points lie there now
        reconstruct_scan(request)
    with pytest.raises(
        ValueError, match="expected points of a run with the same --scale, --keep-ghosts and --keep-outliers"
    ):
        reconstruct_scan(replace(request, keep_ghosts=True, removed=False))
