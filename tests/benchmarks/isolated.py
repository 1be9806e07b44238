"""A function in a process of its own: its result, how long the process took, and its peak memory."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_MARK = "result of the isolated call: "


@dataclass(frozen=True)
class IsolatedCall:
    """result: what the function returned.  wall_s: of the whole process.  peak_bytes: its largest resident memory."""

    result: dict[str, Any]
    wall_s: float
    peak_bytes: int


def call_isolated(
    function: Callable[..., dict[str, Any]], arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> IsolatedCall:
    """Call a function of a module of tests.benchmarks with JSON arguments in a fresh process.

    Raises RuntimeError, with what the process said last, where it fails.
    """
    name = f"{function.__module__}:{function.__qualname__}"
    command = [sys.executable, "-m", "tests.benchmarks.isolated", name, json.dumps(dict(arguments))]
    started = time.perf_counter()
    process = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    wall_s = time.perf_counter() - started
    lines = [line for line in process.stdout.splitlines() if line.startswith(_MARK)]
    if process.returncode != 0 or not lines:
        raise RuntimeError(f"{name} {dict(arguments)}: exit code {process.returncode}: {process.stderr[-2000:]}")
    answer = json.loads(lines[-1].removeprefix(_MARK))
    return IsolatedCall(answer["result"], wall_s, answer["peak_bytes"])


def peak_memory_bytes() -> int:
    """The largest resident memory of this process.

    Linux' own count of the process: getrusage's also holds that of the process which started this one.
    """
    return _from_status("VmHWM") or _peak_of_getrusage()


def resident_memory_bytes() -> int:
    """The resident memory of this process now (where the system does not tell: the largest so far)."""
    return _from_status("VmRSS") or _peak_of_getrusage()


def _from_status(name: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    lines = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def _peak_of_getrusage() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)


def _main() -> None:
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(_MARK + json.dumps({"result": result, "peak_bytes": peak_memory_bytes()}))


if __name__ == "__main__":
    _main()
