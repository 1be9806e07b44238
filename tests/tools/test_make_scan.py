"""make_scan.py and score_scan.py as a user calls them: files in, files out, errors in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.io.meshes import read_mesh, write_mesh
from sparse_convonet.io.points import read_points
from sparse_convonet.metrics.surface import coverage
from sparse_convonet.structures import Mesh
from tools.make_scan import main as make_scan
from tools.score_scan import main as score_scan

ROOT = Path(__file__).parents[2]
TRUTH = ROOT.parent / "shared" / "data" / "truth"
LOW, HIGH = np.array([-3.0, -2.0, 0.0]), np.array([3.0, 2.0, 2.6])


def write_room(path: Path, rotation: np.ndarray | None = None) -> Path:
    box = trimesh.creation.box(bounds=np.array([LOW, HIGH]))
    vertices = np.asarray(box.vertices, dtype=np.float64)
    write_mesh(path, Mesh(vertices if rotation is None else vertices @ rotation.T, np.asarray(box.faces)))
    return path


def distance_to_room(points: np.ndarray) -> np.ndarray:
    return np.abs(np.minimum(points - LOW, HIGH - points)).min(axis=1)


@pytest.mark.parametrize("mode", ["stations", "walk"])
def test_a_scan_has_the_points_and_the_noise_that_were_asked_for(tmp_path, mode):
    room, out = write_room(tmp_path / "room.ply"), tmp_path / "scan.ply"
    make_scan([str(room), "--out", str(out), "--mode", mode, "--points", "5000", "--noise-cm", "0.5"])
    points = read_points(out).points
    assert points.shape == (5000, 3)
    assert 0.002 < np.median(distance_to_room(points)) < 0.008
    sides = [np.abs(points - LOW).argmin(axis=1), np.abs(points - HIGH).argmin(axis=1)]
    assert all(len(np.unique(side)) == 3 for side in sides)


def test_a_y_up_mesh_is_scanned_in_its_own_frame(tmp_path):
    to_y_up = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # (x, y, z) -> (x, z, -y)
    room, out = write_room(tmp_path / "room.ply", to_y_up), tmp_path / "scan.ply"
    make_scan([str(room), "--out", str(out), "--up", "y", "--points", "2000", "--noise-cm", "0"])
    assert np.quantile(distance_to_room(read_points(out).points @ to_y_up), 0.9) < 0.02


@pytest.mark.parametrize("mode", ["stations", "walk"])
def test_an_archive_says_where_the_scanner_stood(tmp_path, mode):
    to_y_up = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    room, out = write_room(tmp_path / "room.ply", to_y_up), tmp_path / "scan.npz"
    make_scan([str(room), "--out", str(out), "--up", "y", "--points", "2000", "--mode", mode])
    cloud = read_points(out)
    assert cloud.scanners is not None and cloud.scanners.shape == (2000, 3)
    scanners = cloud.scanners @ to_y_up
    assert (scanners > LOW + 0.1).all() and (scanners < HIGH - 0.1).all()
    assert (len(np.unique(scanners.round(3), axis=0)) > 100) == (mode == "walk")


def test_the_same_seed_writes_the_same_file(tmp_path):
    room = write_room(tmp_path / "room.ply")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_scan([str(room), "--out", str(tmp_path / f"{name}.ply"), "--points", "500", "--seed", str(seed)])
    first, again, other = ((tmp_path / f"{name}.ply").read_bytes() for name in "abc")
    assert first == again != other


def test_an_existing_file_is_kept_unless_overwriting_is_asked_for(tmp_path):
    room, out = write_room(tmp_path / "room.ply"), tmp_path / "scan.ply"
    out.write_text("precious")
    with pytest.raises(ValueError, match="exists already; pass --overwrite"):
        make_scan([str(room), "--out", str(out), "--points", "500"])
    assert out.read_text() == "precious"
    make_scan([str(room), "--out", str(out), "--points", "500", "--overwrite"])
    assert len(read_points(out)) == 500


def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path):
    flat = tmp_path / "flat.ply"
    write_mesh(flat, Mesh(np.array([[0.0, 0, 0], [9, 0, 0], [0, 9, 0]]), np.array([[0, 1, 2]])))
    command = [sys.executable, str(ROOT / "tools" / "make_scan.py"), str(flat), "--out", str(tmp_path / "scan.ply")]
    environment = {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: stations: expected free places")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "scan.ply").exists()


def test_the_truth_scores_perfectly_and_a_shifted_wall_by_its_shift(tmp_path, capsys):
    truth, report = write_room(tmp_path / "truth.ply"), tmp_path / "scores.json"
    score_scan([str(truth), str(truth), "--rays", "5000", "--json", str(report)])
    assert "F-score" in capsys.readouterr().out
    scores = json.loads(report.read_text())
    assert scores["f_score"] == 1.0 and scores["hole_share"] == 0.0 and scores["chamfer_m"] < 1e-5
    # The same room, lower by 10 cm: floor and ceiling are off, the walls are not.
    mesh = read_mesh(truth)
    write_mesh(tmp_path / "low.ply", Mesh(mesh.vertices - [0, 0, 0.1], mesh.faces))
    score_scan([str(tmp_path / "low.ply"), str(truth), "--rays", "5000", "--json", str(report)])
    scores = json.loads(report.read_text())
    assert 0.02 < scores["accuracy_m"] < 0.1 and 0.3 < scores["f_score"] < 0.9


def test_scores_tell_at_every_threshold_and_on_which_side_the_floor_lies(tmp_path, capsys):
    truth, report = write_room(tmp_path / "truth.ply"), tmp_path / "scores.json"
    mesh = read_mesh(truth)
    # The floor stands 3 cm too high: 0.6 voxels of 5 cm, 0.3 voxels of 10 cm for a ray straight down.
    raised = np.maximum(mesh.vertices, [-np.inf, -np.inf, 0.03])
    write_mesh(tmp_path / "raised.ply", Mesh(raised, mesh.faces))
    wrong = {}
    for voxel in ("5", "10"):
        score_scan([str(tmp_path / "raised.ply"), str(truth), "--rays", "5000", "--json", str(report),
                    "--voxel-cm", voxel])  # fmt: skip
        scores = json.loads(report.read_text())
        assert scores["sides"]["voxel_size_m"] == float(voxel) / 100
        wrong[voxel] = scores["sides"]["wrong_side"]
    assert 0.15 < wrong["5"] < 0.6 and wrong["10"] < wrong["5"]
    assert scores["sides"]["holes"] == scores["sides"]["phantoms"] == scores["hole_share"] == 0
    assert [each["threshold_m"] for each in scores["thresholds"]] == [0.05, 0.025, 0.01]
    assert scores["f_score"] == scores["thresholds"][0]["f_score"] == 1.0 > scores["thresholds"][2]["f_score"]
    printed = capsys.readouterr().out
    assert "wrong side" in printed and "0.4 voxels of 10 cm too early" in printed and "at 2.5 cm" in printed
    score_scan([str(truth), str(truth), "--rays", "5000", "--json", str(report), "--threshold-cm", "2"])
    scores = json.loads(report.read_text())
    assert scores["threshold_m"] == 0.02 and len(scores["thresholds"]) == 1
    with pytest.raises(ValueError, match="a positive voxel size in metres, found -0.05"):
        score_scan([str(truth), str(truth), "--rays", "5000", "--voxel-cm", "-5"])


@pytest.mark.parametrize("name", ["small_house", "bookstore"])
def test_a_furnished_house_is_scanned_on_its_surfaces(tmp_path, name):
    mesh = TRUTH / f"{name}.ply"
    if not mesh.exists():
        pytest.skip(f"the shared data set is not here: {mesh}")
    out = tmp_path / "scan.ply"
    make_scan([str(mesh), "--out", str(out), "--points", "20000", "--noise-cm", "1"])
    points = read_points(out).points
    truth = read_mesh(mesh)
    assert len(points) == 20_000
    assert coverage(points, truth.vertices, truth.faces, 0.05) > 0.97
    extent, whole = np.ptp(points[:, :2], axis=0), np.ptp(truth.vertices[:, :2], axis=0)
    assert (extent > 0.95 * whole).all()
