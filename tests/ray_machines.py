"""A Ray cluster of several machines, all of them on this one, and jobs to run there.

The cluster is a process of its own, which is told on its standard input what to do, and ends all of it when it is told
to, or when that is closed: where the tests are killed.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.told_process import END, ToldProcess

MEMORY_BYTES = 1_000_000_000  # that a machine says it has
_MARK = "TEST_OF_RAY"  # a variable that marks the processes of a test
_GONE_S = 60.0


@dataclass(frozen=True)
class RayMachines:
    """A head that takes no jobs, and machines of two CPUs: at first `0` and `1`."""

    address: str
    process: ToldProcess

    def tell(self, command: str) -> str:
        """`add`: one more machine, whose id is returned.  `kill NUMBER`: as if its power failed.  `kill head`: the
        control of the cluster."""
        self.process.tell(command)
        done, _, machine = self.process.answer().partition(": ")
        assert done == command
        return machine


@contextmanager
def ray_machines() -> Iterator[RayMachines]:
    """Starts them in some seconds, and ends all of them."""
    command = [sys.executable, "-m", "tests.ray_machines"]
    with _marking() as mark:
        process = ToldProcess(command, cwd=Path(__file__).parents[1])
    try:
        yield RayMachines(process.answer(), process)
    finally:
        try:
            process.close()
        finally:
            for number in _marked(mark):  # a machine whose power failed leaves some that notice it after a minute
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)


@contextmanager
def nothing_left_of_ray() -> Iterator[None]:
    """Check that no process that was started in the block is alive some time after it."""
    with _marking() as mark:
        yield
    ends_at = time.monotonic() + _GONE_S
    while (left := _marked(mark)) and time.monotonic() < ends_at:
        time.sleep(0.2)
    assert left == {}


@contextmanager
def _marking() -> Iterator[str]:
    """A mark in the environment of all processes that are started in the block, and by those."""
    mark, before = secrets.token_hex(8), os.environ.get(_MARK, "")
    os.environ[_MARK] = f"{before} {mark}"
    try:
        yield mark
    finally:
        os.environ[_MARK] = before


def _marked(mark: str) -> dict[int, str]:
    """Numbers and commands of the processes with `mark` in their environment, but this one and those that ended."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = mark.encode() in (process / "environ").read_bytes()
            command = (process / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
        except OSError:  # ended meanwhile, or of another user
            continue
        if marked and command and process.name != str(os.getpid()):
            found[int(process.name)] = command
    return found


@dataclass(frozen=True)
class Square:
    """A number whose square is to be written to a folder."""

    folder: str
    number: int
    seconds: float = 0.0

    @property
    def path(self) -> Path:
        return Path(self.folder) / f"{self.number}.txt"

    def held_on(self, machine: str) -> Path:
        """While this file is there, jobs on `machine` do not end; the first writes to it."""
        return Path(self.folder) / f"held_on_{machine}"


@dataclass(frozen=True)
class Done:
    """Where and when a job ran, and which jobs its process had run before."""

    process: int
    machine: str
    threads: str
    began: float
    ended: float
    before: tuple[int, ...]


_remembered: list[int] = []


def write_square(job: Square) -> Done:
    """Refuses numbers below 0; ends its process at 666 unless it has done so before."""
    import ray

    began, before = time.time(), tuple(_remembered)
    _remembered.append(job.number)
    if job.number < 0:
        raise ValueError(f"number: expected at least 0, found {job.number}")
    if job.number == 666:
        tries = job.path.with_suffix(".tries")
        with tries.open("a") as file:
            file.write("x")
        if tries.stat().st_size < 3:
            os._exit(1)
    if job.number == 667:
        os._exit(1)
    time.sleep(job.seconds)
    machine = ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""
    while (held := job.held_on(machine)).exists():
        held.write_text("begun")
        time.sleep(0.1)
    job.path.write_text(str(job.number**2))
    logging.getLogger("sparse_convonet.squares").warning("wrote %d", job.number)
    return Done(os.getpid(), machine, os.environ.get("OMP_NUM_THREADS", ""), began, time.time(), before)


def _main() -> None:
    from ray.cluster_utils import Cluster

    machine: dict[str, Any] = {"num_cpus": 2, "memory": MEMORY_BYTES}
    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    machines = [cluster.add_node(**machine) for _ in range(2)]
    print(cluster.address, flush=True)
    for line in sys.stdin:
        command = line.strip()
        if command == END:
            break
        if command == "add":
            machines.append(cluster.add_node(**machine))
        elif command == "kill head":
            cluster.head_node.kill_gcs_server()
        else:
            cluster.remove_node(machines[int(command.removeprefix("kill "))], allow_graceful=False)
        print(f"{command}: {machines[-1].node_id}", flush=True)
    for node in [*cluster.worker_nodes, cluster.head_node]:
        cluster.remove_node(node, allow_graceful=False)


if __name__ == "__main__":
    _main()
