"""Exponential moving average of the weights; the average is what is validated and shipped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


class WeightAverage:
    """Average of a model's float state over the steps: decay d, warmed up so that early steps count.

    Batch norm statistics are averages already; they are averaged along with the weights they belong to.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def load(self, values: Mapping[str, torch.Tensor]) -> None:
        """Go on from an average that was stored, on whatever device."""
        self.values = {name: values[name].to(value.device).clone() for name, value in self.values.items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value, 1 - decay)
            else:
                self.values[name].copy_(value)
