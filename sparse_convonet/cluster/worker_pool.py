"""Jobs on several processes: few at a time, results in order, and no worker outlives the process that began it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing.connection import wait as wait_for_end
from pathlib import Path
from typing import TypeVar

from sparse_convonet.cluster import TaskNeeds

_QUEUED_PER_WORKER = 4  # thousands in the queue would delay Ctrl-C and errors

Job = TypeVar("Job")
Result = TypeVar("Result")


class ProcessRunner:
    """A TaskRunner: several processes of this machine, which are started for each run and end with it."""

    def __init__(self, workers: int) -> None:
        self.lost = 0  # a worker that is killed ends the run
        self._workers = workers

    def run(
        self, call: Callable[[Job], Result], jobs: Sequence[Job], needs: Callable[[Job], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Result]]:
        with closing(run_jobs(call, jobs, self._workers)) as results:
            yield from enumerate(results)

    def require_shared(self, folder: Path) -> None:
        """Processes of one machine see the same folders."""

    def close(self) -> None:
        """Nothing is left of a run."""


def run_jobs(call: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Generator[Result]:
    """call(job) for every job, in their order; in this process where there is one worker or one job.

    `call`, jobs and results are pickled.  What a job raises is raised here, and ends the rest.  Raises ValueError where
    a worker is killed.
    """
    if workers < 1:
        raise ValueError(f"workers: expected at least 1, found {workers}")
    if workers == 1 or len(jobs) < 2:
        yield from map(call, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads of torch or open3d can hang
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            running: deque[Future[Result]] = deque()
            for job in jobs:
                running.append(pool.submit(call, job))
                if len(running) == workers * _QUEUED_PER_WORKER:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool as error:
            raise ValueError(
                "a worker was killed (out of memory?); run the same command again with fewer --workers, "
                "what is finished is kept"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which waits for the jobs at hand
    os.environ["IGL_NUM_THREADS"] = "1"  # one core per worker
    _end_with_parent()


def _end_with_parent() -> None:
    """Workers of a killed process must not go on writing beside those of the next run."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for_end([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
