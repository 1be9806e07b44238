"""The training loop, top to bottom: batch, loss, step, average, validate, checkpoint."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from sparse_convonet.config.experiment import ExperimentConfig, TrainingConfig
from sparse_convonet.data.batching import PackedBatch
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.training.average import WeightAverage
from sparse_convonet.training.backbone import begin_with_backbone
from sparse_convonet.training.batch_norm import synchronise_batch_norm
from sparse_convonet.training.checkpoint import TrainingState
from sparse_convonet.training.curves import CurvesOpener, open_curves
from sparse_convonet.training.initial import initialise
from sparse_convonet.training.processes import Processes
from sparse_convonet.training.review import NOT_VALIDATED, Review
from sparse_convonet.training.run import Run
from sparse_convonet.training.scenes import open_batches, validation_sets
from sparse_convonet.training.sides import sides_halls
from sparse_convonet.training.starting import CHECKPOINT, open_run, restore
from sparse_convonet.training.stopping import StopRequest
from sparse_convonet.training.validation import ValidationScore

logger = logging.getLogger(__name__)

_LOG_INTERVAL_S = 60.0  # between two lines of progress in a file


def train(
    config: ExperimentConfig,
    out: Path,
    device: torch.device,
    resume: bool,
    stop: StopRequest | None = None,
    processes: Processes | None = None,
    init: str | Path | None = None,
    curves: CurvesOpener = open_curves,
) -> ValidationScore:
    """Train the model a config describes and leave its checkpoints in `out`; returns the last validation.

    init: weights that a run begins with (see initial.initialise); a run that is resumed has its own.
    Writes config.yaml (resolved), last.pt (to resume), best.safetensors and last.safetensors (averaged weights with
    config and threshold) and what `curves` opens: TensorBoard events, or a CSV file.  A resumed run ends with the weights
    of an undisturbed one.  Of several processes, the first one writes and validates, and each trains on its shard of
    every batch.  Raises ValueError where `out` holds a run already and `resume` is not set, or training.batch cannot be
    shared; TrainingStopped, after writing last.pt, where a stop was requested.  The workers that make the batches have
    ended in any case.
    """
    stop, processes = stop or StopRequest(), processes or Processes(device)
    settings = config.training
    torch.manual_seed(settings.seed)
    model = build(config.model).to(device)
    if not (resume and (out / CHECKPOINT).exists()):
        begin_with_backbone(model, settings.backbone)
    if init is not None and resume and (out / CHECKPOINT).exists():
        logger.info("%s is left out: the run goes on with its own weights", init)
    elif init is not None:
        initialise(model, init)
    state = processes.from_first(lambda: open_run(config, out, resume, model, processes.count))
    synchronise_batch_norm(model, processes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    average = WeightAverage(model, settings.ema)
    if state is not None:
        restore(state, model, average, optimizer, settings)
    first_step = 0 if state is None else state.step
    with open_batches(config, first_step, model.coordinates, processes.shard) as batches:
        review = processes.in_first(lambda: open_review(config, out, device, state, stop, curves))
        started = time.monotonic() - (0.0 if state is None else state.seconds)
        run = Run(config, out, model, optimizer, average, processes, stop, review, started)
        # A run that was stopped may owe a validation; one that has nothing left to do only tells its score.
        finished = state is not None and run.end_step(first_step, owed=not (state.reviewed and state.validation))
        if not finished:
            take_steps(run, batches, first_step, device)
        elif first_step < settings.steps and processes.first:
            logger.info("training.minutes is used up at step %d; set it higher to go on", first_step)
    return processes.from_first(lambda: review.score if review is not None else NOT_VALIDATED)


def take_steps(run: Run, batches: Iterator[PackedBatch], first_step: int, device: torch.device) -> None:
    """Train from step number `first_step` (from 0) until the run ends, after each step with what is due then.

    batches: this process's shards, beginning with that of `first_step`.  Raises TrainingStopped as `Run.end_step`.
    """
    settings, processes, review = run.config.training, run.processes, run.review
    progress = tqdm(
        range(first_step, settings.steps),
        initial=first_step,
        total=settings.steps,
        unit="step",
        disable=not processes.first,
        mininterval=0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S,
    )
    run.model.train()
    for step in progress:
        torch.manual_seed(settings.seed + step)  # whatever a step draws is the same in a run that was resumed
        for group in run.optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_share(step, settings)
        asked = time.monotonic()
        made = next(batches)
        begun = time.monotonic()
        batch = made.to(device)
        loss, iou = training_step(
            run.model, run.optimizer, batch, settings.clip_norm, settings.batch, device, processes
        )
        if review is not None:
            run.average.update(run.model, step)
            review.writer.add_scalar("loss", loss, step + 1)
            review.writer.add_scalar("iou/training", iou, step + 1)
            review.writer.add_scalar("learning_rate", run.optimizer.param_groups[0]["lr"], step + 1)
            review.writer.add_scalar("seconds/waiting", begun - asked, step + 1)  # for the workers to make the batch
            review.writer.add_scalar("seconds/step", time.monotonic() - begun, step + 1)
            queries = len(made.queries) * processes.count / settings.batch  # of a scene
            progress.set_postfix(loss=f"{loss / queries:.3f}", val=f"{review.score.best_iou:.3f}", refresh=False)
        if run.end_step(step + 1):
            break


def open_review(
    config: ExperimentConfig,
    out: Path,
    device: torch.device,
    state: TrainingState | None,
    stop: StopRequest,
    curves: CurvesOpener,
) -> Review:
    """The review of a run that begins, or goes on from a state; curves beyond that are taken back."""
    held_out = validation_sets(config)
    writer = curves(out, 1 if state is None else state.step + 1)
    model = build(config.model).to(device)
    review = Review(
        config=config, out=out, model=model, held_out=held_out, halls=sides_halls(config), writer=writer, stop=stop
    )
    if state is not None:
        review.best_iou = state.best_iou
        if state.validation:
            review.score = ValidationScore(state.validation)
    return review


def training_step(
    model: OccupancyNetwork,
    optimizer: torch.optim.Optimizer,
    batch: PackedBatch,
    clip_norm: float | None,
    scenes: int,
    device: torch.device,
    processes: Processes | None = None,
) -> tuple[float, float]:
    """One step: binary cross-entropy summed over the queries, mean over the scenes (ConvONet, section 3.4).

    Queries where the field has no features are masked out: nothing could be learnt from them.  A network may add a penalty
    of its own.  batch: this process's
    shard of `scenes` scenes.  Returns the loss and the IoU at 0.5 of all of them.
    """
    processes = processes or Processes(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        field = model.encode_observed(batch.near, batch.around)
        logits, known = model.occupancy(field, batch.queries, batch.query_batch)
    each = nn.functional.binary_cross_entropy_with_logits(logits.float(), batch.occupied, reduction="none")
    loss = (each * known).sum() / scenes
    penalty = model.penalty(field)
    if penalty is not None:
        loss = loss + penalty / scenes
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    processes.add_gradients(model.parameters())
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    predicted, truth = logits.detach() > 0, batch.occupied > 0.5
    counts = torch.stack([loss.detach(), (predicted & truth).sum(), (predicted | truth).sum()])
    joint_loss, intersection, union = processes.total(counts).tolist()
    return joint_loss, intersection / max(union, 1)


def learning_rate_share(step: int, settings: TrainingConfig) -> float:
    """The share of the learning rate at a step: linear warm-up, then constant or half a cosine down to 1 %."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    if settings.schedule == "constant":
        return warm
    done = step / max(1, settings.steps)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
