"""What a GPU run is asked to do, and the configuration that it trains."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from sparse_convonet.config.experiment import ExperimentConfig, load_config
from sparse_convonet.config.pretrained import DEFAULT_MODEL

# Of a dry run: the networks of the config, on little of everything.
_DRY = (
    "data.points=1000 data.queries=256 data.crop_m=2.0 training.batch=2 training.steps=2 training.warmup_steps=1 "
    "training.validation_scenes=2 training.sides_halls=[] training.validate_every=2 training.checkpoint_every=2"
).split()
_DRY_CONTEXT_VOXELS = 32.0
_CORES_LEFT = 2  # for the training itself, beside the workers that make scenes


@dataclass(frozen=True)
class GpuRunSettings:
    """minutes: of training.  init: weights to begin with, None: random ones.  dry_run: a few steps on the CPU."""

    config: Path
    out: Path
    minutes: float
    init: str | None = DEFAULT_MODEL
    overrides: tuple[str, ...] = ()
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.minutes < float("inf"):
            raise ValueError(f"minutes: expected more than 0 minutes of training, found {self.minutes}; name another")

    @property
    def device(self) -> str:
        return "cpu" if self.dry_run else "cuda"

    def experiment(self) -> ExperimentConfig:
        """The config with the workers of this machine.  Raises ValueError where it is none of a network on scenes."""
        config = load_config(self.config, [*(_DRY if self.dry_run else ()), *self.overrides])
        if config.baseline is not None or config.data.folder is not None:
            raise ValueError(
                f"{self.config}: expected a network that is trained on generated scenes, found "
                f"{'a method without learning' if config.baseline else 'data.folder'}; name another config"
            )
        if self.dry_run:
            nearer = min(config.data.context_voxels, _DRY_CONTEXT_VOXELS)
            config = replace(config, data=replace(config.data, context_voxels=nearer))
        workers = max(1, cores() - _CORES_LEFT)
        training = replace(config.training, workers=workers, picture_every=0, mesh_every=0)  # the curves are a table
        return replace(config, training=training)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
