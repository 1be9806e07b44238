"""Sets of models: whole or not at all, the same whatever the number of workers, and resumed where they stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.convonet.layout import find_models, read_metadata, read_split
from sparse_convonet.data.convonet.samples import read_occupancy, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.sets.model_set import ModelJob, share_out, split_jobs, write_models
from sparse_convonet.data.sets.room_recipes import MetricRecipe, PaperRoomRecipe
from sparse_convonet.data.sets.shape_stock import CLASSES
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.structures import Mesh
from tests.tools.running import exit_code, refusal

TOOL = Path(__file__).parents[3] / "tools" / "make_rooms.py"
SMALL = ["--count", "4", "--files", "2", "--points", "300", "--queries", "300"]


def digest(root: Path) -> dict[str, str]:
    """Every file below root, hidden ones too, with the hash of its bytes."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def write_number(job: ModelJob, folder: Path) -> None:
    (folder / "number.txt").write_text(f"{job.category} {job.split} {job.number}")


def write_set(root: Path, write=write_number, workers: int = 1, count: int = 5, seed: int = 0) -> int:  # type: ignore[no-untyped-def]
    jobs = [job for name in ("a", "b") for job in split_jobs(name, share_out(count, {"train": 0.75, "test": 0.25}))]
    return write_models(root, jobs, write, recipe={"seed": seed}, class_names={"a": "one", "b": "two"}, workers=workers)


def run_tool(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_set_has_all_models_lists_and_names(tmp_path: Path) -> None:
    assert write_set(tmp_path) == 10
    assert read_split(tmp_path / "a" / "train.lst") == ["00000000", "00000001", "00000002", "00000003"]
    assert read_split(tmp_path / "b" / "test.lst") == ["00000004"]
    assert read_split(tmp_path / "b" / "val.lst") == []  # the papers' loader opens all three lists
    assert read_metadata(tmp_path) == {"a": "one", "b": "two"}
    assert (tmp_path / "b" / "00000004" / "number.txt").read_text() == "b test 4"


def test_shares_add_up_and_are_those_of_the_papers() -> None:
    papers = {"train": 0.75, "val": 0.05, "test": 0.2}
    assert share_out(1000, papers) == {"train": 750, "val": 50, "test": 200}
    for count in range(1, 60):
        shares = share_out(count, papers)
        assert sum(shares.values()) == count and min(shares.values()) >= 0


def test_finished_models_are_kept_and_leftovers_removed(tmp_path: Path) -> None:
    def fail_at_three(job: ModelJob, folder: Path) -> None:
        write_number(job, folder)
        if job.number == 3:
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_set(tmp_path, fail_at_three)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["00000000", "00000001", "00000002"]
    (tmp_path / "a" / ".00000003.partial-12345678").mkdir()  # what a killed run leaves
    (tmp_path / "a" / ".00000003.partial-12345678" / "number.txt").write_text("half")
    assert write_set(tmp_path) == 7
    write_set(tmp_path / "undisturbed")
    expected = digest(tmp_path / "undisturbed")
    assert {name: value for name, value in digest(tmp_path).items() if "undisturbed" not in name} == expected


def test_a_stop_just_after_the_folder_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def stop_once_made(path: Path, *arguments: object, **named: object) -> None:
        make(path, *arguments, **named)  # type: ignore[arg-type]
        if ".partial-" in path.name:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", stop_once_made)
    with pytest.raises(KeyboardInterrupt):
        write_set(tmp_path)
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_begun_with_other_settings_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path)
    with pytest.raises(ValueError, match="was begun with other settings"):
        write_set(tmp_path, seed=1)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        write_set(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("scenes", ["papers", "rooms"])
def test_bytes_are_the_same_whatever_the_number_of_workers(tmp_path: Path, scenes: str) -> None:
    for workers in ("1", "2"):
        arguments = ["--scenes", scenes, "--objects", "4", *SMALL, "--workers", workers]
        assert exit_code("make_rooms", "--out", tmp_path / workers, *arguments) == 0
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_killed_at_any_moment_and_run_again_gives_the_bytes_of_an_undisturbed_run(tmp_path: Path) -> None:
    # Models large enough that kills fall into writing, not only into starting.
    arguments = ["--count", "8", "--objects", "8", "--files", "4", "--points", "60000", "--queries", "60000"]
    rng = np.random.default_rng(0)
    out = tmp_path / "killed"
    kills_with_work_left = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, str(TOOL), "--out", str(out), *arguments, "--workers", "2"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for_models(out, process, more=1)
        time.sleep(float(rng.uniform(0, 0.3)))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        finished = [path for path in (out / "rooms_08").glob("*") if not path.name.startswith(".")]
        kills_with_work_left += len(finished) < 8
        for model in finished:  # nothing half-written stands under its own name
            assert len(list(model.rglob("*.npz"))) == 8
    assert kills_with_work_left >= 1
    assert run_tool(out, *arguments, "--workers", "2").returncode == 0
    assert run_tool(tmp_path / "whole", *arguments, "--workers", "2").returncode == 0
    assert digest(out) == digest(tmp_path / "whole")


def _wait_for_models(out: Path, process: subprocess.Popen[bytes], more: int) -> None:
    """Until the process has begun to write `more` models, or has ended."""
    before = set(_models_begun(out))
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if len(set(_models_begun(out)) - before) >= more:
            return
        time.sleep(0.01)


def _models_begun(out: Path) -> list[str]:
    folder = out / "rooms_08"
    return [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []


def test_bad_options_are_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--count", "0"], "--count: expected at least 1, found 0"),
        (["--plane-density", "0"], "--plane-density: expected a share above 0"),
        (["--furniture", tmp_path / "none.npz", "--count", "1"], "none.npz does not exist"),
    ):
        assert words in refusal(capsys, "make_rooms", "--out", tmp_path / "out", *arguments, "--workers", "1")


def test_paper_rooms_hold_the_truth_at_the_points_that_are_in_the_file(tmp_path: Path) -> None:
    recipe = PaperRoomRecipe(files=2, points=500, queries=5000)
    write_models(
        tmp_path, [ModelJob("rooms_05", "train", 3)], recipe, recipe=recipe.describe(), class_names={"rooms_05": ""}
    )
    model = find_models(tmp_path, "train")[0]
    surface, others = (read_surface(path) for path in model.files(["pointcloud"]))
    assert surface.points_unit.dtype == np.float16 and len(surface) == len(others) == 500
    assert not np.array_equal(surface.points_unit, others.points_unit)
    occupancy = read_occupancy(model.files(["points_iou"])[0])
    assert occupancy.occupied.any() and np.abs(occupancy.points_unit).max() <= 0.55
    # The ground is 1 wide along one axis: below its top and within it, everything is occupied.
    points = occupancy.points_unit.astype(np.float64)
    sides = np.abs(surface.points_unit[surface.semantics == -1].astype(np.float64)).max(axis=0)
    in_ground = (
        (points[:, 1] > -0.5) & (points[:, 1] < -0.49) & (np.abs(points[:, [0, 2]]) < sides[[0, 2]] - 0.02).all(axis=1)
    )
    assert in_ground.sum() > 5 and occupancy.occupied[in_ground].all()


def write_boxes(root: Path) -> Path:
    """Five classes of one watertight box each, in the layout of ShapeNet's watertight models."""
    for row, synset in enumerate(sorted(CLASSES)):
        box = trimesh.creation.box((1.0, 0.3 + 0.1 * row, 0.5))
        mesh = Mesh(np.array(box.vertices), np.array(box.faces, dtype=np.int64))
        folder = root / synset / "2_watertight"
        folder.mkdir(parents=True)
        write_mesh(folder / "box.off", mesh)
        (root / synset / "train.lst").write_text("box\n")
    return root


def test_rooms_of_shapenet_models_are_occupied_where_their_meshes_are(tmp_path: Path) -> None:
    recipe = PaperRoomRecipe(files=1, points=2000, queries=50_000, shapes=write_boxes(tmp_path / "shapes"))
    job = ModelJob("rooms_04", "train", 0)
    write_models(tmp_path / "set", [job], recipe, recipe=recipe.describe(), class_names={"rooms_04": ""})
    model = find_models(tmp_path / "set", "train")[0]
    item = json.loads((model.path / "item.json").read_text())
    truth = read_occupancy(model.files(["points_iou"])[0])
    points = truth.points_unit.astype(np.float64)
    above = points[:, 1] > -0.49 + 1e-3
    inside = np.zeros(len(points), dtype=bool)
    for each in item["objects"]:
        # A box of 1 x (0.3 + 0.1 row) x 0.5, scaled, turned about y and moved.
        angle = np.radians(each["angle_deg"])
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        local = (points - each["shift"]) @ turn / each["scale"]
        half = np.array([1.0, 0.3 + 0.1 * sorted(CLASSES).index(each["synset"]), 0.5]) / 2
        inside |= (np.abs(local) < half).all(axis=1)
    sides = np.abs(points[:, [0, 2]]) < np.array(item["sides"]) / 2 - 0.01
    free_of_walls = above & sides.all(axis=1)
    assert inside.sum() > 200
    assert np.array_equal(truth.occupied[free_of_walls], inside[free_of_walls])


def test_metric_rooms_are_those_of_the_generator_in_metres(tmp_path: Path) -> None:
    recipe = MetricRecipe(points=400, queries=4000, precision="float32")
    job = ModelJob("metric_rooms", "val", 0)
    write_models(tmp_path, [job], recipe, recipe=recipe.describe(), class_names={"metric_rooms": ""})
    model = find_models(tmp_path, "val")[0]
    frame = read_frame(model.path)
    assert isinstance(frame, UnitFrame)
    seed = int(np.random.default_rng([0, 0, 0, 1]).integers(2**31))
    scene = make_room(seed, FurnitureLibrary.load().split("val"))
    assert np.ptp(scene.bounds, axis=0).max() == pytest.approx(frame.metres_per_unit)
    surface = read_surface(model.files(["pointcloud"])[0])
    points_world = frame.to_world(surface.points_unit)
    assert surface.normals is not None
    normals_world = UnitFrame(np.zeros(3), 1.0).to_world(surface.normals)
    # A step inwards is occupied, a step outwards is not: within float32 of the surface.
    step = 2e-3
    assert scene.occupied(points_world - step * normals_world).mean() > 0.98
    assert scene.occupied(points_world + step * normals_world).mean() < 0.02
    occupancy = read_occupancy(model.files(["points_iou"])[0])
    queries_world = frame.to_world(occupancy.points_unit)
    assert np.array_equal(scene.occupied(queries_world), occupancy.occupied)
    low, high = scene.bounds
    border = 0.05 * frame.metres_per_unit + 1e-5
    assert (queries_world >= low - border).all() and (queries_world <= high + border).all()
