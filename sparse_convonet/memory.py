"""How much memory this process holds and held, and how much the machine can still give."""

from __future__ import annotations

import logging
import os
import resource
import sys
from pathlib import Path

logger = logging.getLogger(__name__)


def peak_memory_bytes() -> int:
    """The largest resident memory of this process so far.

    Linux' own count of the process: getrusage's also holds that of the process which started this one.
    """
    return _from_status("VmHWM") or _peak_of_getrusage()


def resident_memory_bytes() -> int:
    """The resident memory of this process now (where the system does not tell: the largest so far)."""
    return _from_status("VmRSS") or _peak_of_getrusage()


def memory_of_process(process: int) -> int | None:
    """The resident memory of another process now; None where it has ended, or the system does not tell."""
    return _from_status("VmRSS", str(process))


def available_memory_bytes() -> int:
    """What this machine can give a process now (Linux: MemAvailable; elsewhere: all physical memory)."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        logger.debug("no /proc/meminfo on this machine")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _from_status(name: str, process: str = "self") -> int | None:
    try:
        status = Path("/proc", process, "status").read_text(encoding="utf-8")
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(lines[0].split()[1]) * 1024 if lines else None


def _peak_of_getrusage() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
