"""The tools that prepare scans: what they say, what they leave behind when killed, and how they refuse."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.data.convonet.layout import find_models, read_split
from sparse_convonet.data.convonet.samples import read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.io.points import write_points
from sparse_convonet.structures import PointCloud
from tests.data.format_true_folders import box_mesh, matterport_files, write_matterport_scan, write_scannet_scene
from tests.tools.running import TOOLS, exit_code, refusal

ROOM = box_mesh([0, 0, 0], [5, 4, 3])
SCAN = "17DRP5sb8fy"


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def scannet(tmp_path: Path) -> Path:
    """<tmp>/scans with three scenes and the official lists beside it."""
    for number in range(3):
        write_scannet_scene(tmp_path / "scans", f"scene000{number}_00", ROOM, np.eye(4) if number else None)
    (tmp_path / "scannetv2_train.txt").write_text("scene0000_00\nscene0001_00\n")
    (tmp_path / "scannetv2_val.txt").write_text("scene0002_00\n")
    return tmp_path / "scans"


def test_scannet_in_metres_and_in_units(tmp_path: Path, scannet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("prepare_scannet", scannet, "--out", tmp_path / "metres", "--points", 300, "--files", 2) == 0
    said = capsys.readouterr().out
    assert "3 models written, 0 were there" in said and "lists: train 2, val 1, test 0" in said
    assert "1 of them: no axisAlignment" in said
    assert exit_code("prepare_scannet", scannet, "--out", tmp_path / "unit", "--unit", "--points", 300) == 0
    metres, unit = (find_models(tmp_path / name, "train")[0] for name in ("metres", "unit"))
    assert [path.name for path in metres.files(["pointcloud"])] == ["pointcloud_00.npz", "pointcloud_01.npz"]
    assert read_surface(metres.files(["pointcloud"])[0]).points_unit.dtype == np.float32
    assert read_surface(unit.files(["pointcloud"])[0]).points_unit.dtype == np.float16
    frame = read_frame(metres.path)
    assert frame is not None and frame.metres_per_unit == 5 and read_frame(unit.path) is None


def test_scannet_without_lists_says_so(tmp_path: Path, scannet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in tmp_path.glob("*.txt"):
        path.unlink()
    assert exit_code("prepare_scannet", scannet, "--out", tmp_path / "out", "--points", 60) == 0
    said = capsys.readouterr().out
    assert "no lists scannetv2_train.txt" in said and "all scenes are on test.lst" in said and "lists: test 3" in said


def test_matterport_parts_share_a_class_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upper = box_mesh([0, 0, 3.2], [5, 4, 6])
    for name in (SCAN, "1pXnuDYAj8r"):
        write_matterport_scan(tmp_path / "scans", name, matterport_files(name, [(0, ROOM), (1, upper)]), zipped=True)
    for part in ("building", "floors", "regions"):
        arguments = ("--part", part, "--scene", SCAN, "--points", 200)
        assert exit_code("prepare_matterport3d", tmp_path / "scans", "--out", tmp_path / "out", *arguments) == 0
    assert read_split(tmp_path / "out" / "matterport3d" / "test.lst") == [
        SCAN, f"{SCAN}_floor0", f"{SCAN}_floor1", f"{SCAN}_region0", f"{SCAN}_region1"
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert "all models are on test.lst" in said and "2 models written, 0 were there\nlists: test 5" in said


def test_a_scan_that_cannot_be_planned_is_broken_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_matterport_scan(tmp_path / "scans", SCAN, matterport_files(SCAN, [(0, ROOM)]), zipped=False)
    (tmp_path / "scans" / "1pXnuDYAj8r").mkdir()
    command = (
        "prepare_matterport3d",
        tmp_path / "scans",
        "--out",
        tmp_path / "out",
        "--part",
        "floors",
        "--points",
        99,
    )
    assert "expected house_segmentations/1pXnuDYAj8r.house" in refusal(capsys, *command)
    assert exit_code(*command, "--skip-broken") == 0
    assert "1 broken scans left out: 1pXnuDYAj8r" in capsys.readouterr().out
    assert read_split(tmp_path / "out" / "matterport3d" / "test.lst") == [f"{SCAN}_floor0"]


def test_scans_of_a_folder(tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]) -> None:
    points = rng.random((500, 3)) * [9, 6, 0.01]
    (tmp_path / "scans").mkdir()
    write_points(tmp_path / "scans" / "floor.ply", PointCloud(points))
    (tmp_path / "scans" / "notes.txt").write_text("measured on Monday\n")
    command = ("prepare_scans", tmp_path / "scans", "--out", tmp_path / "out", "--up", "z")
    assert "notes.txt: " in refusal(capsys, *command)
    assert exit_code(*command, "--skip-broken", "--points", 400) == 2  # other settings than those of the finished one
    assert "was made with other settings (points)" in capsys.readouterr().err
    assert exit_code(*command, "--skip-broken") == 0
    said = capsys.readouterr().out
    assert "0 models written, 1 were there" in said and "1 broken scans left out: notes" in said
    assert len(read_surface(tmp_path / "out" / "scans" / "floor" / "pointcloud.npz")) == 500


@pytest.mark.parametrize("tool", ["prepare_scannet", "prepare_matterport3d", "prepare_scans"])
def test_bad_arguments_are_one_sentence(tmp_path: Path, tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = ("--out", tmp_path / "out")
    assert "found no folder" in refusal(capsys, tool, tmp_path / "nowhere", *out)
    (tmp_path / "empty").mkdir()
    assert "found none" in refusal(capsys, tool, tmp_path / "empty", *out)
    for option, value in (("--points", 0), ("--files", 0)):
        words = "expected at least 1 point and 1 file and a seed of at least 0"
        assert words in refusal(capsys, tool, tmp_path / "empty", *out, option, value)
    assert "--seed: expected a whole number from 0" in refusal(capsys, tool, tmp_path / "empty", *out, "--seed", -1)
    assert not (tmp_path / "out").exists()


# Kills its own process, as a lack of memory would, while the files of the third scene are being written.
KILLED = """
import os, signal, sys
from sparse_convonet.data.sets import prepared
from tests.tools.running import load_tool
write_surface, calls = prepared.write_surface, []
def kill_at_sixth(path, samples, precision):
    calls.append(path)
    if len(calls) == 6:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write_surface(path, samples, precision)
prepared.write_surface = kill_at_sixth
load_tool("prepare_scannet").main(sys.argv[1:])
"""


def test_killed_and_run_again_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path, scannet: Path) -> None:
    size = ("--points", "500", "--files", "2")
    command = [sys.executable, "-c", KILLED, str(scannet), "--out", str(tmp_path / "killed"), *size]
    killed = subprocess.run(command, cwd=TOOLS.parent, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    names = sorted(path.name for path in (tmp_path / "killed" / "scenes").iterdir())
    assert (
        names[0].startswith(".scene0002_00.")
        and names[0].endswith(".partial")
        and names[1:] == ["scene0000_00", "scene0001_00"]
    )
    assert exit_code("prepare_scannet", scannet, "--out", tmp_path / "killed", *size) == 0
    assert exit_code("prepare_scannet", scannet, "--out", tmp_path / "whole", *size) == 0
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
