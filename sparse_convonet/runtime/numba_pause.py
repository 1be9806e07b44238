"""Numba compiles with Python's garbage collector paused.

Type inference makes millions of small objects that live as long as the kernel; collecting again and
again what cannot be freed is a sixth of the time to the first mesh (docs/MEASURED.md).
"""

from __future__ import annotations

import gc

from numba.core import event


class _CollectorPause(event.Listener):
    """Off while any kernel compiles, on again after the outermost; left alone where the user has it off.

    Compiling holds Numba's global lock, so the calls come one after the other.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._was_on = False

    def on_start(self, event: event.Event) -> None:
        if self._depth == 0:
            self._was_on = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: event.Event) -> None:
        self._depth -= 1
        if self._depth == 0 and self._was_on:
            gc.enable()


event.register("numba:compile", _CollectorPause())
