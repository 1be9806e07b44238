"""Read a published checkpoint of a ConvONet or an Occupancy Network and write it as a weights file of this package."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from sparse_convonet.config.experiment import ExperimentConfig
from sparse_convonet.model import build
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.model.official_names import in_our_axes, official_names
from sparse_convonet.model.weights import TrainedModel, load_model, save_weights
from sparse_convonet.runtime.refusals import damaged, one_line, require_file, unreadable

PUBLISHED_THRESHOLD = 0.2  # tau of every published configuration (Peng et al. 2020, supplementary)
_KIND = "a checkpoint of torch with the weights of a published network"
_UNREADABLE = (
    UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
)
_STATE = "model"  # where the published checkpoints keep their weights, beside the optimizer's state and numbers
_STEP, _LARGEST_STEP = "it", 1 << 63


def import_official(
    checkpoint: str | Path, config: ExperimentConfig, out: str | Path, *, threshold: float = PUBLISHED_THRESHOLD
) -> TrainedModel:
    """Write the weights of a published checkpoint to `out` (.safetensors) and return the model that was read back.

    checkpoint: a file of autonomousvision/convolutional_occupancy_networks or .../occupancy_networks, or a bare state dict
    with the same names; no code in it is run.  config: the configuration with the same architecture, such as
    configs/rooms/grid64.yaml, which is stored with the weights.  threshold: tau, the probability at the surface.

    Raises FileNotFoundError where there is no file, and ValueError where it is none, or where its weights do not fit the
    configuration: the sentence names the first published key that is missing, unexpected or of another shape.
    """
    path, out = Path(checkpoint), Path(out)
    if not 0 < threshold < 1:
        raise ValueError(f"tau: expected a probability between 0 and 1, found {threshold:g}; the papers have 0.2")
    if config.baseline is not None:
        raise ValueError(f"{config.baseline.method} learns nothing: expected a configuration with a network")
    content = _read(path)
    state = _state_of(path, content)
    with torch.device("meta"):  # takes no memory, and none of the random numbers
        network = build(config.model)
    values = _translate(path, network, state, config.model.field)
    record: dict[str, str | int | float] = {"imported_from": path.name}
    steps = content.get(_STEP)
    if type(steps) is int and 0 <= steps < _LARGEST_STEP:
        record["steps"] = steps
    record["parameters"] = sum(value.numel() for value in network.parameters())
    save_weights(values, config, out, threshold=threshold, record=record)
    return load_model(out)


def _read(path: Path) -> dict[str, Any]:
    """What torch.load gives; the old format of torch before 1.6 as well."""
    require_file(path)
    try:
        _require_intact(path)
        with _plain_numbers_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, *_UNREADABLE) as error:
        raise damaged(path, _KIND, error) from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise unreadable(path, _KIND, f"a {type(content).__name__}")
    return content


def _require_intact(path: Path) -> None:
    """Compare the checksums of the parts of a zip archive, which torch.load leaves out."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
        if broken is not None:
            raise ValueError(f"its part {broken} does not have its checksum")


@contextmanager
def _plain_numbers_allowed() -> Iterator[None]:
    """Let torch.load take numbers of numpy, such as the score of the best validation in published checkpoints."""
    if not hasattr(torch.serialization, "safe_globals"):  # torch before 2.5
        yield
        return
    scalar: Any = np.float64(0).__reduce__()[0]  # type: ignore[index]
    numbers = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32")]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([*names, np.dtype, *numbers]):
        yield


def _state_of(path: Path, content: dict[str, Any]) -> dict[str, torch.Tensor]:
    state = content.get(_STATE, content)
    if not isinstance(state, dict) or not state:
        raise unreadable(path, f"weights under {_STATE!r}, or bare ones", f"a {type(state).__name__} there")
    for key, value in state.items():
        if (
            not isinstance(key, str)
            or not isinstance(value, torch.Tensor)
            or value.layout != torch.strided
            or value.is_meta
        ):
            found = f"{str(key)[:80]} of type {type(value).__name__}"
            raise unreadable(path, f"weights under {_STATE!r}, or bare ones", found)
    return state


def _translate(
    path: Path, network: OccupancyNetwork, state: Mapping[str, torch.Tensor], field: str
) -> dict[str, torch.Tensor]:
    """Published weights with our names, shapes and axes.  Raises ValueError where they do not fit."""
    names = official_names(network)
    _require_names(path, names, state, field)
    values = {}
    for key, expected in network.state_dict().items():
        value = state[names[key]]
        shape = _without_kernels(tuple(value.shape), expected.dim())
        if shape != tuple(expected.shape):
            raise _misfit(path, f"{names[key]}: expected shape {tuple(expected.shape)}, found {tuple(value.shape)}")
        found = value.detach().reshape(shape).to(expected.dtype)
        if expected.is_floating_point() and not (value.is_floating_point() and bool(found.isfinite().all())):
            raise unreadable(path, f"finite numbers of {expected.dtype} in {names[key]}", f"others, of {value.dtype}")
        values[key] = found
    return {key: in_our_axes(network, key, values) for key in values}


def _require_names(path: Path, names: Mapping[str, str], state: Mapping[str, torch.Tensor], field: str) -> None:
    wanted = list(names.values())
    missing = [name for name in wanted if name not in state]
    unexpected = sorted(state.keys() - set(wanted))
    if missing:
        raise _misfit(path, f"{missing[0]}: expected it for model.field {field}, found it missing ({len(missing)} are)")
    if unexpected:
        name = one_line(unexpected[0], 80)
        raise _misfit(path, f"{name}: expected no such weights, found them ({len(unexpected)} such)")


def _misfit(path: Path, found: str) -> ValueError:
    return ValueError(
        f"{path}: the weights do not fit the configuration: {found}; name the configuration that they were trained with"
    )


def _without_kernels(shape: tuple[int, ...], dimensions: int) -> tuple[int, ...]:
    """A convolution of kernel 1 as the linear layer that it is: trailing axes of size 1 dropped."""
    while len(shape) > dimensions and shape[-1] == 1:
        shape = shape[:-1]
    return shape
