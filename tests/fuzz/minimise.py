"""Make an input that shows a fault smaller, as long as it shows the same."""

from __future__ import annotations

import time
from collections.abc import Callable

_LONGEST_S = 10.0


def minimise(content: bytes, shows: Callable[[bytes], bool], longest_s: float = _LONGEST_S) -> bytes:
    """The content with pieces of halving length taken out; `shows` tells whether the fault is still there."""
    end = time.monotonic() + longest_s
    piece = len(content) // 2
    while piece:
        start = 0
        while start < len(content):
            if time.monotonic() > end:
                return content
            shorter = content[:start] + content[start + piece :]
            if shows(shorter):
                content = shorter
            else:
                start += piece
        piece //= 2
    return content
