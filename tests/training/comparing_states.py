"""How far the states of two trainings are apart."""

from __future__ import annotations

from typing import Any

import torch


def largest_difference(one: Any, other: Any) -> float:
    """Of two states: nested values with tensors and numbers.  Everything else is equal, or an AssertionError."""
    if isinstance(one, torch.Tensor):
        return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return max((largest_difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list | tuple):
        assert len(one) == len(other)
        return max((largest_difference(*pair) for pair in zip(one, other, strict=True)), default=0.0)
    assert one == other
    return 0.0
