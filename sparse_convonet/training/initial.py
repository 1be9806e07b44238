"""Begin a training with the weights of another one, as far as they fit: the same network, or one that has grown since."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import nn

from sparse_convonet.model.weights import load_model

logger = logging.getLogger(__name__)


def initialise(model: nn.Module, weights: str | Path) -> None:
    """Copy all tensors whose name and shape `model` has; the others keep their random values and are named in the log.

    weights: a .safetensors file or the name of a shipped model.
    Raises ValueError where no tensor fits, or a name fits and its shape does not: that is another network.
    """
    given, own = load_model(weights).network.state_dict(), model.state_dict()
    shared = own.keys() & given.keys()
    other = sorted(name for name in shared if own[name].shape != given[name].shape)
    if other or not shared:
        found = f"{other[0]} of shape {tuple(given[other[0]].shape)}" if other else "no name of its tensors"
        expected = f" {tuple(own[other[0]].shape)}" if other else ""
        raise ValueError(
            f"{weights}: expected weights that fit the network of the config{expected}, found {found}; "
            "change the config, or leave --init out"
        )
    model.load_state_dict({name: given[name] if name in shared else value for name, value in own.items()})
    parts = sorted({name.rsplit(".", 1)[0] for name in own.keys() - shared})
    new = f"; new: {len(parts)} layers, such as {', '.join(parts[:3])}" if parts else ""
    left = f"; left out: {len(given.keys() - shared)} tensors" if given.keys() - shared else ""
    logger.info("begun with %d of %d tensors of %s%s%s", len(shared), len(own), weights, new, left)
