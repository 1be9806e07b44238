"""Evaluation of a whole data set: the tables, resuming, and predictions that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.coordinates import UnitFrame
from sparse_convonet.data.convonet.binvox import Voxels, write_binvox
from sparse_convonet.data.convonet.sidecar import write_frame
from sparse_convonet.evaluation.contenders import Contender, open_predictor
from sparse_convonet.evaluation.data_set import EvaluationSettings, ModelRow, evaluate
from sparse_convonet.evaluation.mesh_scores import MeshScores
from sparse_convonet.evaluation.predictors import Prediction, empty_mesh
from sparse_convonet.evaluation.published import ROOMS, SCANNET, TABLES
from sparse_convonet.evaluation.tables import OVER_CLASSES, OVER_MODELS, columns_of, markdown, summarise, write_rows
from sparse_convonet.structures import Mesh, TrainingSample
from tests.data.convonet.small_set import write_set

SETTINGS = EvaluationSettings(split="train")


class BallPredictor:
    """Knows that every model is a ball, and measures its radius."""

    name, parameters, needs_normals = "ball", 0, False

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls = 0
        self.fail_at = fail_at

    def predict(self, sample: TrainingSample) -> Prediction:
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        self.calls += 1
        centre = sample.points_world.mean(axis=0) if sample.unit_frame is None else sample.unit_frame.centre_world
        radius = float(np.linalg.norm(sample.points_world - centre, axis=1).mean())
        shape = trimesh.creation.icosphere(subdivisions=4, radius=radius)
        return Prediction(Mesh(np.array(shape.vertices) + centre, np.array(shape.faces, dtype=np.int64)), {"mesh": 0.5})


class NothingPredictor(BallPredictor):
    def predict(self, sample: TrainingSample) -> Prediction:
        return Prediction(empty_mesh(), {"mesh": 0.0})


def config(root: Path) -> DataConfig:
    return DataConfig(folder=str(root), points=300, noise_m=0.0, near_surface_share=0.0, voxel_size_m=(0.05, 0.05))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", models=2)


def test_a_perfect_prediction_scores_so_and_nothing_scores_as_published(root: Path, tmp_path: Path) -> None:
    rows = evaluate(BallPredictor(), config(root), tmp_path / "ball", SETTINGS, identity={})
    assert [(row.category, row.model) for row in rows] == [("a", "m0"), ("a", "m1"), ("b", "m0"), ("b", "m1")]
    for row in rows:
        assert row.scores.iou is not None and row.scores.iou > 0.95
        assert row.scores.accuracy < 0.03  # the 400 samples of the truth are 4 cm apart
        assert row.scores.normal_consistency > 0.99 and row.metres_per_unit is None
    nothing = evaluate(NothingPredictor(), config(root), tmp_path / "nothing", SETTINGS, identity={})
    assert {row.scores.iou for row in nothing} == {0.0} and {row.faces for row in nothing} == {0}


def test_lengths_are_metres_where_the_size_is_known(root: Path, tmp_path: Path) -> None:
    unit = evaluate(BallPredictor(), config(root), tmp_path / "unit", SETTINGS, identity={})
    for model in root.glob("*/m*"):
        write_frame(model, UnitFrame(np.array([5.0, 6.0, 7.0]), 4.0))
    metric = evaluate(BallPredictor(), config(root), tmp_path / "metric", SETTINGS, identity={})
    for one, other in zip(unit, metric, strict=True):
        assert other.metres_per_unit == 4.0
        assert other.scores.accuracy == pytest.approx(4 * one.scores.accuracy, rel=0.02)
        assert other.scores.iou == pytest.approx(one.scores.iou, abs=0.05)
    assert "Chamfer-L1 m" in columns_of(metric[0]) and "F 5 cm" in columns_of(metric[0])
    with pytest.raises(ValueError, match="all in metres or none"):
        summarise("mixed", [unit[0], metric[0]])


def test_a_stopped_run_goes_on_and_gives_the_same_scores(root: Path, tmp_path: Path) -> None:
    whole = evaluate(BallPredictor(), config(root), tmp_path / "whole", SETTINGS, identity={"weights": "1"})
    stopping = BallPredictor(fail_at=2)
    with pytest.raises(KeyboardInterrupt):
        evaluate(stopping, config(root), tmp_path / "parts", SETTINGS, identity={"weights": "1"})
    going_on = BallPredictor()
    parts = evaluate(going_on, config(root), tmp_path / "parts", SETTINGS, identity={"weights": "1"})
    assert parts == whole and (stopping.calls, going_on.calls) == (2, 2)
    with pytest.raises(ValueError, match="holds scores of other settings"):
        evaluate(going_on, config(root), tmp_path / "parts", SETTINGS, identity={"weights": "2"})
    other = write_set(tmp_path / "other", models=2)
    with pytest.raises(ValueError, match="holds scores of other settings"):
        evaluate(going_on, config(other), tmp_path / "parts", SETTINGS, identity={"weights": "1"})


def test_damaged_scores_are_named(root: Path, tmp_path: Path) -> None:
    evaluate(BallPredictor(), config(root), tmp_path / "out", SETTINGS, identity={})
    (tmp_path / "out" / "models" / "a" / "m1.json").write_text("{}")
    with pytest.raises(ValueError, match=r"m1.json: expected scores, found something else; remove the file"):
        evaluate(BallPredictor(), config(root), tmp_path / "out", SETTINGS, identity={})


def test_limit_takes_the_first_models_of_each_class_and_surfaces_alone_have_no_iou(root: Path, tmp_path: Path) -> None:
    for folder in root.glob("*/m*/points_iou"):
        folder.rename(folder.with_name("elsewhere"))
    settings = replace(SETTINGS, limit=1, only_surface=True, save_meshes=True)
    rows = evaluate(BallPredictor(), config(root), tmp_path / "out", settings, identity={})
    assert [(row.category, row.model) for row in rows] == [("a", "m0"), ("b", "m0")]
    assert all(row.scores.iou is None for row in rows)
    assert (tmp_path / "out" / "models" / "b" / "m0.ply").is_file()


def test_meshes_are_exported_where_and_as_the_published_evaluation_reads_them(root: Path, tmp_path: Path) -> None:
    centre = np.array([10.0, -4.0, 2.0])  # metres, z up
    for folder in root.glob("a/m*"):
        write_frame(folder, UnitFrame(centre, 3.0))
    settings = replace(SETTINGS, limit=1, only_surface=True, export_official=str(tmp_path / "generation"))
    evaluate(BallPredictor(), config(root), tmp_path / "out", settings, identity={})
    written = sorted(path.relative_to(tmp_path) for path in (tmp_path / "generation").rglob("*.off"))
    assert [str(path) for path in written] == ["generation/meshes/a/m0.off", "generation/meshes/b/m0.off"]
    for path, radius in zip(written, (0.2, 0.22), strict=True):  # of models 0 and 2, in the unit cube
        mesh = trimesh.load(tmp_path / path, process=False)
        assert mesh.is_watertight and mesh.volume > 0
        np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), radius, atol=2e-3)


def test_empty_meshes_are_not_exported_and_it_is_said(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(SETTINGS, limit=1, only_surface=True, export_official=str(tmp_path / "generation"))
    evaluate(NothingPredictor(), config(root), tmp_path / "out", settings, identity={})
    assert not list(tmp_path.glob("generation/**/*.off")) and "a/m0: no surface" in caplog.text


def row(category: str, model: str, iou: float | None, accuracy: float) -> ModelRow:
    scores = MeshScores(iou, accuracy, accuracy, 0.9, (0.1, 0.2, 0.3))
    return ModelRow(category, model, scores, {"mesh": 2.0}, 10, None)


def test_mean_of_classes_weighs_each_class_alike(tmp_path: Path) -> None:
    rows = [row("a", "1", 0.2, 0.01), row("a", "2", 0.4, 0.03), row("b", "1", 0.9, 0.05)]
    found = {each.category: each for each in summarise("x", rows)}
    assert found["a"].values["IoU"] == pytest.approx(0.3) and found["a"].models == 2
    assert found[OVER_CLASSES].values["IoU"] == pytest.approx(0.6)
    assert found[OVER_MODELS].values["IoU"] == pytest.approx(0.5)
    assert found[OVER_MODELS].values["Chamfer-L1 x10"] == pytest.approx(0.3)
    write_rows(tmp_path, rows, list(found.values()))
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0].startswith("class,model,faces,IoU,Chamfer-L1,") and len(lines) == 4
    content = json.loads((tmp_path / "scores.json").read_text())
    assert [each["class"] for each in content["means"]] == ["a", "b", OVER_CLASSES, OVER_MODELS]


def test_published_rows_follow_in_their_columns() -> None:
    table = markdown(summarise("ours", [row("a", "1", 0.5, 0.004)]), ROOMS).splitlines()
    header = [cell.strip() for cell in table[0].split("|")]
    grid = next(line for line in table if "grid 64^3 (published)" in line).split("|")
    assert grid[header.index("IoU")].strip() == "0.849" and grid[header.index("Chamfer-L1 x10")].strip() == "0.042"
    assert grid[header.index("accuracy")].strip() == ""
    scannet = markdown(summarise("ours", [row("a", "1", 0.5, 0.004)]), SCANNET).splitlines()
    grid = next(line for line in scannet if "grid 64^3 (published)" in line).split("|")
    assert (grid[header.index("F 1 %")].strip(), grid[header.index("F 1.5 %")].strip()) == ("", "0.886")
    ours = next(line for line in table if line.startswith("| ours | a")).split("|")
    assert ours[header.index("Chamfer-L1 x10")].strip() == "0.04"
    assert {name: len(rows) for name, rows in TABLES.items()} == {"rooms": 9, "scannet": 9, "shapenet": 5, "voxels": 5}


def test_scores_without_models_are_refused() -> None:
    with pytest.raises(ValueError, match="expected scores of at least one model, found none"):
        summarise("x", [])


def test_the_voxels_of_the_models_are_scored_as_they_are(root: Path, tmp_path: Path) -> None:
    """The row "input" of voxel super-resolution."""
    centres = np.argwhere(np.ones((32, 32, 32))) / 32 + 1 / 64 - 0.5
    radii = []
    for number, model in enumerate(sorted(root.glob("*/m*"))):
        radii.append(0.2 + number / 100)
        inside = np.linalg.norm(centres, axis=1) < radii[-1]
        write_binvox(model / "model.binvox", Voxels(inside.reshape(32, 32, 32), (-0.5, -0.5, -0.5), 1.0))
    contender = Contender("input", str(Path(__file__).parents[2] / "configs" / "voxels" / "input.yaml"))
    data = replace(contender.config.data, folder=str(root))
    rows = evaluate(open_predictor(contender, "cpu"), data, tmp_path / "out", SETTINGS, identity=contender.identity())
    for row, radius in zip(rows, radii, strict=True):
        assert row.scores.iou is not None and 0.8 < row.scores.iou <= 1
        assert 0.002 < row.scores.accuracy < 1 / 32 and 0.6 < row.scores.normal_consistency < 0.9
        assert row.faces > 12 * (radius * 32) ** 2
