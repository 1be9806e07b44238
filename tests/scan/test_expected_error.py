"""What report.json says of the error to expect, whether a scan is in memory or on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sparse_convonet.io.points import write_points
from sparse_convonet.plan.plan import CloudDensity, choose_voxel_size
from sparse_convonet.plan.settings import ReconstructionSettings
from sparse_convonet.scan.run import ScanRequest, reconstruct_scan
from sparse_convonet.structures import PointCloud
from tests.synthetic_scan import room_points


def test_size_and_error_are_those_of_the_choice_in_memory_and_on_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    points = room_points(3000)
    write_points(tmp_path / "room.npz", PointCloud(points))
    request = ScanRequest([tmp_path / "room.npz"], tmp_path / "out", ReconstructionSettings(), up="z")
    choice = choose_voxel_size(CloudDensity(points))
    expected = {"missing": choice.expected.missing, "near_m": choice.expected.near_m}
    caplog.set_level("INFO", "sparse_convonet.scan.messages")
    for each in (request, replace(request, out=tmp_path / "tiles", work=tmp_path / "work", tiles=True)):
        report = reconstruct_scan(each)
        assert report["voxel_size_m"] == choice.voxel_size_m
        assert {name: report["expected_error"][name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert caplog.text.count(f"m: {choice.reason}") == 2
    asked = replace(request, settings=ReconstructionSettings(voxel_size_m=0.2), overwrite=True)
    report = reconstruct_scan(asked)
    assert report["expected_error"] is None
    assert report["certificate"]["guessed_because"] == ["voxels: measured from 4 to 12 cm, found 20 cm"]
    assert "these errors are guesses: voxels: measured from 4 to 12 cm, found 20 cm" in caplog.text
