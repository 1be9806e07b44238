"""The second part: how long a training step takes with torch's gather and products, and with the Triton kernels."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from sparse_convonet.config.experiment import config_from_mapping
from sparse_convonet.data.batching import PackedBatch
from sparse_convonet.engine.convolution import TRITON_SWITCH
from sparse_convonet.gpu_run.failures import telling
from sparse_convonet.model import build
from sparse_convonet.structures import PointSet
from sparse_convonet.training.initial import initialise
from sparse_convonet.training.loop import training_step
from sparse_convonet.training.scenes import open_batches

WAYS = {"torch": "0", "triton": "1"}  # and what the switch is set to
_LARGEST_DIFFERENCE = 0.02  # of the loss of the first step, which bfloat16 rounds in both ways
_UNTIMED = 2  # steps that compile


@telling
def make_batch(config: dict[str, Any], batch: str) -> dict[str, Any]:
    """Write the first batch of a training to the file `batch`; for a process of its own.  Returns its size."""
    _prepare_process()
    experiment = config_from_mapping({**config, "training": {**config["training"], "workers": 0}}, "GPU run")
    coordinates = build(experiment.model).coordinates
    with open_batches(experiment, 0, coordinates) as batches:
        made = next(batches)
    values = {field.name: getattr(made, field.name) for field in fields(PackedBatch)}
    if made.around is not None:
        values["around"] = dict(vars(made.around))
    torch.save(values, batch)
    return {"points": len(made.points), "queries": len(made.queries)}


@telling
def time_steps(config: dict[str, Any], batch: str, init: str | None, device: str, repeats: int) -> dict[str, Any]:
    """Median milliseconds of training steps, and of encoding alone, on a batch of make_batch; for a process of its own.

    The way is what the environment says.  loss: of the first step, the same in every way up to rounding.
    """
    _prepare_process()
    experiment, place = config_from_mapping(config, "GPU run"), torch.device(device)
    torch.manual_seed(experiment.training.seed)
    model = build(experiment.model).to(place)
    if init is not None:
        initialise(model, init)
    values = torch.load(batch, weights_only=True)
    around = None if values["around"] is None else PointSet(**values["around"])
    packed = PackedBatch(**{**values, "around": around}).to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=experiment.training.learning_rate)
    model.train()

    def step() -> float:
        clip, scenes = experiment.training.clip_norm, experiment.training.batch
        return training_step(model, optimizer, packed, clip, scenes, place)[0]

    @torch.no_grad()
    def encode() -> float:
        with torch.autocast(place.type, torch.bfloat16, enabled=place.type == "cuda"):
            model.encode_observed(packed.near, packed.around)
        if place.type == "cuda":
            torch.cuda.synchronize()
        return 0.0

    losses = [step() for _ in range(_UNTIMED)]
    encode()
    timed = {}
    for name, task in (("step_ms", step), ("encode_ms", encode)):
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - started)
        timed[name] = 1e3 * statistics.median(seconds)
    return {"loss": losses[0], **timed}


def faster_way(timings: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """The way to take, and why in one sentence.

    timings: of time_steps by way, only those that ran.  Triton's kernels must be faster, and compute the same loss.
    """
    if "triton" not in timings:
        return "torch", "the Triton kernels did not run"
    if "torch" not in timings:
        return "triton", "torch's gather did not run"
    ways = {name: each["step_ms"] for name, each in timings.items()}
    losses = {name: each["loss"] for name, each in timings.items()}
    difference = abs(losses["triton"] - losses["torch"]) / max(abs(losses["torch"]), 1e-12)
    if not difference <= _LARGEST_DIFFERENCE:
        return "torch", f"the loss of the Triton kernels differs by {100 * difference:.1f} %"
    best = min(ways, key=lambda name: ways[name])
    return best, f"a step takes {ways['torch']:.1f} ms with torch and {ways['triton']:.1f} ms with Triton"


def environment_of(way: str) -> dict[str, str]:
    """What the environment must hold for a way of WAYS."""
    return {TRITON_SWITCH: WAYS[way]}


def _prepare_process() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def remove_batch(batch: Path) -> None:
    """It is of no use after the timings."""
    batch.unlink(missing_ok=True)
