"""A function in a process of its own: its result, how long the process took, and its peak memory, within bounds."""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse_convonet.runtime.memory import memory_of_process, peak_memory_bytes

_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1  # of prctl(2)
_NO_MEMORY = ("MemoryError", "can't allocate memory", "out of memory")  # as Python, torch and CUDA say it


class OverBudgetError(RuntimeError):
    """A process took more time or memory than it was allowed, or than there is.  what: "time" or "memory"."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


@dataclass(frozen=True)
class IsolatedCall:
    """result: what the function returned.  wall_s: of the whole process.  peak_bytes: its largest resident memory."""

    result: dict[str, Any]
    wall_s: float
    peak_bytes: int


def call_isolated(
    function: Callable[..., dict[str, Any]],
    arguments: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    memory_bytes: int | None = None,
    seconds: float | None = None,
    show: bool = False,
) -> IsolatedCall:
    """Call a function of a module with JSON arguments in a fresh process.

    memory_bytes, seconds: the process is ended when it holds or takes more (memory: Linux only).  show: what it says on
    stderr is shown.  Raises OverBudgetError then, and where the machine has no more memory; RuntimeError, with what the
    process said last, where it fails otherwise.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    with tempfile.TemporaryDirectory() as folder:
        answer_path, said_path = Path(folder) / "answer.json", Path(folder) / "said.txt"
        command = [
            sys.executable,
            "-m",
            "sparse_convonet.runtime.isolated",
            name,
            json.dumps(dict(arguments)),
            str(answer_path),
            str(os.getpid()),
        ]
        # The same modules are found there as here.
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        variables = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
        started = time.perf_counter()
        with said_path.open("wb") as said:
            process = subprocess.Popen(
                command, env=variables, stdin=subprocess.DEVNULL, stdout=said, stderr=None if show else said
            )
            try:
                _watch(process, name, memory_bytes, seconds)
            finally:
                process.kill()
                process.wait()
        wall_s = time.perf_counter() - started
        if process.returncode != 0 or not answer_path.is_file():
            last = said_path.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
            if process.returncode == -signal.SIGKILL or any(phrase in last for phrase in _NO_MEMORY):
                raise OverBudgetError("memory", f"{name}: the machine had no more memory for it")
            raise RuntimeError(f"{name} {dict(arguments)}: exit code {process.returncode}: {last}")
        answer = json.loads(answer_path.read_text(encoding="utf-8"))
    return IsolatedCall(answer["result"], wall_s, answer["peak_bytes"])


def _watch(process: subprocess.Popen[bytes], name: str, memory_bytes: int | None, seconds: float | None) -> None:
    """Wait for the end of a process, or end it when it is over its budget."""
    if memory_bytes is None and seconds is None:
        process.wait()
        return
    started = time.monotonic()
    while process.poll() is None:
        if seconds is not None and time.monotonic() - started > seconds:
            raise OverBudgetError("time", f"{name}: ended after {seconds:g} s, the time it was allowed")
        held = memory_of_process(process.pid)
        if memory_bytes is not None and held is not None and held > memory_bytes:
            raise OverBudgetError("memory", f"{name}: ended at {memory_bytes / 1e9:g} GB, the memory it was allowed")
        time.sleep(_POLL_S)


def _end_with(parent: int) -> None:
    """Let the system end this process when the one that started it ends, however that ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before
            sys.exit(1)


def _main() -> None:
    _end_with(int(sys.argv[4]))
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    answer = json.dumps({"result": result, "peak_bytes": peak_memory_bytes()})
    Path(sys.argv[3]).write_text(answer, encoding="utf-8")


if __name__ == "__main__":
    _main()
