"""Networks of known shape: whatever they are shown, an octahedron in the middle of the unit cube is occupied."""

from __future__ import annotations

import torch

from sparse_convonet.config.models import ModelConfig
from sparse_convonet.model import build

_SET_TO_ZERO = ("decoder.lift", "decoder.logit", "decoder.feature_maps")


def octahedron_state(model: ModelConfig, radius: float) -> dict[str, torch.Tensor]:
    """Weights of a dense or global network of which |x| + |y| + |z| < radius is occupied; at the surface p is 1/2."""
    torch.manual_seed(0)
    state = build(model).state_dict()
    for name, value in state.items():
        if name.startswith(_SET_TO_ZERO) or name.endswith("outer.bias"):
            value.zero_()
    state["decoder.lift.weight"][:6] = 10 * torch.cat([torch.eye(3), -torch.eye(3)])
    state["decoder.logit.weight"][0, :6] = -1
    state["decoder.logit.bias"] += 10 * radius
    return state
