"""The whole run on the CPU, in processes that find nothing installed beyond what a borrowed machine has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_convonet.model.weights import load_model
from tests.gpu_run.hiding import HIDDEN, environment_without

ROOT = Path(__file__).parents[2]
_LIMIT_S = 1500  # on a busy machine; alone it takes some two minutes

_SCENES = """
import sys
import numpy as np
from sparse_convonet.config.experiment import load_config
from sparse_convonet.data.buildings.building import make_building
from sparse_convonet.data.furniture.library import FurnitureLibrary
from sparse_convonet.data.large.large_scenes import make_large_scene
from sparse_convonet.data.buildings.room import make_room
from sparse_convonet.data.scene_source import SceneSource
import sparse_convonet.gpu_run.run

library = FurnitureLibrary.load().split("train")
for make in (make_room, make_building, make_large_scene):
    scene = make(1, library)
    vertices, faces = scene.mesh()
    assert len(faces) > 100 and np.isfinite(vertices).all(), make
data = load_config("configs/buildings/sparse_building.yaml", ["data.points=1000", "data.queries=200"]).data
source = SceneSource(data, library, seed=0)
for sample in (source.room(0, 0), source.crop(0, 0), source.view("building", 0, 0), source.view("large", 0, 0)):
    assert len(sample.points_world) > 100 and 0 < sample.occupied.mean() < 1
print(*sorted(set(sys.argv[1:]) & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.slow
@pytest.mark.timeout(_LIMIT_S)
def test_scenes_of_all_kinds_are_made_without_the_packages_a_borrowed_machine_lacks(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCENES, *HIDDEN],
        cwd=ROOT,
        env=environment_without(tmp_path, ROOT),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(_LIMIT_S)
def test_a_dry_run_walks_all_parts_without_the_packages_a_borrowed_machine_lacks(tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "tools/gpu_run.py", "--dry-run", "--minutes", "5", "--out", str(out)]
    environment = environment_without(tmp_path / "site", ROOT)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout
    report = json.loads((out / "gpu_run.json").read_text(encoding="utf-8"))
    assert [report[part]["error"] for part in ("tests", "timings", "training", "export")] == [None] * 4

    tests = report["tests"]["found"]
    assert tests["failed"] == 0 and tests["passed"] + tests["skipped"] > 10
    timings = report["timings"]["found"]
    assert set(timings["ways"]) == {"torch", "triton"} and timings["way"] in timings["ways"]
    losses = [each["loss"] for each in timings["ways"].values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4) and not (out / "batch.pt").exists()

    training = report["training"]["found"]
    assert training["steps"] == 2 and training["steps_per_second"] > 0 and 0 <= training["waiting_share"] <= 1
    assert [step for step, _ in training["loss"]] == [1, 2]
    assert all(0 < iou <= 1 for values in training["validation"].values() for _, iou in values)
    assert set(training["validation"]) == {"rooms", "crops"}
    trained, exported = (load_model(out / name) for name in ("best.safetensors", "half.safetensors"))
    assert exported.record == trained.record and exported.record["steps"] == 2
    assert (out / "half.safetensors").stat().st_size < 0.6 * (out / "best.safetensors").stat().st_size
    assert str(out / "half.safetensors") in report["files"]
    assert "tensorboard" not in done.stdout and "2 steps after step 0" in done.stdout
