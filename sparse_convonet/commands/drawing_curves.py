"""What `sparse-convonet curves` does, once its options are read."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

from sparse_convonet.report.charts import Curve, write_curves
from sparse_convonet.training.curves import read_run

_Series = list[tuple[int, float]]
_LABELS = {
    "iou": "validation IoU",
    "sides": "share of the surface of empty halls",
    "loss": "loss of a scene, summed over its queries",
}
_PREFIXES = {"iou": "iou/validation_", "sides": "sides/", "loss": "loss"}
_LOSS_PLACES = 100


def draw_curves(options: argparse.Namespace) -> None:
    """The picture, and a table for each run on stdout.

    Raises ValueError, in one sentence, for folders that hold no run, and runs without what is asked for.
    """
    if options.out.suffix.lower() != ".png":
        raise ValueError(f"--out: expected a file .png, found {options.out}; name it so")
    doubled = [run for number, run in enumerate(options.runs) if run in options.runs[:number]]
    if doubled:
        raise ValueError(f"expected each run once, found {doubled[0]} twice; leave one away")
    names = [run.name for run in options.runs]
    curves, tables = [], []
    for run in options.runs:
        series = read_run(run)
        chosen = _chosen(series, options.what, run)
        places = _hours(series.get("seconds/step", []), run) if options.hours else None
        for name, values in chosen.items():
            own = run.name if names.count(run.name) == 1 else str(run)
            title = f"{own} {name}".strip() if len(options.runs) > 1 else name or run.name
            steps = np.array([step for step, _ in values])
            x = steps if places is None else np.interp(steps, *places)
            curves.append(Curve(title, tuple(x.tolist()), tuple(value for _, value in values), None))
        tables.append(_table(run, chosen, places))
    x_label = "hours of steps" if options.hours else "step"
    write_curves(options.out, curves, x_label=x_label, y_label=_LABELS[options.what], log=False)
    print("\n\n".join(tables))


def _chosen(series: dict[str, _Series], what: str, run: Path) -> dict[str, _Series]:
    """The curves asked for, by what is left of their names."""
    prefix = _PREFIXES[what]
    found = {
        name.removeprefix(prefix): [(step, value) for step, value in values if math.isfinite(value)]
        for name, values in series.items()
        if name.startswith(prefix)
    }
    found = {name: values for name, values in found.items() if values}
    if not found:
        held = ", ".join(sorted(series)) or "none"
        raise ValueError(
            f"{run}: expected curves {prefix}* for --what {what}, found {held}; train on, or ask for another"
        )
    return {name: _thinned(values) for name, values in found.items()} if what == "loss" else found


def _thinned(values: _Series) -> _Series:
    """Means of at most so many stretches, each at its last step."""
    parts = np.array_split(np.array(values), min(_LOSS_PLACES, len(values)))
    return [(int(part[-1, 0]), float(part[:, 1].mean())) for part in parts]


def _hours(seconds: _Series, run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Steps, ascending, and after how many hours each was done."""
    if not seconds:
        raise ValueError(f"{run}: expected the time of each step for --hours, found none; leave --hours away")
    steps, each = np.array(seconds).T
    # Steps that a killed run did again are there once; those that are missing took what others take.
    done = np.diff(steps, prepend=0.0)
    return steps, np.cumsum(each * done) / 3600


def _table(run: Path, chosen: dict[str, _Series], places: tuple[np.ndarray, np.ndarray] | None) -> str:
    """Markdown: one row for each step that has values."""
    rows: dict[int, dict[str, float]] = {}
    for name, values in chosen.items():
        for step, value in values:
            rows.setdefault(step, {})[name] = value
    head = ["step", *([] if places is None else ["hours"]), *(name or _LABELS["loss"] for name in chosen)]
    lines = [f"{run}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for step, values_of in sorted(rows.items()):
        hours = [] if places is None else [f"{float(np.interp(step, *places)):.2f}"]
        cells = [f"{values_of[name]:.4f}" if name in values_of else "" for name in chosen]
        lines.append(f"| {' | '.join([str(step), *hours, *cells])} |")
    return "\n".join(lines)
