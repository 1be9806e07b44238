"""Checkpoints of a running training: written to a temporary name, renamed, loaded without pickle code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from sparse_convonet.io.atomic import atomic_path


@dataclass(frozen=True)
class TrainingState:
    """Everything a run needs to go on: state dicts, the next step, the best validation IoU so far."""

    model: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    step: int
    best_iou: float


def save_state(state: TrainingState, path: Path) -> None:
    """Write a checkpoint; an existing one stays whole until the new one is."""
    with atomic_path(path) as temporary:
        torch.save(dict(vars(state)), temporary)


def load_state(path: Path, device: torch.device) -> TrainingState:
    """Read a checkpoint of save_state; raises ValueError where the file is something else."""
    try:
        values = torch.load(path, map_location=device, weights_only=True)
        return TrainingState(**values)
    except (UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a training checkpoint of this library, found something else "
            f"({type(error).__name__}); remove it or name another folder"
        ) from error
