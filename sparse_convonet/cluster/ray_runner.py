"""Jobs as tasks of Ray: spread over its machines, and run again where a worker or a machine is lost."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sparse_convonet.cluster.machines import PACKAGE_ROOT, program_digest, require_same_program, require_shared_folder
from sparse_convonet.cluster.ray_connection import LOCAL, answers, import_ray, joined_ray, started_ray
from sparse_convonet.cluster.task_runner import TaskNeeds
from sparse_convonet.runtime.refusals import one_line

_QUEUED_PER_WORKER = 2  # one at work and one that waits for it; more would delay errors and Ctrl-C
_LOSSES_OF_A_JOB = 5  # a job that takes its worker along every time (out of memory) must come to an end
_POLL_S = 2.0
_MISSING_S = 30.0  # what is away for longer is lost; Ray ends a process that has missed the head for 60 s
_CANCEL_S = 5.0
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "IGL_NUM_THREADS")

Job = TypeVar("Job")
Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class RayRunner:
    """Jobs on a Ray cluster.

    address: `local` starts Ray on this machine, which ends with close(); `auto`, HOST:PORT and ray://HOST:PORT join a
    cluster that runs.  workers: how many jobs run at once; default: as many as fit.  needs: of each job.
    Raises ValueError where Ray is missing, the address is none, or another version of this package runs there;
    ConnectionError where no cluster answers.  run() raises ConnectionError where all machines are lost, ValueError where
    no machine is large enough or a job is lost again and again.
    """

    def __init__(self, address: str, *, workers: int | None = None, needs: TaskNeeds = TaskNeeds()) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers: expected at least 1, found {workers}")
        self._ray = import_ray()
        self._address, self._workers, self._needs = address, workers, needs
        self.lost = 0
        with ExitStack() as ends:
            if address == LOCAL:
                jobs_at_once = workers or max(1, (os.cpu_count() or 1) // needs.cpus)
                ends.enter_context(started_ray(jobs_at_once * needs.cpus))
            else:
                ends.enter_context(joined_ray(address))
            self._head = None if address.startswith("ray://") else self._ray.get_runtime_context().gcs_address
            # max_calls: else tasks that hold a GPU end their process, and what it remembers is lost.
            self._task = self._ray.remote(max_retries=0, max_calls=0)(_perform)
            if address != LOCAL:
                require_same_program(self._ray, self._settings(needs), program_digest())
            self._ends = ends.pop_all()

    def run(
        self, call: Callable[[Job], Result], jobs: Sequence[Job], needs: Callable[[Job], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Result]]:
        """Yield (index, call(job)) as the jobs finish, see TaskRunner."""
        waiting = deque(range(len(jobs)))
        losses = [0] * len(jobs)
        running: dict[Future[_Answer], tuple[int, Any]] = {}
        level = logging.getLogger("sparse_convonet").getEffectiveLevel()
        watch = _Watch(self._ray, self._address, self._head)
        try:
            while waiting or running:
                next_needs = needs(jobs[waiting[0]]) if needs and waiting else self._needs
                room = watch.room(next_needs)
                limit = room * _QUEUED_PER_WORKER if self._workers is None else min(self._workers, 2 * room)
                if waiting and len(running) < limit:
                    index = waiting.popleft()
                    reference = self._task.options(**self._settings(next_needs)).remote(call, jobs[index], level)
                    running[reference.future()] = (index, reference)
                    continue
                if not running:  # and no machine is there
                    time.sleep(_POLL_S)
                    continue
                # ray.wait would turn what the handler of SIGTERM raises into Ctrl-C.
                for future in wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED).done:
                    index, _ = running.pop(future)
                    try:
                        answer = future.result()
                    except self._ray.exceptions.RayTaskError as error:
                        raise error.cause from error
                    except self._lost_with_worker() as error:
                        losses[index] += 1
                        self._count_loss(losses[index], error)
                        waiting.appendleft(index)
                        continue
                    answer.repeat_messages()
                    yield index, answer.result
        finally:
            self._cancel([reference for _, reference in running.values()])

    def require_shared(self, folder: Path) -> None:
        """Raise ValueError where a machine does not see `folder`, which must exist, or cannot write to it."""
        if self._address != LOCAL:
            require_shared_folder(self._ray, self._settings(self._needs), folder)

    def close(self) -> None:
        """End the Ray that was started here, or leave the cluster that was joined."""
        self._ends.close()

    def _settings(self, needs: TaskNeeds) -> dict[str, Any]:
        """Options of a task; jobs with equal runtime_env share worker processes."""
        variables = {name: str(needs.cpus) for name in _THREADS}
        variables["PYTHONPATH"] = f"{PACKAGE_ROOT}{os.pathsep}${{PYTHONPATH}}"  # where a checkout is not installed
        settings = {"num_cpus": needs.cpus, "num_gpus": needs.gpus, "runtime_env": {"env_vars": variables}}
        return settings | ({"memory": needs.memory_bytes} if needs.memory_bytes else {})

    def _lost_with_worker(self) -> tuple[type[Exception], ...]:
        known = self._ray.exceptions
        return (
            known.WorkerCrashedError,
            known.NodeDiedError,
            known.LocalRayletDiedError,
            known.OutOfMemoryError,
            known.ObjectLostError,
            known.RuntimeEnvSetupError,
        )

    def _count_loss(self, losses: int, error: Exception) -> None:
        reason = one_line(str(error), 120)
        if losses >= _LOSSES_OF_A_JOB:
            raise ValueError(
                f"a job lost its worker {losses} times (out of memory?): {reason}; run the same command again with fewer "
                "--workers, what is finished is kept"
            ) from error
        self.lost += 1
        logger.warning("a worker was lost, its job is run again (%d so far): %s", self.lost, reason)

    def _cancel(self, running: list[Any]) -> None:
        """End jobs that nobody waits for: like Ctrl-C first, so that they clear up, then by force."""
        for force in (False, True):
            if running:
                for reference in running:
                    self._ray.cancel(reference, force=force)
                _, running = self._ray.wait(running, num_returns=len(running), timeout=_CANCEL_S)


class _Watch:
    """Whether the cluster is still there, and how many jobs its machines hold; asks at most every _POLL_S."""

    def __init__(self, ray: Any, address: str, head: str | None) -> None:
        self._ray, self._address, self._head = ray, address, head
        self._asked_at = self._seen_at = time.monotonic()
        self._machines: list[dict[str, float]] | None = None

    def room(self, needs: TaskNeeds) -> int:
        """How many jobs run at once; 0 while no machine is there.  Raises when that has lasted too long."""
        now = time.monotonic()
        if self._machines is None or now - self._asked_at >= _POLL_S:
            head_is_there = self._head is None or answers(self._head)
            found = [node["Resources"] for node in self._ray.nodes() if node["Alive"]] if head_is_there else []
            self._machines = [each for each in found if each.get("CPU", 0) > 0]
            self._asked_at = time.monotonic()
            if self._machines:
                self._seen_at = self._asked_at
            elif self._asked_at - self._seen_at > _MISSING_S:
                what = "none of its machines is there" if head_is_there else "its head does not answer"
                raise ConnectionError(
                    f"{self._address}: the Ray cluster is lost, {what} for {_MISSING_S:g} s; start it again and run the "
                    "same command, what is finished is kept"
                )
        room = sum(_fitting(each, needs) for each in self._machines)
        if self._machines and not room:
            largest = max(self._machines, key=lambda each: (each.get("memory", 0), each["CPU"]))
            raise ValueError(
                f"a job needs {needs}, but the largest machine of the Ray cluster offers {largest['CPU']:g} CPU, "
                f"{largest.get('memory', 0) / 1e9:.3g} GB, {largest.get('GPU', 0):g} GPU; add a larger one, or allow a "
                "job less memory or fewer cores"
            )
        return room


def _fitting(machine: dict[str, float], needs: TaskNeeds) -> int:
    wanted = {"CPU": needs.cpus, "memory": needs.memory_bytes, "GPU": needs.gpus}
    return int(min(machine.get(name, 0) // amount for name, amount in wanted.items() if amount))


@dataclass(frozen=True)
class _Answer:
    """What a job returned, and what it logged: name of the logger, level, message."""

    result: Any
    messages: tuple[tuple[str, int, str], ...]

    def repeat_messages(self) -> None:
        for name, level, message in self.messages:
            logging.getLogger(name).log(level, "%s", message)


def _perform(call: Callable[[Job], Result], job: Job, level: int) -> _Answer:
    """Run a job on its worker."""
    with _messages(level) as messages:
        return _Answer(call(job), tuple(messages))


@contextmanager
def _messages(level: int) -> Iterator[list[tuple[str, int, str]]]:
    """What this package logs at `level` and above."""
    messages: list[tuple[str, int, str]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append((record.name, record.levelno, record.getMessage()))

    package, handler = logging.getLogger("sparse_convonet"), Keep(level)
    package.addHandler(handler)
    package.setLevel(level)
    try:
        yield messages
    finally:
        package.removeHandler(handler)
