"""SIGTERM and SIGINT as a question that the training asks between its steps."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_REPEAT_S = 3.0  # launchers and terminals send the same signal again at once; later it is an impatient person


class TrainingStopped(Exception):  # noqa: N818 (no error: what was asked for)
    """A training ended early, after its checkpoint was written, because a signal asked for it."""

    def __init__(self, number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} after step {step}")
        self.exit_code = 128 + number  # as shells report it


class StopRequest:
    """While entered, SIGTERM and SIGINT are kept in `number` instead of ending the process.

    SIGINT once more, some seconds later, interrupts at once.  Can be entered in the main thread only.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._since = 0.0
        self._former: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    @property
    def requested(self) -> bool:
        return self.number is not None

    def __enter__(self) -> StopRequest:
        self._former = {each: signal.signal(each, self._note) for each in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.number is None:
            self.number, self._since = number, now
        elif number == signal.SIGINT and now - self._since > _REPEAT_S:
            raise KeyboardInterrupt
