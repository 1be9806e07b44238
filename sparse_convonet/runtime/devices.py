"""The device that a run works on."""

from __future__ import annotations

import re

import torch


def chosen_device(name: str) -> str:
    """`name`, or for "auto" cuda where there is one, else cpu.

    Raises ValueError, saying what there is, for a device that this machine or this torch does not have.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    match = re.fullmatch(r"(cpu|cuda)(?::(\d{1,4}))?", name)
    if match is None:
        raise ValueError(f"--device: expected auto, cpu, cuda or cuda:NUMBER, found {name!r}")
    if match[1] == "cpu":
        return name
    if not torch.cuda.is_available():
        why = "no GPU that it can use" if torch.version.cuda else "a torch for CPUs alone"
        raise ValueError(f"--device: expected a GPU with CUDA for {name!r}, found {why}; take --device cpu")
    found = torch.cuda.device_count()
    if int(match[2] or 0) >= found:
        raise ValueError(f"--device: expected one of {found} GPUs, cuda:0 to cuda:{found - 1}, found {name!r}")
    return name
