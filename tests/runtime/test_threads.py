"""Ranges shared out to threads."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from sparse_convonet.runtime.threads import run_ranges


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize(("count", "parts"), [(0, 1), (1, 4), (10, 3), (1000, 64)])
def test_every_index_is_visited_once_and_every_part_runs(threads: int, count: int, parts: int) -> None:
    visits, runs = np.zeros(count, dtype=int), np.zeros(parts, dtype=int)

    def task(part: int, begin: int, end: int) -> None:
        visits[begin:end] += 1
        runs[part] += 1

    run_ranges(task, count, parts)
    assert (visits == 1).all()
    assert (runs == 1).all()


def test_errors_of_a_task_reach_the_caller(threads: int) -> None:
    def task(part: int, begin: int, end: int) -> None:
        if part == 5:
            raise ValueError("part 5")

    with pytest.raises(ValueError, match="part 5"):
        run_ranges(task, 100, 8)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(threads: int) -> None:
    seen: list[int] = []
    run_ranges(lambda part, begin, end: seen.append(part), 8, 8)

    def run_again() -> None:
        seen.clear()
        run_ranges(lambda part, begin, end: seen.append(part), 8, 8)
        os._exit(0 if sorted(seen) == list(range(8)) else 1)

    child = multiprocessing.get_context("fork").Process(target=run_again)
    child.start()
    child.join(60)
    code = child.exitcode
    child.kill()  # where it still waits for threads that it does not have
    assert code == 0
