"""Numba kernels without the interpreter lock on as many threads as torch uses.

Plain threads and not Numba's own: a second OpenMP runtime beside torch's makes the two spin against
each other on machines with few cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Helpers of this process (a forked one has lost its parent's threads)."""
    return ThreadPoolExecutor(threads, thread_name_prefix="sparse-convolution")


def run_ranges(task: Callable[[int, int, int], None], count: int, parts: int) -> None:
    """Call task(part, begin, end) for `parts` equal ranges that cover range(count), in parallel.

    The task must not hold the interpreter lock for long.  The calling thread works too.
    """
    threads = torch.get_num_threads()
    ranges = iter([(part, part * count // parts, (part + 1) * count // parts) for part in range(parts)])

    def work() -> None:
        for part, begin, end in ranges:  # next() of a list iterator is atomic under the interpreter lock
            task(part, begin, end)

    if threads == 1 or parts == 1:
        work()
        return
    pool = _pool(threads, os.getpid())
    helpers = [pool.submit(work) for _ in range(min(threads, parts) - 1)]
    try:
        work()
    finally:
        wait(helpers)
    for helper in helpers:
        helper.result()
