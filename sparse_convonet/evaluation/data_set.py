"""Score a predictor on every model of a data set's split; what is finished is kept, so a stopped run goes on."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sparse_convonet.config.experiment import DataConfig
from sparse_convonet.data.convonet.dataset import ConvonetDataset, DrawSettings
from sparse_convonet.data.convonet.layout import OCCUPANCY, SURFACE, ModelFolder
from sparse_convonet.data.convonet.samples import read_occupancy, read_surface
from sparse_convonet.data.convonet.sidecar import read_frame
from sparse_convonet.data.convonet.stream import in_world
from sparse_convonet.evaluation.mesh_scores import METRIC_THRESHOLDS_M, UNIT_THRESHOLDS, MeshScores, Truth, score_mesh
from sparse_convonet.evaluation.predictors import Prediction, Predictor, as_unit_mesh
from sparse_convonet.io.meshes import write_mesh
from sparse_convonet.metrics.surface import SurfaceSamples
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.structures import Mesh, TrainingSample

logger = logging.getLogger(__name__)

SETTINGS_FILE = "settings.json"
_ROOMS = "rooms_"  # classes of the papers' rooms, whose walls have one side only


@dataclass(frozen=True)
class EvaluationSettings:
    """only_surface: there is no inside to compare, as for real scans.  limit: models per class; None: all.
    save_meshes: keep every mesh beside its scores.  export_official: a folder in which the published eval_meshes.py finds
    them, its generation_dir: <it>/meshes/<class>/<model>.off, in the unit cube, y up; meshes without faces are left out."""

    split: str = "test"
    limit: int | None = None
    seed: int = 0
    only_surface: bool = False
    save_meshes: bool = False
    export_official: str | None = None


@dataclass(frozen=True)
class ModelRow:
    """Scores of one model.  metres_per_unit: None where lengths are sides of the unit cube, otherwise they are metres."""

    category: str
    model: str
    scores: MeshScores
    seconds: dict[str, float]
    faces: int
    metres_per_unit: float | None

    @property
    def thresholds(self) -> tuple[float, ...]:
        return UNIT_THRESHOLDS if self.metres_per_unit is None else METRIC_THRESHOLDS_M


def evaluate(
    predictor: Predictor,
    data: DataConfig,
    out: Path,
    settings: EvaluationSettings = EvaluationSettings(),
    *,
    identity: dict[str, Any],
    finished: Callable[[int, int], None] = lambda done, total: None,
) -> list[ModelRow]:
    """Score every model of the split and keep one file per model in <out>/models.

    data: folder, classes, number of points and noise.  identity: what else decides the scores (weights, threshold);
    a folder begun with another one is refused.  finished: called with numbers of models done and in all.
    """
    if data.folder is None:
        raise ValueError("data.folder: expected the folder of a data set to evaluate on, found null; name one")
    dataset = open_scans(data, data.folder, settings.split, settings.seed, with_normals=predictor.needs_normals)
    _begin(
        out, {**identity, "data": asdict(replace(data, folder=str(Path(data.folder).resolve()))), **asdict(settings)}
    )
    chosen = limited(dataset.models, settings.limit)
    voxel_size = float(np.sqrt(np.prod(data.voxel_size_m)))
    rows = []
    for done, index in enumerate(chosen):
        finished(done, len(chosen))
        model = dataset.models[index]
        path = out / "models" / model.category / f"{model.name}.json"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            sample = dataset.draw(index, 0)
            seen = in_world(sample, voxel_size)
            prediction = predictor.predict(seen)
            if settings.save_meshes:
                write_mesh(path.with_suffix(".ply"), prediction.mesh)
            if settings.export_official is not None:
                _export_official(Path(settings.export_official), as_unit_mesh(prediction.mesh, seen), model)
            rng = np.random.default_rng([settings.seed, index])
            row = score_model(prediction, sample.model, seen, rng, only_surface=settings.only_surface)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(asdict(row), indent=1) + "\n", encoding="utf-8")
        rows.append(_read_row(path))
    finished(len(chosen), len(chosen))
    return rows


def _export_official(folder: Path, mesh: Mesh, model: ModelFolder) -> None:
    if len(mesh.faces) == 0:
        logger.warning("%s/%s: no surface, so there is no mesh to export", model.category, model.name)
        return
    path = folder / "meshes" / model.category / f"{model.name}.off"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mesh(path, mesh)


def open_scans(data: DataConfig, folder: str, split: str, seed: int, *, with_normals: bool) -> ConvonetDataset:
    """The models of a split as methods get them: points and noise of `data`, first files, no queries."""
    draw = DrawSettings(
        points=data.points, queries=None, noise=data.noise_m, keep_ratio=data.keep_ratio, random_file=False,
        with_queries=False, with_normals=with_normals, input=data.input,
        image_pixels=data.image_pixels,
    )  # fmt: skip
    return ConvonetDataset(folder, split, draw, seed=seed, categories=data.classes, skip_broken=data.skip_broken)


def limited(models: list[ModelFolder], limit: int | None) -> list[int]:
    """Indices of the first `limit` models of each class; None: of all."""
    counts: dict[str, int] = {}
    chosen = []
    for index, model in enumerate(models):
        counts[model.category] = counts.get(model.category, 0) + 1
        if limit is None or counts[model.category] <= limit:
            chosen.append(index)
    return chosen


def _begin(out: Path, identity: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path, text = out / SETTINGS_FILE, json.dumps(identity, indent=1, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise ValueError(f"{out}: holds scores of other settings (see {SETTINGS_FILE}); name another --out")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def score_model(
    prediction: Prediction,
    model: ModelFolder,
    sample: TrainingSample,
    rng: np.random.Generator,
    *,
    only_surface: bool = False,
) -> ModelRow:
    """Scores of the mesh made of a sample of a model, against what the model's folder holds."""
    surface = read_surface(model.files(SURFACE)[0], with_semantics=False)
    if surface.normals is None:
        raise ValueError(f"{model.path}: expected normals of the surface to compare with, found none; prepare it again")
    normals = surface.normals.astype(np.float64)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    truth = Truth(SurfaceSamples(surface.points_unit.astype(np.float64), normals))
    if not only_surface:
        stored = read_occupancy(model.files(OCCUPANCY)[0], with_semantics=False)
        truth = replace(truth, queries=stored.points_unit.astype(np.float64), occupied=stored.occupied)
    size = _metres_per_unit(model)
    thresholds = UNIT_THRESHOLDS if size is None else tuple(each / size for each in METRIC_THRESHOLDS_M)
    scores = score_mesh(
        as_unit_mesh(prediction.mesh, sample),
        truth,
        thresholds,
        rng,
        cut_at_walls=model.category.startswith(_ROOMS),
    )
    if size is not None:
        scores = replace(
            scores,
            accuracy=scores.accuracy * size,
            completeness=scores.completeness * size,
            chamfer_l2=None if scores.chamfer_l2 is None else scores.chamfer_l2 * size**2,
        )
    return ModelRow(model.category, model.name, scores, dict(prediction.seconds), len(prediction.mesh.faces), size)


def _metres_per_unit(model: ModelFolder) -> float | None:
    frame = read_frame(model.path)
    return None if frame is None else frame.metres_per_unit


def _read_row(path: Path) -> ModelRow:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = MeshScores(**{**content.pop("scores")})
        scores = replace(scores, f_scores=tuple(scores.f_scores))
        row = ModelRow(scores=scores, **content)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: expected scores, found something else; remove the file to score it again") from error
    if not all(math.isfinite(value) for value in (scores.accuracy, scores.completeness)):
        raise ValueError(f"{path}: expected finite scores; remove the file to score it again")
    return row
