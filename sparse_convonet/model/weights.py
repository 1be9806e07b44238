"""Trained weights on disk: safetensors with the config, the threshold and the training's record inside."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file

from sparse_convonet.config.experiment import ExperimentConfig, config_from_mapping, config_to_mapping
from sparse_convonet.config.models import EngineName, ModelConfig, SparseModelConfig, counts_layers
from sparse_convonet.config.pretrained import DEFAULT_MODEL, PRETRAINED, pretrained_lines
from sparse_convonet.model import OccupancyNetwork, build
from sparse_convonet.model.sparse import SparseOccupancyNetwork
from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.devices import chosen_device
from sparse_convonet.runtime.refusals import one_line

_FORMAT = "sparse_convonet-1"
_LARGEST_WIDTH = 1 << 16


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
                f"{self.config.model.field} one; name another, such as {DEFAULT_MODEL}"
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


def export_half(
    weights: str | Path, out: Path, threshold: float | None = None, mean_with: str | Path | None = None
) -> TrainedModel:
    """Write the weights of a training run as a small file to ship, matrices in half precision; returns what was written.

    threshold: tau, a probability; None: the one that validation found best.  Raises ValueError for one that is none.
    mean_with: weights that this training began with, or another that began with the same: the mean of both is written,
    which often keeps what either is good at (Wortsman et al., Model soups, ICML 2022).  Its validation IoU is not known,
    so the record has none.  Raises ValueError where that is a model of another configuration.
    """
    model = load_model(weights)
    if mean_with is not None:
        model = _mean(model, load_model(mean_with))
    if threshold is not None:
        if not 0 < threshold < 1:
            raise ValueError(f"--tau: expected a probability above 0 and below 1, found {threshold:g}")
        model = replace(model, threshold=threshold)
    values = model.network.state_dict()
    save_weights(values, model.config, out, threshold=model.threshold, record=model.record, half=True)
    return model


def _mean(model: TrainedModel, other: TrainedModel) -> TrainedModel:
    if model.config.model != other.config.model:
        raise ValueError(
            f"--mean-with: expected weights of the network of {model.name}, found another in {other.name}; "
            "name two trainings that began with the same weights"
        )
    values, others = model.network.state_dict(), other.network.state_dict()
    model.network.load_state_dict(
        {name: (value + others[name]) / 2 if value.is_floating_point() else value for name, value in values.items()}
    )
    record = {name: value for name, value in model.record.items() if name != "validation_iou"}
    return replace(model, record={**record, "mean_with": other.name})


def pretrained_path(name: str) -> Path:
    """The file of a shipped model such as "building_wide"; raises ValueError naming those there are, a line about each."""
    path = Path(str(resources.files("sparse_convonet") / "pretrained")) / f"{name}.safetensors"
    if name not in PRETRAINED:
        raise ValueError(f"model {name!r}: expected a .safetensors file or one of {pretrained_lines()}, found neither")
    return path


def weights_path(model: str | Path) -> Path:
    """The file of a model by its path or, for a shipped one, its name.  Raises ValueError or FileNotFoundError."""
    path = Path(model)
    if path.suffix != ".safetensors" and not path.exists():
        path = pretrained_path(str(model))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file")
    return path


def load_model(
    model: str | Path, *, engine: EngineName | None = None, device: str | torch.device = "cpu"
) -> TrainedModel:
    """A trained model from a .safetensors file or the name of a shipped one, in eval mode.

    Raises ValueError where the file is none of ours or its weights do not fit its config, and for a device that is not
    there.
    """
    device = chosen_device(str(device))
    path = weights_path(model)
    header, values = _read_file(path)
    config, threshold, record = _read_header(path, header)
    if engine is not None:
        if not isinstance(config.model, SparseModelConfig):
            raise ValueError(f"{path}: a {config.model.field} model has no engine; leave the engine out")
        config = replace(config, model=replace(config.model, engine=engine))
    _require_size(path, config.model, len(values))
    with torch.device("meta"):  # takes no memory, whatever the config says
        _require_fit(path, build(config.model).state_dict(), values)
    network = build(config.model)
    state = network.state_dict()
    network.load_state_dict({name: value.to(state[name].dtype) for name, value in values.items()})
    network.to(device).eval()
    return TrainedModel(network, config, threshold, record, path.stem)


def _read_file(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """The texts and the tensors of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
        # Not file.get_tensor, with which safetensors 0.8.0 and torch 2.13 lose memory for each tensor.
        return header, load(path.read_bytes())
    except (SafetensorError, KeyError) as error:  # KeyError: a type of numbers that its `load` does not know
        raise ValueError(
            f"{path}: expected a .safetensors file with weights, found something else ({one_line(str(error))})"
        ) from error


def _read_header(
    path: Path, header: Mapping[str, str]
) -> tuple[ExperimentConfig, float, Mapping[str, str | int | float]]:
    """The config, the threshold and the record of the training."""
    if header.get("format") != _FORMAT:
        found = one_line(repr(header.get("format")), 80)
        raise ValueError(f"{path}: expected weights of {_FORMAT}, found format {found}")
    try:
        values, threshold, record = (
            json.loads(header["config"]),
            float(header["threshold"]),
            json.loads(header["record"]),
        )
    except (ValueError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected a config, a threshold and a record in the header, found a damaged one; copy it again"
        ) from error
    if not isinstance(values, dict) or not isinstance(record, dict) or not 0 < threshold < 1:
        found = f"a {type(values).__name__}, {threshold:g} and a {type(record).__name__}"
        raise ValueError(
            f"{path}: expected a config, a threshold between 0 and 1 and a record, found {found}; copy it again"
        )
    return config_from_mapping(values, str(path)), threshold, record


def _require_size(path: Path, model: ModelConfig, tensors: int) -> None:
    """Refuse a network with more layers than the file has tensors, or of widths that nobody trains."""
    for entry in fields(model):
        value = getattr(model, entry.name)
        numbers = [each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, int)]
        limit = tensors if counts_layers(entry) else _LARGEST_WIDTH
        if max(numbers, default=0) > limit or len(numbers) > max(1, tensors):
            found = one_line(repr(value), 80) if max(numbers) <= sys.maxsize else "a larger number"
            raise ValueError(
                f"{path}: model.{entry.name}: expected at most {limit}, as the {tensors} tensors of the file allow, "
                f"found {found}; the file is damaged"
            )


def _require_fit(path: Path, state: Mapping[str, torch.Tensor], values: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors of other names or shapes than the network has."""
    missing, unexpected = sorted(state.keys() - values.keys()), sorted(values.keys() - state.keys())
    if missing or unexpected:
        raise ValueError(
            f"{path}: the weights do not fit their config: {len(missing)} missing {missing[:3]}, "
            f"{len(unexpected)} unexpected {one_line(str(unexpected[:3]))}"
        )
    for name, expected in state.items():
        if values[name].shape != expected.shape:
            raise ValueError(
                f"{path}: the weights do not fit their config: {name}: expected shape "
                f"{tuple(expected.shape)}, found {tuple(values[name].shape)}"
            )
