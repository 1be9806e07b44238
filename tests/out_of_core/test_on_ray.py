"""A scan reconstructed on a Ray cluster that loses a machine on the way: the mesh of one process, byte for byte."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sparse_convonet.io.points import write_points
from sparse_convonet.out_of_core import planning
from sparse_convonet.reconstruct import ReconstructionSettings
from sparse_convonet.scan import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.ray_machines import ray_machines
from tests.synthetic_scan import room_points

pytest.importorskip("ray", reason="ray is not installed")

FIRST_FILES = 12  # of tiles; then a machine is lost


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_makes_the_mesh_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(planning, "TILE_EDGES", (32,))
    scan = tmp_path / "scan.npz"
    write_points(scan, PointCloud(room_points(8000)))
    settings = ReconstructionSettings(voxel_size_m=0.12)
    request = ScanRequest([scan], tmp_path / "alone", settings, up="z", engine="native", work=tmp_path / "work_alone")
    expected = reconstruct_scan(request)
    work = tmp_path / "work"
    with ray_machines() as machines:

        def lose_a_machine() -> None:
            ends_at = time.monotonic() + 90
            while len(list(work.glob("encoded/*/*.npz"))) < FIRST_FILES and time.monotonic() < ends_at:
                time.sleep(0.01)
            machines.tell("kill 1")

        losing = threading.Thread(target=lose_a_machine)
        losing.start()
        elsewhere = replace(request, out=tmp_path / "cluster", work=work, cluster=machines.address)
        with caplog.at_level(logging.WARNING, "sparse_convonet.cluster"):
            found = reconstruct_scan(elsewhere)
        losing.join()
    assert found["tiles"]["count"] == expected["tiles"]["count"] > 8
    for name in ("mesh.ply", "preview.png"):
        assert (tmp_path / "cluster" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert "a worker was lost" in caplog.text
