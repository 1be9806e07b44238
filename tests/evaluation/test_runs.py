"""Runs of methods in processes of their own, on stored scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_convonet.config.experiment import DataConfig, ExperimentConfig
from sparse_convonet.config.models import DenseVoxelModelConfig, SparseModelConfig
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.evaluation import growth, runs
from sparse_convonet.evaluation.comparison import cells, compare_run, markdown, write_tables
from sparse_convonet.evaluation.comparison_report import draw_growth, growth_table
from sparse_convonet.evaluation.contenders import Contender, contenders_of
from sparse_convonet.evaluation.growth import GrowthPoint, measure_growth
from sparse_convonet.evaluation.predictors import Prediction
from sparse_convonet.evaluation.runs import (
    Run,
    RunSettings,
    make_meshes,
    prediction_of,
    read_scene,
    run_contender,
    write_scene,
)  # fmt: skip
from sparse_convonet.evaluation.scenes import ScannedScene, SceneTruth, data_set_scenes
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.model import build
from sparse_convonet.model.weights import save_weights
from sparse_convonet.runtime.isolated import IsolatedCall, OverBudgetError
from sparse_convonet.structures import Mesh
from tests.data.convonet.small_set import write_set

SPARSE = SparseModelConfig(
    engine="native", widths=(8, 8), pointnet_width=8, feature_width=8, decoder_width=8, dilate_from_stride=2
)


def ball(name: str, seed: int, category: str = "balls") -> ScannedScene:
    directions = np.random.default_rng(seed).normal(size=(400, 3))
    points = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    return ScannedScene(name, category, points, normals_world=points, voxel_size_m=0.25)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs here instead of in processes of their own, which take seconds to start."""

    def call(function: Callable[..., Any], arguments: dict[str, Any], **budget: object) -> IsolatedCall:
        try:
            return IsolatedCall(function(**json.loads(json.dumps(arguments))), 0.0, 10**9)
        except ValueError as error:
            raise RuntimeError(str(error)) from error

    monkeypatch.setattr(runs, "call_isolated", call)


@pytest.fixture
def weights(tmp_path: Path) -> Contender:
    config = ExperimentConfig(model=SPARSE, data=DataConfig(voxel_size_m=(0.25, 0.25)))
    path = tmp_path / "mine.safetensors"
    save_weights(build(SPARSE).state_dict(), config, path, threshold=0.5, record={})
    return Contender("mine", str(path))


def test_a_stored_scene_comes_back_whole(tmp_path: Path) -> None:
    scene = replace(ball("one", 0), unit_frame=UnitFrame(np.array([1.0, 2.0, 3.0]), 4.0), floor_m2=50.0)
    found = read_scene(write_scene(tmp_path, scene))
    assert (found.name, found.category, found.voxel_size_m, found.floor_m2) == ("one", "balls", 0.25, 50.0)
    assert found.points_world.tobytes() == scene.points_world.tobytes()
    assert found.unit_frame is not None and found.unit_frame.metres_per_unit == 4.0
    bare = read_scene(write_scene(tmp_path, ScannedScene("two", "balls", scene.points_world)))
    assert (bare.normals_world, bare.unit_frame, bare.voxel_size_m, bare.floor_m2) == (None, None, None, None)


def test_the_same_scene_is_stored_as_the_same_bytes(tmp_path: Path) -> None:
    first = write_scene(tmp_path / "a", ball("one", 0)).read_bytes()
    assert first == write_scene(tmp_path / "b", ball("one", 0)).read_bytes()
    assert first != write_scene(tmp_path / "c", ball("one", 1)).read_bytes()


def test_a_run_makes_every_mesh_and_counts_time_and_memory(tmp_path: Path, weights: Contender) -> None:
    scenes = [write_scene(tmp_path / "scenes", ball(name, seed)) for seed, name in enumerate(("one", "two"))]
    run = run_contender(weights, scenes, tmp_path / "out", RunSettings())
    assert run.failure is None and run.peak_bytes is not None and run.peak_bytes > 1e8
    assert run.parameters == sum(each.numel() for each in build(SPARSE).parameters())
    for scene in scenes:
        found = prediction_of(scene, tmp_path / "out")
        assert found is not None and set(found.seconds) == {"encode", "mesh"} and found.seam is None


def test_a_finished_run_is_not_made_again_and_another_one_is_refused(
    tmp_path: Path, weights: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def answer(*arguments: object, **budget: object) -> IsolatedCall:
        calls.append("made")
        return IsolatedCall({"parameters": 7, "cuda_bytes": None}, 1.0, 1000)

    monkeypatch.setattr(runs, "call_isolated", answer)
    scenes = [write_scene(tmp_path / "scenes", ball("one", 0))]
    first = run_contender(weights, scenes, tmp_path / "out", RunSettings())
    assert first == run_contender(weights, scenes, tmp_path / "out", RunSettings()) and len(calls) == 1
    with pytest.raises(ValueError, match="holds meshes of other weights, scenes or settings; name another --out"):
        run_contender(weights, scenes, tmp_path / "out", RunSettings(cells=32))
    write_scene(tmp_path / "scenes", ball("one", 1))
    with pytest.raises(ValueError, match="holds meshes of other weights, scenes or settings"):
        run_contender(weights, scenes, tmp_path / "out", RunSettings())


def test_a_run_over_its_budget_is_tried_again_only_with_more(
    tmp_path: Path, weights: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def fail(*arguments: object, **budget: object) -> IsolatedCall:
        calls.append(budget["memory_bytes"])
        raise OverBudgetError("memory", "too much")

    monkeypatch.setattr(runs, "call_isolated", fail)
    scenes = [write_scene(tmp_path / "scenes", ball("one", 0))]
    for allowed in (1000, 1000, 500, 2000):
        run = run_contender(weights, scenes, tmp_path / "out", RunSettings(memory_bytes=allowed))
        assert run == Run(None, None, None, "memory")
    assert calls == [1000, 2000]


def test_meshes_of_a_stopped_run_are_kept(tmp_path: Path, weights: Contender) -> None:
    scenes = [write_scene(tmp_path / "scenes", ball(name, seed)) for seed, name in enumerate(("one", "two"))]
    task = {
        "contender": {"name": "mine", "what": weights.what, "overrides": [], "weights": None, "random": False},
        "out": str(tmp_path / "out"),
        "settings": {"device": "cpu", "cells": None},
    }
    make_meshes(scenes=[str(scenes[0])], **task)  # type: ignore[arg-type]
    kept = (tmp_path / "out" / "balls" / "one.ply").stat().st_mtime_ns
    make_meshes(scenes=[str(path) for path in scenes], **task)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "balls" / "one.ply").stat().st_mtime_ns == kept
    assert prediction_of(scenes[1], tmp_path / "out") is not None


def test_a_dense_network_runs_whole_and_in_a_window_whose_seam_is_known(tmp_path: Path, in_process: None) -> None:
    config = tmp_path / "dense.yaml"
    config.write_text("model: {field: dense_voxels, grid_levels: 2, grid_width: 8, border: 2}\n")
    contender = Contender("dense", str(config), random=True)
    assert isinstance(contender.config.model, DenseVoxelModelConfig) and not contender.has_weights
    wide = replace(ball("wide", 0), points_world=ball("", 0).points_world * np.array([8, 1, 1], dtype=np.float32))
    scenes = [write_scene(tmp_path / "scenes", wide)]
    for window in (False, True):
        out = tmp_path / str(window)
        assert run_contender(contender, scenes, out, RunSettings(window=window)).failure is None
        found = prediction_of(scenes[0], out)
        assert found is not None and (found.seam is not None) == window
        reach = np.abs(wide.points_world).max() + 0.25 * (48 if window else 4)
        assert len(found.mesh.faces) == 0 or np.abs(found.mesh.vertices).max() <= reach


def test_contenders_need_names_of_their_own_and_as_many_weights_as_learn(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("model: {field: sparse}\n")
    (tmp_path / "poisson.yaml").write_text("baseline: {method: poisson}\n")
    files = [tmp_path / "one.yaml", tmp_path / "poisson.yaml", tmp_path / "two.yaml"]
    found = contenders_of(files, [], [Path("a.safetensors"), Path("b.safetensors")])
    assert [each.weights for each in found] == ["a.safetensors", None, "b.safetensors"]
    for wrong, message in (([Path("a")], "none is left for"), ([Path("a")] * 3, "found 1 too many")):
        with pytest.raises(ValueError, match=message):
            contenders_of(files, [], wrong)
    trained = contenders_of(
        [Path("runs/a/best.safetensors"), Path("runs/b/best.safetensors"), Path("building")], [], []
    )
    assert [each.name for each in trained] == ["a", "b", "building"] and Path(trained[2].what).is_file()
    with pytest.raises(ValueError, match="expected a .safetensors file or one of"):
        contenders_of([Path("bulding")], [], [])
    with pytest.raises(ValueError, match="expected different names, found one twice"):
        contenders_of([files[0], tmp_path / "other" / "one.yaml"], [], [])


class KnownDistance(SceneTruth):
    def __init__(self, value: float | None) -> None:
        self.value = value

    def score(self, prediction: Prediction) -> dict[str, float | None]:
        return {"IoU": self.value, "F 1 %": 0.5}

    def errors(self, vertices: np.ndarray) -> np.ndarray:
        return np.zeros(len(vertices))


def test_scores_are_means_of_classes_and_costs_means_of_scenes(
    tmp_path: Path, weights: Contender, in_process: None
) -> None:
    known = [(ball("a", 0, "x"), KnownDistance(0.2)), (ball("b", 1, "x"), KnownDistance(0.4)),
             (ball("c", 2, "y"), KnownDistance(0.9)), (ball("d", 3, "y"), KnownDistance(None))]  # fmt: skip
    scenes = [write_scene(tmp_path / "scenes", scene) for scene, _ in known]
    run = run_contender(weights, scenes, tmp_path / "out", RunSettings())
    row = compare_run(weights, "mine", run, scenes, known, tmp_path / "out")
    assert row.values["IoU"] == pytest.approx(0.6) and row.values["F 1 %"] == 0.5 and row.scenes == 4
    seconds = [prediction_of(path, tmp_path / "out").seconds["encode"] for path in scenes]  # type: ignore[union-attr]
    assert row.values["encode s"] == pytest.approx(np.mean(seconds))
    write_tables(tmp_path, [row])
    header, line = (tmp_path / "comparison.csv").read_text().splitlines()
    assert header.split(",")[:4] == ["method", "scenes", "IoU", "F 1 %"] and "largest seam" not in header
    assert float(line.split(",")[2]) == row.values["IoU"]
    assert markdown([row]) == (tmp_path / "comparison.md").read_text() and cells([row])[1][0] == "mine"


def test_random_weights_have_costs_and_no_scores(tmp_path: Path, in_process: None) -> None:
    config = tmp_path / "sparse.yaml"
    config.write_text("model: {field: sparse, engine: native, widths: [8, 8], dilate_from_stride: 2}\n")
    contender = Contender("sparse", str(config), random=True)
    known = [(ball("a", 0), KnownDistance(0.2))]
    scenes = [write_scene(tmp_path / "scenes", known[0][0])]
    run = run_contender(contender, scenes, tmp_path / "out", RunSettings())
    row = compare_run(contender, "sparse", run, scenes, known, tmp_path / "out")
    assert "IoU" not in row.values and row.values["parameters"] and row.remark == "random weights: costs only"


def test_a_failing_process_leaves_its_reason_in_the_row(tmp_path: Path, in_process: None) -> None:
    contender = Contender("none", str(tmp_path / "none.yaml"))
    (tmp_path / "none.yaml").write_text("model: {field: sparse}\n")
    scenes = [write_scene(tmp_path / "scenes", ball("a", 0))]
    run = run_contender(contender, scenes, tmp_path / "out", RunSettings())
    assert run.failure is not None and "no such weights" in run.failure
    row = compare_run(contender, "none", run, scenes, [(ball("a", 0), KnownDistance(0.2))], tmp_path / "out")
    assert row.scenes == 0 and "no such weights" in row.remark


def test_scenes_of_a_data_set_have_its_points_and_a_perfect_surface_scores_so(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", models=2)
    data = DataConfig(folder=str(root), points=300, noise_m=0.0, near_surface_share=0.0)
    known = data_set_scenes(data, "train", 1, 0, with_normals=True)
    assert [(scene.category, scene.name) for scene, _ in known] == [("a", "m0"), ("b", "m0")]
    scene, truth = known[0]
    assert scene.points_world.shape == (300, 3) and scene.normals_world is not None
    assert truth.errors(scene.points_world.astype(np.float64)).max() < 0.02


def test_growth_leaves_out_a_method_where_it_failed_before_and_goes_on_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scene(area_m2: float, voxel_size_m: float, seed: int) -> tuple[ScannedScene, None]:
        return replace(
            ball(f"building_{area_m2:g}_m2", 0, "generated"), floor_m2=area_m2, voxel_size_m=voxel_size_m
        ), None

    def run(contender: Contender, scenes: list[Path], out: Path, settings: RunSettings) -> Run:
        too_large = contender.name == "dense" and read_scene(scenes[0]).floor_m2 == 100
        if not too_large:
            write_mesh(out / "generated" / f"{scenes[0].stem}.ply", Mesh(np.eye(3), np.array([[0, 1, 2]])))
            made = {"seconds": {"encode": 1.0, "mesh": 2.0}, "seam": None, "faces": 1}
            (out / "generated" / f"{scenes[0].stem}.json").write_text(json.dumps(made))
        return Run(1, None if too_large else 10**9, None, "memory" if too_large else None)

    monkeypatch.setattr(growth, "building_scene", scene)
    monkeypatch.setattr(growth, "run_contender", run)
    for name in ("dense", "sparse"):
        for area in (50, 100, 200):
            (tmp_path / "runs" / name / f"{area}" / "generated").mkdir(parents=True)
    methods = [(name, Contender(name, "x.yaml"), RunSettings()) for name in ("dense", "sparse")]
    seen: list[GrowthPoint] = []
    found = measure_growth(methods, [200, 50, 100], 0.1, tmp_path, 0, seen.append)
    assert found == seen
    assert [(each.name, each.floor_m2, each.seconds, each.failure) for each in found] == [
        ("dense", 50, 3.0, None), ("sparse", 50, 3.0, None), ("dense", 100, None, "memory"),
        ("sparse", 100, 3.0, None), ("sparse", 200, 3.0, None),
    ]  # fmt: skip
    for path in draw_growth(tmp_path, found, 2 * 10**9, 10.0):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert growth_table(found)[3][-1] == "not in the memory it was allowed"
