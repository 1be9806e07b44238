"""How much memory this process holds and held, how much the machine can still give, and what is given back to it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import psutil


def peak_memory_bytes() -> int:
    """The largest resident memory of this process so far.

    Linux: the system's own count of the process; getrusage's also holds that of the process which started this one.
    """
    held = psutil.Process().memory_info()
    return _peak_on_linux() or getattr(held, "peak_wset", None) or _peak_of_getrusage() or held.rss


def resident_memory_bytes() -> int:
    """The resident memory of this process now."""
    return int(psutil.Process().memory_info().rss)


def memory_of_process(process: int) -> int | None:
    """The resident memory of another process now; None where it has ended, or the system does not tell."""
    try:
        return int(psutil.Process(process).memory_info().rss) or None
    except psutil.Error:
        return None


def available_memory_bytes() -> int:
    """What this machine can give a process now, without moving others out of the memory."""
    return int(psutil.virtual_memory().available)


def return_freed_memory() -> None:
    """Let glibc give freed memory back to the system: what one stage left behind in pieces does not fit the next."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
        if trim is not None:
            trim(0)


def _peak_on_linux() -> int | None:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def _peak_of_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows, whose count is psutil's peak_wset
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
