"""Seconds of tasks that take turns, the machine's matrix-product rate, and what machine it is."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

_ROOT = Path(__file__).parents[2]
_MATRIX_SIDE = 2048
_VERSIONS_OF = ("torch", "numpy", "numba", "MinkowskiEngine")


def interleaved_seconds(tasks: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each task; they take turns (A B A B ...), so that a change of the machine meets all alike.

    Each runs once before, untimed, which compiles what there is to compile.
    """
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


@dataclass(frozen=True)
class MatrixProduct:
    """torch.mm on float32 matrices of 2048 x 2048: about what the cores can do."""

    run: Callable[[], object]
    operations: float


def matrix_product() -> MatrixProduct:
    left, right = torch.randn(_MATRIX_SIDE, _MATRIX_SIDE), torch.randn(_MATRIX_SIDE, _MATRIX_SIDE)
    return MatrixProduct(lambda: torch.mm(left, right), 2.0 * _MATRIX_SIDE**3)


def matrix_product_rate(repeats: int) -> float:
    """Floating-point operations per second of that product."""
    product = matrix_product()
    return product.operations / interleaved_seconds({"mm": product.run}, repeats)["mm"]


def describe_run() -> str:
    """One paragraph: machine, cores, memory, versions, commit, date."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {_version(name)}" for name in _VERSIONS_OF)
    return (
        f"Measured {datetime.date.today().isoformat()} at commit {_commit()} on {_processor()}, {os.cpu_count()} cores "
        f"({torch.get_num_threads()} threads), {memory_gib:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}."
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        result = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "sparse_convonet", "tests/benchmarks")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")
