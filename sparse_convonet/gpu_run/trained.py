"""The third part: train for some minutes, from given weights or from where an earlier run ended, and tell how it went."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse_convonet.config.experiment import config_from_mapping
from sparse_convonet.gpu_run.failures import telling
from sparse_convonet.training.checkpoint import load_state
from sparse_convonet.training.curves import CURVES, CsvCurves, read_curves
from sparse_convonet.training.loop import train
from sparse_convonet.training.starting import CHECKPOINT
from sparse_convonet.training.stopping import StopRequest

_POINTS_OF_CURVE = 40
_VALIDATION = "iou/validation_"


@telling
def train_for(config: dict[str, Any], out: str, minutes: float, init: str | None, device: str) -> dict[str, Any]:
    """Train and return what summary_of makes of it; for a process of its own.

    A run in `out` is resumed and gets `minutes` more; `init` counts for one that begins.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    folder, place = Path(out), torch.device(device)
    experiment = config_from_mapping(config, "GPU run")
    resume = (folder / CHECKPOINT).exists()
    before = load_state(folder / CHECKPOINT, torch.device("cpu")) if resume else None
    first_step, seconds = (0, 0.0) if before is None else (before.step, before.seconds)
    training = replace(experiment.training, minutes=seconds / 60 + minutes)
    with StopRequest() as stop:
        train(
            replace(experiment, training=training),
            folder,
            place,
            resume,
            stop,
            init=None if resume else init,
            curves=CsvCurves,
        )
    peak = torch.cuda.max_memory_allocated() / 1e9 if place.type == "cuda" else None
    return {**summary_of(folder, first_step), "device_memory_gb": peak, "workers": training.workers}


def summary_of(out: Path, first_step: int = 0) -> dict[str, Any]:
    """What the table of curves in a run's folder says about the steps after `first_step`.

    steps_per_second: of the steps and what they waited for, without validations.  waiting_share: of that time, what was
    spent waiting for scenes.  loss: (step, mean) pairs, some forty.  validation: (step, IoU) pairs by set.
    Raises FileNotFoundError where there is no table.
    """
    rows = [row for row in read_curves(out / CURVES) if row[0] > first_step]
    waited = sum(value for _, name, value in rows if name == "seconds/waiting")
    worked = sum(value for _, name, value in rows if name == "seconds/step")
    losses = [(step, value) for step, name, value in rows if name == "loss"]
    validation: dict[str, list[tuple[int, float]]] = {}
    for step, name, value in rows:
        if name.startswith(_VALIDATION):
            validation.setdefault(name.removeprefix(_VALIDATION), []).append((step, value))
    return {
        "first_step": first_step,
        "steps": len(losses),
        "seconds": waited + worked,
        "steps_per_second": len(losses) / (waited + worked) if losses else None,
        "waiting_share": waited / (waited + worked) if losses else None,
        "loss": _thinned(losses),
        "validation": validation,
    }


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means of neighbours, each at its last step."""
    parts = np.array_split(np.array(values).reshape(-1, 2), max(1, min(_POINTS_OF_CURVE, len(values))))
    return [(int(part[-1, 0]), float(part[:, 1].mean())) for part in parts if len(part)]
