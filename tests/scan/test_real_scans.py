"""Real scans and a real floor plan, where they are at hand: what the shipped model must reach on them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.running import exit_code

pytestmark = pytest.mark.slow

TOOL = Path(__file__).parents[2] / "tools" / "reconstruct_building.py"


def existing(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"no file {path}")
    return path


def test_two_storey_hall_is_covered(shared_data: Path, tmp_path: Path) -> None:
    scan = existing(shared_data / "real" / "two_storey_hall.laz")
    sizes = ("--voxel-size", 0.08, "--cell-size", 0.04)
    # A process of its own: the peak memory of this one is that of all tests before.
    command = [sys.executable, TOOL, scan, "--out", tmp_path / "hall", *sizes]
    subprocess.run(list(map(str, command)), check=True, timeout=500)
    report = json.loads((tmp_path / "hall" / "report.json").read_text())
    assert report["input"]["points_read"] == 808_042 and report["input"]["up"] == "y"
    assert report["coverage"]["within_1_cell"] >= 0.80
    assert report["coverage"]["within_1_voxel"] >= 0.95
    assert report["mesh"]["watertight"]
    assert report["peak_memory_bytes"] <= 2e9


def test_sparse_room_with_far_outliers_is_covered(shared_data: Path, tmp_path: Path) -> None:
    scan = existing(shared_data / "real" / "lidar_room.pcd")
    assert exit_code("reconstruct_building", scan, "--out", tmp_path / "room") == 0
    report = json.loads((tmp_path / "room" / "report.json").read_text())
    assert report["input"]["up"] == "z" and report["input"]["dropped"]["far"] > 0
    assert report["coverage"]["within_1_voxel"] >= 0.9


def test_small_house_is_rebuilt_from_a_virtual_scan(shared_data: Path, tmp_path: Path) -> None:
    truth = existing(shared_data / "truth" / "small_house.ply")
    scan, out, scores = tmp_path / "scan.ply", tmp_path / "house", tmp_path / "scores.json"
    assert exit_code("make_scan", truth, "--out", scan, "--noise-cm", 1) == 0
    assert exit_code("reconstruct_building", scan, "--out", out, "--voxel-size", 0.05) == 0
    assert exit_code("score_scan", out / "mesh.ply", truth, "--json", scores) == 0
    found = json.loads(scores.read_text())
    assert found["accuracy_m"] <= 0.025 and found["completeness_m"] <= 0.025
    assert found["f_score"] >= 0.90
