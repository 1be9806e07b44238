"""How a training begins: its folder, and the checkpoint that it goes on from."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from sparse_convonet.config.experiment import ExperimentConfig, TrainingConfig, config_to_mapping, save_resolved
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.training.average import WeightAverage
from sparse_convonet.training.checkpoint import TrainingState, changed_settings, load_state, require_fit

logger = logging.getLogger(__name__)

CHECKPOINT, BEST, LAST = "last.pt", "best.safetensors", "last.safetensors"


def open_run(
    config: ExperimentConfig, out: Path, resume: bool, model: nn.Module, processes: int
) -> TrainingState | None:
    """The state that a run goes on from, None where it begins; writes config.yaml.

    Raises ValueError where `out` holds a run and `resume` is not set, where its checkpoint is damaged or belongs to
    another network, and where so many processes cannot share a batch.
    """
    batch = config.training.batch
    if batch % processes:
        raise ValueError(
            f"training.batch: expected a multiple of the {processes} processes, which share each batch, found {batch}; "
            "change the one or the other"
        )
    path = out / CHECKPOINT
    if not resume and any((out / name).exists() for name in (CHECKPOINT, BEST, LAST)):
        raise ValueError(f"{out}: holds a training run already; add --resume to continue it or name another --out")
    state = None
    if path.exists():
        state = load_state(path, torch.device("cpu"))
        require_fit(path, state, model.state_dict())
        changed = changed_settings(state.config, config_to_mapping(config)) if state.config else []
        logger.info("resumed at step %d (best validation IoU %.4f)", state.step, state.best_iou)
        if changed:
            logger.info("other settings than before: %s", ", ".join(changed))
    elif resume:
        logger.info("%s: no checkpoint yet, so the run begins at step 0", out)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_path(out / "config.yaml") as temporary:
        save_resolved(config, temporary)
    return state


def restore(
    state: TrainingState,
    model: nn.Module,
    average: WeightAverage,
    optimizer: torch.optim.Optimizer,
    settings: TrainingConfig,
) -> None:
    """Put a checkpoint into the model, the average and the optimizer, on whatever device they are."""
    model.load_state_dict(state.model)
    average.load(state.averaged)
    optimizer.load_state_dict(state.optimizer)
    for group in optimizer.param_groups:  # the config of this run counts, not that of the former one
        group["weight_decay"] = settings.weight_decay
