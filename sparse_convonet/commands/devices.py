"""The device that a command works on."""

from __future__ import annotations

import torch


def chosen_device(name: str) -> str:
    """`name`, or for "auto" cuda where there is one, else cpu."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
