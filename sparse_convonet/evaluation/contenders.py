"""From a configuration or a file of weights to what makes meshes with it, and what decides its scores."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from sparse_convonet.config.baselines import AlphaShapeSettings, VoxelSurfaceSettings
from sparse_convonet.config.experiment import ExperimentConfig, load_config
from sparse_convonet.evaluation.predictors import (
    BaselinePredictor,
    NetworkPredictor,
    Predictor,
    VoxelSurfacePredictor,
    WindowPredictor,
)
from sparse_convonet.evaluation.published import PUBLISHED_CELLS
from sparse_convonet.model import build
from sparse_convonet.model.weights import TrainedModel, load_model, pretrained_path
from sparse_convonet.reconstruct.sample_mesh import AS_EXTRACTED, Finishing

WEIGHTS_SUFFIX = ".safetensors"
_NAMES_OF_NO_RUN = ("best", "last")  # weights are told apart by the folders that they are in


@dataclass(frozen=True)
class Contender:
    """name: of its rows.  what: a configuration, or a .safetensors file, which holds its own.

    overrides: texts like "training.steps=100", of a configuration.  weights: of a configuration; None:
    runs/<its name>/best.safetensors.  random: weights are not needed; random ones cost as much as trained ones.
    """

    name: str
    what: str
    overrides: tuple[str, ...] = ()
    weights: str | None = None
    random: bool = False

    @cached_property
    def config(self) -> ExperimentConfig:
        """Raises ValueError where the configuration, or the file of weights, cannot be used."""
        if Path(self.what).suffix != WEIGHTS_SUFFIX:
            return load_config(self.what, self.overrides)
        if self.overrides:
            raise ValueError(f"--set: {self.what} is a file of weights; name its configuration to change keys")
        return load_model(self.what).config

    @property
    def weights_path(self) -> Path:
        if Path(self.what).suffix == WEIGHTS_SUFFIX:
            return Path(self.what)
        return Path(self.weights or Path("runs") / Path(self.what).stem / "best.safetensors")

    @property
    def has_weights(self) -> bool:
        """Whether it can score, not only cost; baselines always can."""
        return self.config.baseline is not None or self.weights_path.is_file()

    @property
    def takes_normals(self) -> bool:
        """Whether it makes meshes of points with normals."""
        return not isinstance(self.config.baseline, AlphaShapeSettings | VoxelSurfaceSettings | None)

    def identity(self) -> dict[str, Any]:
        """What decides its meshes."""
        config = self.config
        if config.baseline is not None:
            return {"baseline": asdict(config.baseline)}
        if not self.has_weights:
            return {"weights": "random", "model": asdict(config.model)}
        return {"weights": f"{zlib.crc32(self.weights_path.read_bytes()):08x}"}


def load_contender(contender: Contender, device: str) -> TrainedModel:
    """The network of a contender with its weights.

    Raises ValueError for a method without learning, and where there are no weights and random ones are not wanted.
    """
    config, path = contender.config, contender.weights_path
    if config.baseline is not None:
        raise ValueError(f"{contender.what}: {config.baseline.method} has no weights")
    require_weights(contender)
    if path.is_file():
        return replace(load_model(path, device=device), name=contender.name)
    torch.manual_seed(0)
    network = build(config.model).to(device).eval()
    return TrainedModel(network, config, config.mesh.threshold or 0.5, {}, contender.name)


def require_weights(contender: Contender) -> None:
    """Raise ValueError where a contender learns, has no weights, and random ones are not wanted."""
    if not (contender.random or contender.has_weights):
        path = contender.weights_path
        raise ValueError(f"{path}: no such weights of {contender.what}; train it first, or name them with --checkpoint")


def open_predictor(
    contender: Contender,
    device: str,
    *,
    cells: int | None = PUBLISHED_CELLS,
    threshold: float | None = None,
    window: bool = False,
    normals_given: bool = True,
    finishing: Finishing = AS_EXTRACTED,
) -> Predictor:
    """What makes meshes with a contender.

    cells, threshold, finishing: see NetworkPredictor.  window: dense networks on voxels run over the scene in crops.
    normals_given: False where points come without normals; baselines that would take them estimate them.
    """
    baseline = contender.config.baseline
    if isinstance(baseline, VoxelSurfaceSettings):
        return VoxelSurfacePredictor(contender.name)
    if baseline is not None:
        if not normals_given and not isinstance(baseline, AlphaShapeSettings):
            baseline = replace(baseline, normals="estimated")
        return BaselinePredictor(contender.name, baseline)
    model = load_contender(contender, device)
    if window:
        return WindowPredictor(model, threshold=threshold)
    return NetworkPredictor(model, cells, threshold, finishing)


def name_of_run(path: Path) -> str:
    """By which a configuration or a file of weights is told from others."""
    return path.parent.name if path.stem in _NAMES_OF_NO_RUN else path.stem


def contenders_of(
    files: Sequence[Path], overrides: Sequence[str], checkpoints: Sequence[Path], *, random: bool = False
) -> list[Contender]:
    """One contender per configuration, file of weights, or name of a shipped model.

    checkpoints: none, or one per configuration that learns, in the same order.

    Raises ValueError where the numbers differ or two have the same name.
    """
    files = [pretrained_path(path.name) if not path.suffix and not path.exists() else path for path in files]
    names = [name_of_run(path) for path in files]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"configurations: expected different names, found {doubled[0]} twice; rename or copy one")
    left = list(checkpoints)
    contenders = []
    for path, name in zip(files, names, strict=True):
        one = Contender(name, str(path), tuple(overrides), None, random)
        if checkpoints and path.suffix != WEIGHTS_SUFFIX and one.config.baseline is None:
            if not left:
                raise ValueError(
                    f"--checkpoint: expected one for each configuration that learns, none is left for {path}"
                )
            one = replace(one, weights=str(left.pop(0)))
        contenders.append(one)
    if left:
        raise ValueError(f"--checkpoint: expected one for each configuration that learns, found {len(left)} too many")
    return contenders
