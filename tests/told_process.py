"""A process of the tests that is told in lines what to do, answers in lines, and ends when it is told to.

Told, not left to notice that its standard input has ended: any process that was forked meanwhile holds the other end
of that pipe, and keeps it open for as long as it lives.  No wait is without a bound.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

END = "end"  # the line that ends such a process; so does the end of its input, for where the tests were killed
_ANSWER_S, _END_S = 120.0, 60.0


class ToldProcess:
    """A running command whose standard input and output are lines of text."""

    def __init__(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        self._name = " ".join(command)[:200]
        self._process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._unread = b""  # said after the last line that was read

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Below zero: the signal.  None while it lives."""
        return self._process.poll()

    def tell(self, line: str) -> None:
        """Raises BrokenPipeError where it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def answer(self, limit_s: float = _ANSWER_S) -> str:
        """The next line that it says, without its end; AssertionError where none comes in time, or it has ended."""
        assert self._process.stdout is not None
        ends_at = time.monotonic() + limit_s
        while b"\n" not in self._unread:
            left_s = max(0.0, ends_at - time.monotonic())
            if not select.select([self._process.stdout], [], [], left_s)[0]:
                raise AssertionError(f"no answer for {limit_s:g} s: {self._name}")
            said = os.read(self._process.stdout.fileno(), 1 << 16)
            if not said:
                raise AssertionError(f"ended instead of an answer: {self._name}")
            self._unread += said
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(_END_S)

    def close(self, limit_s: float = _END_S) -> None:
        """Tell it to end, and wait for that; AssertionError where it had to be killed after all."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):  # it was killed, or has ended itself
            self.tell(END)
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"killed, since it went on for {limit_s:g} s after it was told to end: {self._name}"
            ) from None
        finally:
            self._process.stdin.close()
            self._process.stdout.close()
