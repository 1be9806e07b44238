"""Who works on a tensor: Numba's compiled loops on the CPU, or torch's operations, which do the same on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_allowed = ContextVar("compiled loops are allowed", default=True)


def compiled_loops_take(values: torch.Tensor) -> bool:
    """Whether compiled loops can read the tensor: it lies on the CPU, and they are not switched off."""
    return _allowed.get() and values.device.type == "cpu"


@contextmanager
def without_compiled_loops() -> Iterator[None]:
    """Within it the CPU takes torch's operations, as other devices do: the slow way that the loops are compared with."""
    token = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(token)
