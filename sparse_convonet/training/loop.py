"""The training loop, top to bottom: batch, loss, step, average, validate, checkpoint."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from sparse_convonet.config import ExperimentConfig, TrainingConfig, save_resolved
from sparse_convonet.data.batching import PackedBatch, TrainingStream
from sparse_convonet.data.furniture import FurnitureLibrary
from sparse_convonet.data.samples import SceneSource
from sparse_convonet.model import SparseOccupancyNetwork, build
from sparse_convonet.structures import TrainingSample
from sparse_convonet.training.average import WeightAverage
from sparse_convonet.training.checkpoint import TrainingState, load_state, save_state
from sparse_convonet.training.pictures import write_pictures
from sparse_convonet.training.validation import ROOM_QUERIES, THRESHOLDS, VALIDATION_VOXEL_M, ValidationScore, validate
from sparse_convonet.weights import save_weights

logger = logging.getLogger(__name__)

_VALIDATION_SEED_OFFSET = 1_000_003  # validation scenes draw from another seed than training scenes
_CROPS_PER_BUILDING = 4


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

    library = FurnitureLibrary.load(None if config.data.furniture is None else Path(config.data.furniture))
    batches = _batches(config, library.split("train"), first_step)
    rooms, crops = validation_scenes(config, library.split("val"))
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
            score = validate(averaged_model, rooms, device)
            crop_score = validate(averaged_model, crops, device)
            writer.add_scalar("iou/validation_rooms", score.best_iou, done)
            writer.add_scalar("iou/validation_crops", crop_score.best_iou, done)
            logger.info(
                "step %d, %.1f min: validation IoU %.4f (threshold %.2f), scanned crops %.4f (%.2f)",
                done, minutes, score.best_iou, score.best_threshold, crop_score.best_iou, crop_score.best_threshold,
            )  # fmt: skip
            if score.best_iou > best_iou:
                best_iou = score.best_iou
                save("best.safetensors", done)
        if (settings.picture_every and done % settings.picture_every == 0) or last:
            averaged_model.load_state_dict(average.values if settings.ema else model.state_dict())
            with_mesh = settings.mesh_every > 0 and done % settings.mesh_every == 0
            write_pictures(writer, averaged_model, rooms[0], done, device, with_mesh)
        if done % settings.checkpoint_every == 0 or last:
            checkpoint(done)
        if last:
            break
    writer.close()
    return score


def training_step(
    model: SparseOccupancyNetwork,
    optimizer: torch.optim.Optimizer,
    batch: PackedBatch,
    clip_norm: float,
    scenes: int,
    device: torch.device,
) -> tuple[float, float]:
    """One step: binary cross-entropy summed over the queries, mean over the scenes (ConvONet, section 3.4).

    Queries where nothing is known have no say.  Returns the loss and the IoU of this batch at 0.5.
    """
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        field = model.encode(batch.points_voxel, batch.point_batch)
        logits, known = model.occupancy(field, batch.queries_voxel, batch.query_batch)
    each = nn.functional.binary_cross_entropy_with_logits(logits.float(), batch.occupied, reduction="none")
    loss = (each * known).sum() / scenes
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
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


def validation_scenes(
    config: ExperimentConfig, library: FurnitureLibrary
) -> tuple[list[TrainingSample], list[TrainingSample]]:
    """Fixed rooms (the validation protocol) and fixed crops of scanned buildings, of held-out furniture."""
    count = config.training.validation_scenes
    source = SceneSource(config.data, library, config.training.seed + _VALIDATION_SEED_OFFSET)
    rooms = [source.evaluation_room(index, VALIDATION_VOXEL_M, ROOM_QUERIES) for index in range(count)]
    crops = [source.crop(index // _CROPS_PER_BUILDING, index, VALIDATION_VOXEL_M) for index in range(count // 2)]
    return rooms, crops


def _batches(config: ExperimentConfig, library: FurnitureLibrary, first_step: int) -> Iterator[PackedBatch]:
    settings = config.training
    stream = TrainingStream(config.data, library, settings.seed, settings.batch, first_step)
    workers = settings.workers
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_quiet_worker,
    )
    return iter(loader)


def _quiet_worker(worker: int) -> None:
    torch.set_num_threads(1)
