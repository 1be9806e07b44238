"""What every runner of jobs offers, and the one that uses this process.

Jobs of one run are independent.  They hand on their results as files in a folder that all machines share, so that a job
that is lost with its machine can be run again elsewhere; what they return should be small.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class TaskNeeds:
    """What one job takes of its machine, which gets no more jobs than fit.

    cpus: cores, and threads.  memory_bytes: 0 where it does not matter.  Jobs with as many cores share worker
    processes, and with them what those remember.
    """

    cpus: int = 1
    memory_bytes: int = 0
    gpus: int = 0

    def __post_init__(self) -> None:
        if self.cpus < 1 or self.memory_bytes < 0 or self.gpus < 0:
            raise ValueError(f"needs of a job: expected at least one CPU and nothing below 0, found {self}")

    def __str__(self) -> str:
        memory = [f"{self.memory_bytes / 1e9:.3g} GB of memory"] if self.memory_bytes else []
        return ", ".join([f"{self.cpus} CPU", *memory, *([f"{self.gpus} GPU"] if self.gpus else [])])


class TaskRunner(Protocol):
    """Where jobs run.  lost: how many were run again because their worker or machine was lost."""

    lost: int

    def run(
        self, call: Callable[[Job], Result], jobs: Sequence[Job], needs: Callable[[Job], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Result]]:
        """Yield (index of the job, call(job)) as the jobs finish; closing it ends those that have not.

        `call`, a function of a module, jobs and results are pickled.  needs: where they differ from the runner's.
        What a job raises is raised here and ends the rest.  One run after another uses the same processes.
        """
        ...

    def require_shared(self, folder: Path) -> None:
        """Raise ValueError where a machine that may run jobs does not see `folder` or cannot write to it."""
        ...

    def close(self) -> None:
        """End what was started for the jobs; a second call does nothing."""
        ...


class LocalRunner:
    """One job after the other, in this process."""

    def __init__(self) -> None:
        self.lost = 0

    def run(
        self, call: Callable[[Job], Result], jobs: Sequence[Job], needs: Callable[[Job], TaskNeeds] | None = None
    ) -> Generator[tuple[int, Result]]:
        for index, job in enumerate(jobs):
            yield index, call(job)

    def require_shared(self, folder: Path) -> None:
        """This process sees what it sees."""

    def close(self) -> None:
        """Nothing was started."""
