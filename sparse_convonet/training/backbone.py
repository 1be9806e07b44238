"""Weights that the picture network begins with: ResNet-18's, of a local file, or random ones."""

from __future__ import annotations

import logging
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sparse_convonet.model.image import ImageOccupancyNetwork
from sparse_convonet.model.network import OccupancyNetwork
from sparse_convonet.runtime.refusals import damaged, require_file, unreadable

logger = logging.getLogger(__name__)

_KIND = "weights of torchvision's ResNet-18 (.pth or .safetensors)"
_CLASSES = ("fc.weight", "fc.bias")  # the layer that the network does without
_UNREADABLE = (UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


def begin_with_backbone(network: OccupancyNetwork, path: str | None) -> None:
    """Load the file into a network of pictures, and log what it begins with; other networks are left as they are.

    Raises FileNotFoundError, or ValueError where the file is none, or the network has no such layers.
    """
    if not isinstance(network, ImageOccupancyNetwork):
        if path is not None:
            raise ValueError("training.backbone: expected null for a network without pictures, found a file")
        return
    if path is None:
        logger.info("ResNet-18 begins with random weights; training.backbone names a file with others")
        return
    found = _read(Path(path))
    features = network.encoder.features
    state = features.state_dict()
    for name, value in state.items():
        if name not in found and not name.endswith("num_batches_tracked"):
            raise unreadable(Path(path), f"{_KIND}, with {name}", "none of that name")
        if name in found and found[name].shape != value.shape:
            raise unreadable(Path(path), f"{name} of shape {tuple(value.shape)}", str(tuple(found[name].shape)))
    others = sorted(found.keys() - state.keys() - set(_CLASSES))
    if others:
        raise unreadable(Path(path), _KIND, f"{others[0]} as well")
    features.load_state_dict({name: found.get(name, value) for name, value in state.items()})
    logger.info("ResNet-18 begins with the weights of %s", path)


def _read(path: Path) -> dict[str, torch.Tensor]:
    require_file(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)  # no code in it is run
    except (SafetensorError, *_UNREADABLE) as error:
        raise damaged(path, _KIND, error) from error
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise unreadable(path, _KIND, f"a {type(content).__name__}")
    return content
