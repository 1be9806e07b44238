"""Score models on a data set by the papers' protocol: IoU, Chamfer-L1, normal consistency, F-scores."""

from __future__ import annotations

from sparse_convonet.io.cli import run_tool, starting

with starting():
    import argparse
    import logging
    from pathlib import Path
    from typing import Any

    import torch
    from tqdm import tqdm

    from sparse_convonet.data.convonet.stream import evaluation_samples
    from sparse_convonet.evaluation.contenders import Contender, contenders_of, load_contender, open_predictor
    from sparse_convonet.evaluation.data_set import EvaluationSettings, evaluate
    from sparse_convonet.evaluation.mesh_scores import METRIC_THRESHOLDS_M, UNIT_THRESHOLDS, evaluate_mesh
    from sparse_convonet.evaluation.predictors import PUBLISHED_CELLS, NetworkPredictor, Predictor
    from sparse_convonet.evaluation.published import TABLES
    from sparse_convonet.evaluation.tables import OVER_CLASSES, Summary, markdown, summarise, write_rows
    from sparse_convonet.io.atomic import atomic_path
    from sparse_convonet.io.meshes import read_mesh
    from sparse_convonet.training.validation import validate

MESHES = (".ply", ".obj", ".off", ".stl", ".glb")


def main(arguments: list[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if all(path.suffix.lower() in MESHES for path in options.what):
        _score_pair(options)
        return
    if options.tau is not None and options.choose_threshold:
        raise ValueError("expected --tau or --choose-threshold, found both; leave one out")
    if options.out is None:
        raise ValueError("--out: expected a folder for the scores, found none; name one")
    settings = EvaluationSettings(options.split, options.limit, options.seed, options.only_surface, options.save_meshes)
    summaries: list[Summary] = []
    for contender in contenders_of(options.what, options.overrides, options.checkpoint):
        predictor, identity = _predictor(contender, options)
        folder = options.out / contender.name
        with tqdm(desc=contender.name, unit="model") as bar:

            def show(done: int, total: int, bar: tqdm = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)

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


def _predictor(contender: Contender, options: argparse.Namespace) -> tuple[Predictor, dict[str, Any]]:
    """What makes the meshes, and what decides the scores beside the data."""
    config, identity = contender.config, contender.identity()
    if config.baseline is not None:
        return open_predictor(contender, options.device), identity
    threshold = options.tau
    if options.choose_threshold:
        model = load_contender(contender, options.device)
        held_out = evaluation_samples(config.data, "val", options.choose_threshold, options.seed)
        score = validate(model.network, held_out, torch.device(options.device))
        threshold = score.best_threshold
        print(f"{model.name}: tau {threshold:g}, IoU {score.best_iou:.4f} on {len(held_out)} models of the val split")
    predictor = open_predictor(contender, options.device, cells=options.cells or None, threshold=threshold)
    assert isinstance(predictor, NetworkPredictor)
    return predictor, {**identity, "threshold": predictor.threshold, "cells": predictor.cells}


def _score_pair(options: argparse.Namespace) -> None:
    if len(options.what) != 2:
        raise ValueError(f"expected two meshes, the prediction and the truth, found {len(options.what)}")
    predicted, truth = (read_mesh(path) for path in options.what)
    thresholds = METRIC_THRESHOLDS_M if options.metres else UNIT_THRESHOLDS
    scores = evaluate_mesh(predicted, truth, thresholds=thresholds, seed=options.seed)
    unit = "m" if options.metres else "of the unit cube"
    print(f"accuracy {scores.accuracy:.5g} {unit}, completeness {scores.completeness:.5g} {unit}")
    print(f"Chamfer-L1 {scores.chamfer_l1:.5g} {unit}, normal consistency {scores.normal_consistency:.4f}")
    for threshold, value in zip(thresholds, scores.f_scores, strict=True):
        print(f"F-score {value:.4f} at {threshold:g} {unit}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("what", nargs="+", type=Path, metavar="CONFIG", help="configurations or .safetensors files; or two meshes")
    add("--checkpoint", nargs="+", type=Path, default=[], help="weights, one file for each configuration that learns; "
        "default: runs/<config>/best.safetensors")  # fmt: skip
    add("--set", dest="overrides", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    add("--out", type=Path, help="folder for the scores; a stopped run goes on there")
    add("--split", default="test")
    add("--limit", type=int, help="models per class")
    add("--cells", type=int, default=PUBLISHED_CELLS, help="of the mesh along the padded cube; 0: as the configuration "
        "says (default 128, as published)")  # fmt: skip
    add("--tau", type=float, help="occupancy probability of the surface; default: stored with the weights")
    add("--choose-threshold", type=int, metavar="MODELS", help="choose tau by the IoU on so many models of the val "
        "split; it is kept in settings.json")  # fmt: skip
    add("--only-surface", action="store_true", help="no inside to compare: real scans")
    add("--save-meshes", action="store_true")
    add("--papers", choices=sorted(TABLES), help="add the rows that were published for this data")
    add("--metres", action="store_true", help="two meshes: their unit is the metre")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    run_tool(main)
