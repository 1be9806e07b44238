"""The training loop, top to bottom: batch, loss, step, average, validate, checkpoint."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sparse_convonet.config import ExperimentConfig, TrainingConfig, save_resolved
from sparse_convonet.data.batching import PackedBatch
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.training.average import WeightAverage
from sparse_convonet.training.checkpoint import TrainingState, load_state, save_state
from sparse_convonet.training.pictures import write_pictures
from sparse_convonet.training.scenes import open_batches, validation_sets
from sparse_convonet.training.validation import THRESHOLDS, ValidationScore, validate
from sparse_convonet.weights import save_weights

logger = logging.getLogger(__name__)


def train(config: ExperimentConfig, out: Path, device: torch.device, resume: bool) -> ValidationScore:
    """Train the model a config describes and leave its checkpoints in `out`; returns the last validation.

    Writes config.yaml (resolved), last.pt (to resume), best.safetensors and last.safetensors (averaged
    weights with config and threshold) and TensorBoard events.  Raises ValueError where `out` holds a run
    already and `resume` is not set.
    """
    state_path = out / "last.pt"
    if state_path.exists() and not resume:
        raise ValueError(f"{out}: holds a training run already; add --resume to continue it or name another --out")
    out.mkdir(parents=True, exist_ok=True)
    save_resolved(config, out / "config.yaml")
    settings = config.training
    torch.manual_seed(settings.seed)
    model = build(config.model).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    average = WeightAverage(model, settings.ema)
    parameters = sum(each.numel() for each in model.parameters())
    first_step, best_iou = 0, 0.0
    if resume and state_path.exists():
        state = load_state(state_path, device)
        model.load_state_dict(state.model)
        average.values = state.averaged
        optimizer.load_state_dict(state.optimizer)
        first_step, best_iou = state.step, state.best_iou
        logger.info("resumed at step %d (best validation IoU %.4f)", first_step, best_iou)

    batches = iter(open_batches(config, first_step, model.coordinates))
    held_out = validation_sets(config)
    main_set = next(iter(held_out))  # its score chooses the best weights
    averaged_model = build(config.model).to(device)
    score = ValidationScore((0.0,) * len(THRESHOLDS))
    writer = SummaryWriter(str(out), purge_step=first_step)
    started = time.monotonic()

    def save(name: str, step: int) -> None:
        values = average.values if settings.ema else model.state_dict()
        record = {"steps": step, "validation_iou": round(score.best_iou, 4), "parameters": parameters}
        save_weights(values, config, out / name, threshold=score.best_threshold, record=record)

    def checkpoint(step: int) -> None:
        save("last.safetensors", step)
        save_state(
            TrainingState(model.state_dict(), average.values, optimizer.state_dict(), step, best_iou), state_path
        )

    progress = tqdm(range(first_step, settings.steps), initial=first_step, total=settings.steps, unit="step")
    model.train()
    for step in progress:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_share(step, settings)
        batch = next(batches).to(device)
        loss, iou = training_step(model, optimizer, batch, settings.clip_norm, settings.batch, device)
        average.update(model, step)
        done = step + 1
        minutes = (time.monotonic() - started) / 60
        out_of_time = settings.minutes is not None and minutes >= settings.minutes
        last = done == settings.steps or out_of_time
        writer.add_scalar("loss", loss, done)
        writer.add_scalar("iou/training", iou, done)
        writer.add_scalar("learning_rate", optimizer.param_groups[0]["lr"], done)
        progress.set_postfix(loss=f"{loss / settings.batch / config.data.queries:.3f}", val=f"{score.best_iou:.3f}")
        if done % settings.validate_every == 0 or last:
            averaged_model.load_state_dict(average.values if settings.ema else model.state_dict())
            scores = {name: validate(averaged_model, samples, device) for name, samples in held_out.items()}
            for name, each in scores.items():
                writer.add_scalar(f"iou/validation_{name}", each.best_iou, done)
            found = [f"{name} {each.best_iou:.4f} ({each.best_threshold:.2f})" for name, each in scores.items()]
            logger.info("step %d, %.1f min: validation IoU (threshold): %s", done, minutes, ", ".join(found))
            score = scores[main_set]
            if score.best_iou > best_iou:
                best_iou = score.best_iou
                save("best.safetensors", done)
        if (settings.picture_every and done % settings.picture_every == 0) or last:
            averaged_model.load_state_dict(average.values if settings.ema else model.state_dict())
            with_mesh = settings.mesh_every > 0 and done % settings.mesh_every == 0
            write_pictures(writer, averaged_model, held_out[main_set][0], done, device, with_mesh)
        if done % settings.checkpoint_every == 0 or last:
            checkpoint(done)
        if last:
            break
    writer.close()
    return score


def training_step(
    model: OccupancyNetwork,
    optimizer: torch.optim.Optimizer,
    batch: PackedBatch,
    clip_norm: float | None,
    scenes: int,
    device: torch.device,
) -> tuple[float, float]:
    """One step: binary cross-entropy summed over the queries, mean over the scenes (ConvONet, section 3.4).

    Queries where nothing is known have no say.  Returns the loss and the IoU of this batch at 0.5.
    """
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        field = model.encode(batch.points, batch.point_batch)
        logits, known = model.occupancy(field, batch.queries, batch.query_batch)
    each = nn.functional.binary_cross_entropy_with_logits(logits.float(), batch.occupied, reduction="none")
    loss = (each * known).sum() / scenes
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    optimizer.step()
    predicted, truth = logits.detach() > 0, batch.occupied > 0.5
    iou = (predicted & truth).sum() / (predicted | truth).sum().clamp(min=1)
    return float(loss.detach()), float(iou)


def learning_rate_share(step: int, settings: TrainingConfig) -> float:
    """The share of the learning rate at a step: linear warm-up, then constant or half a cosine down to 1 %."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    if settings.schedule == "constant":
        return warm
    done = step / max(1, settings.steps)
    return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
