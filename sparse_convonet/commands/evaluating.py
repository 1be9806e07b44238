"""What `sparse-convonet evaluate` does, once its options are read."""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from sparse_convonet.commands.evaluate import MESHES
from sparse_convonet.data.convonet.stream import evaluation_samples
from sparse_convonet.evaluation.contenders import Contender, contenders_of, load_contender, open_predictor
from sparse_convonet.evaluation.data_set import EvaluationSettings, evaluate
from sparse_convonet.evaluation.mesh_scores import METRIC_THRESHOLDS_M, UNIT_THRESHOLDS, evaluate_mesh
from sparse_convonet.evaluation.predictors import NetworkPredictor, Predictor
from sparse_convonet.evaluation.published import TABLES
from sparse_convonet.evaluation.tables import OVER_CLASSES, Summary, markdown, summarise, write_rows
from sparse_convonet.io.meshes import read_geometry
from sparse_convonet.io.points import read_points
from sparse_convonet.reconstruct.sample_mesh import Finishing
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.devices import chosen_device
from sparse_convonet.runtime.refusals import require_file
from sparse_convonet.structures import Mesh, PointCloud
from sparse_convonet.training.validation import validate


def score_models(options: argparse.Namespace) -> None:
    """Scores of every model in its own folder, and one table of all."""
    device = chosen_device(options.device)
    settings = EvaluationSettings(options.split, options.limit, options.seed, options.only_surface, options.save_meshes)
    official = options.export_official
    summaries: list[Summary] = []
    for contender in contenders_of(options.what, options.overrides, options.checkpoint):
        predictor, identity = _predictor(contender, options, device)
        folder = options.out / contender.name
        with tqdm(desc=contender.name, unit="model") as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

            if official is not None:
                settings = replace(settings, export_official=str((official / contender.name).resolve()))
            rows = evaluate(predictor, contender.config.data, folder, settings, identity=identity, finished=show)
        found = summarise(contender.name, rows)
        write_rows(folder, rows, found)
        with atomic_path(folder / "table.md") as temporary:
            temporary.write_text(markdown(found), encoding="utf-8")
        summaries += found
    table = markdown(
        [each for each in summaries if each.category == OVER_CLASSES], TABLES[options.papers] if options.papers else ()
    )
    with atomic_path(options.out / "table.md") as temporary:
        temporary.write_text(table, encoding="utf-8")
    print(table, end="")


def _predictor(contender: Contender, options: argparse.Namespace, device: str) -> tuple[Predictor, dict[str, Any]]:
    """What makes the meshes, and what decides the scores beside the data."""
    config, identity = contender.config, contender.identity()
    if config.baseline is not None:
        return open_predictor(contender, device), identity
    threshold = options.tau
    if options.choose_threshold:
        model = load_contender(contender, device)
        held_out = evaluation_samples(config.data, "val", options.choose_threshold, options.seed)
        score = validate(model.network, held_out, torch.device(device))
        threshold = score.best_threshold
        print(f"{model.name}: tau {threshold:g}, IoU {score.best_iou:.4f} on {len(held_out)} models of the val split")
    finishing = Finishing(options.simplify, options.refine, options.seed)
    predictor = open_predictor(contender, device, cells=options.cells or None, threshold=threshold, finishing=finishing)
    assert isinstance(predictor, NetworkPredictor)
    identity = {**identity, "threshold": predictor.threshold, "cells": predictor.cells}
    changed = options.simplify is not None or options.refine > 0
    return predictor, {**identity, "finishing": asdict(finishing)} if changed else identity


def score_pair(options: argparse.Namespace) -> None:
    """One mesh or cloud against another."""
    predicted, truth = (_read(path, options.seed) for path in options.what)
    thresholds = METRIC_THRESHOLDS_M if options.metres else UNIT_THRESHOLDS
    scores = evaluate_mesh(predicted, truth, thresholds=thresholds, seed=options.seed)
    unit = "m" if options.metres else "of the unit cube"
    print(f"accuracy {scores.accuracy:.5g} {unit}, completeness {scores.completeness:.5g} {unit}")
    print(f"Chamfer-L1 {scores.chamfer_l1:.5g} {unit}, Chamfer-L2 {scores.chamfer_l2:.5g} of its square")
    if math.isnan(scores.normal_consistency):
        print("normal consistency unknown: a cloud has no normals")
    else:
        print(
            f"normal consistency {scores.normal_consistency:.4f}, predicted to true {scores.normals_accuracy:.4f}, true to "
            f"predicted {scores.normals_completeness:.4f}"
        )
    for threshold, value in zip(thresholds, scores.f_scores, strict=True):
        print(f"F-score {value:.4f} at {threshold:g} {unit}")


def _read(path: Path, seed: int) -> Mesh | PointCloud:
    require_file(path)
    return read_geometry(path) if path.suffix.lower() in MESHES else read_points(path, seed=seed)
