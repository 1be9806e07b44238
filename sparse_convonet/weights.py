"""Trained weights on disk: safetensors with the config, the threshold and the training's record inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sparse_convonet.config import ExperimentConfig, config_from_mapping, config_to_mapping
from sparse_convonet.io.atomic import atomic_path
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.model_config import EngineName, SparseModelConfig

_FORMAT = "sparse_convonet-1"


@dataclass(frozen=True)
class TrainedModel:
    """A network in eval mode with what its weights file says: config, threshold (a probability), record."""

    network: OccupancyNetwork
    config: ExperimentConfig
    threshold: float
    record: Mapping[str, str | int | float]
    name: str

    @property
    def sparse(self) -> SparseOccupancyNetwork:
        """The network, where it is sparse; ValueError otherwise."""
        if not isinstance(self.network, SparseOccupancyNetwork):
            raise ValueError(
                f"model {self.name}: expected a sparse model, which reconstructs scans of any size, found a "
                f"{self.config.model.field} one; name another, such as building"
            )
        return self.network


def save_weights(
    values: Mapping[str, torch.Tensor],
    config: ExperimentConfig,
    path: Path,
    *,
    threshold: float,
    record: Mapping[str, str | int | float],
    half: bool = False,
) -> None:
    """Write a state dict; `half` stores matrices of weights in float16, half the size."""

    def stored(value: torch.Tensor) -> torch.Tensor:
        small = half and value.is_floating_point() and value.dim() >= 2
        return value.detach().cpu().to(torch.float16 if small else value.dtype).contiguous()

    header = {
        "format": _FORMAT,
        "config": json.dumps(config_to_mapping(config)),
        "threshold": repr(float(threshold)),
        "record": json.dumps(dict(record)),
    }
    with atomic_path(path) as temporary:
        save_file({name: stored(value) for name, value in values.items()}, temporary, metadata=header)


def pretrained_path(name: str) -> Path:
    """The file of a shipped model such as "building"; raises ValueError naming those there are."""
    folder = Path(str(resources.files("sparse_convonet") / "pretrained"))
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        known = sorted(each.stem for each in folder.glob("*.safetensors"))
        raise ValueError(f"model {name!r}: expected a .safetensors file or one of {known}, found neither")
    return path


def load_model(
    model: str | Path, *, engine: EngineName | None = None, device: str | torch.device = "cpu"
) -> TrainedModel:
    """A trained model from a .safetensors file or the name of a shipped one, in eval mode.

    Raises ValueError where the file is none of ours or its weights do not fit its config.
    """
    path = Path(model)
    if path.suffix != ".safetensors" and not path.exists():
        path = pretrained_path(str(model))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a .safetensors file with weights, found something else ({error})"
        ) from error
    if header.get("format") != _FORMAT:
        raise ValueError(f"{path}: expected weights of {_FORMAT}, found format {header.get('format')!r}")
    config = config_from_mapping(json.loads(header["config"]), str(path))
    if engine is not None:
        if not isinstance(config.model, SparseModelConfig):
            raise ValueError(f"{path}: a {config.model.field} model has no engine; leave the engine out")
        config = replace(config, model=replace(config.model, engine=engine))
    network = build(config.model)
    state = network.state_dict()
    missing, unexpected = sorted(state.keys() - values.keys()), sorted(values.keys() - state.keys())
    if missing or unexpected:
        raise ValueError(
            f"{path}: the weights do not fit their config: {len(missing)} missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {unexpected[:3]}"
        )
    for name, expected in state.items():
        if values[name].shape != expected.shape:
            raise ValueError(
                f"{path}: the weights do not fit their config: {name}: expected shape "
                f"{tuple(expected.shape)}, found {tuple(values[name].shape)}"
            )
    network.load_state_dict({name: value.to(state[name].dtype) for name, value in values.items()})
    network.to(device).eval()
    return TrainedModel(network, config, float(header["threshold"]), json.loads(header["record"]), path.stem)
