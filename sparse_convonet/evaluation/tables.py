"""Scores as tables: one row per model (csv, json), one per class and predictor (markdown)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparse_convonet.evaluation.data_set import ModelRow
from sparse_convonet.evaluation.means import column_means
from sparse_convonet.evaluation.published import PublishedRow
from sparse_convonet.runtime.atomic import atomic_path

OVER_CLASSES, OVER_MODELS = "mean of classes", "mean of models"


@dataclass(frozen=True)
class Summary:
    """Means over the models of a class, of all classes, or of all models.  values: by column."""

    predictor: str
    category: str
    models: int
    values: dict[str, float | None]


def columns_of(row: ModelRow, *, more: bool = False) -> dict[str, float | None]:
    """Names and values of one model's scores; names say the unit.  more: also what only the published code prints."""
    scores, metric = row.scores, row.metres_per_unit is not None
    unit = " m" if metric else ""
    names = [f"F {100 * each:g} cm" if metric else f"F {100 * each:g} %" for each in row.thresholds]
    lengths = {
        f"Chamfer-L1{unit}": scores.chamfer_l1,
        **({} if metric else {"Chamfer-L1 x10": 10 * scores.chamfer_l1}),
        f"accuracy{unit}": scores.accuracy,
        f"completeness{unit}": scores.completeness,
        **({f"Chamfer-L2{' m2' if metric else ''}": scores.chamfer_l2} if more else {}),
    }
    one_way = {"normal acc.": scores.normals_accuracy, "normal compl.": scores.normals_completeness} if more else {}
    return {
        "IoU": scores.iou,
        **lengths,
        "normal c.": scores.normal_consistency,
        **one_way,
        **dict(zip(names, scores.f_scores, strict=True)),
        **{f"{stage} s": value for stage, value in row.seconds.items()},
    }


def summarise(predictor: str, rows: Sequence[ModelRow]) -> list[Summary]:
    """One summary per class, then the mean of the classes' means (as published), then the mean of all models.

    Raises ValueError without rows, and where some are in metres and some are not.
    """
    if not rows:
        raise ValueError(f"{predictor}: expected scores of at least one model, found none")
    if len({row.metres_per_unit is None for row in rows}) > 1:
        raise ValueError(f"{predictor}: expected models all in metres or none, found both; evaluate them apart")
    values = [columns_of(row, more=True) for row in rows]
    classes = list(dict.fromkeys(row.category for row in rows))
    summaries = []
    for category in classes:
        mine = [each for row, each in zip(rows, values, strict=True) if row.category == category]
        summaries.append(Summary(predictor, category, len(mine), column_means(mine)))
    over_classes = column_means([each.values for each in summaries])
    return [
        *summaries,
        Summary(predictor, OVER_CLASSES, len(rows), over_classes),
        Summary(predictor, OVER_MODELS, len(rows), column_means(values)),
    ]


def write_rows(out: Path, rows: Sequence[ModelRow], summaries: Sequence[Summary]) -> None:
    """Write scores.csv and scores.json: every model, and every mean."""
    text = io.StringIO()
    names = list(columns_of(rows[0], more=True))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "model", "faces", *names])
    for row in rows:
        values = columns_of(row, more=True)
        writer.writerow([row.category, row.model, row.faces, *("" if values[n] is None else values[n] for n in names)])
    with atomic_path(out / "scores.csv") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
    content = {
        "means": [{"class": each.category, "models": each.models, **each.values} for each in summaries],
        "models": [
            {"class": row.category, "model": row.model, "faces": row.faces, **columns_of(row, more=True)}
            for row in rows
        ],
    }
    with atomic_path(out / "scores.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def markdown(summaries: Sequence[Summary], published: Sequence[PublishedRow] = ()) -> str:
    """A table of summaries; rows of a paper follow, marked as published."""
    names = list(dict.fromkeys(name for each in summaries for name in each.values))
    lines = ["| | class | models | " + " | ".join(names) + " |", "| --- | --- | ---: |" + " ---: |" * len(names)]
    for each in summaries:
        cells = [_cell(each.values.get(name)) for name in names]
        lines.append(f"| {each.predictor} | {each.category} | {each.models} | " + " | ".join(cells) + " |")
    for row in published:
        given = {
            "IoU": row.iou,
            "Chamfer-L1 x10": row.chamfer_l1_x10,
            "normal c.": row.normal_consistency,
            f"F {100 * row.f_threshold:g} %": row.f_score,
        }
        cells = [_cell(given.get(name)) for name in names]
        lines.append(f"| {row.name} (published) | | | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
