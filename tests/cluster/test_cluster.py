"""Jobs on a Ray cluster: each once or again after a loss, errors as themselves, and nothing left of Ray."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sparse_convonet.cluster import (
    LocalRunner,
    RayRunner,
    TaskNeeds,
    TaskRunner,
    ray_connection,
    ray_runner,
    runner_for,
)
from sparse_convonet.cluster import machines as machines_module
from tests.ray_machines import MEMORY_BYTES, Done, RayMachines, Square, nothing_left_of_ray, ray_machines, write_square

ray = pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def machines() -> Iterator[RayMachines]:
    with ray_machines() as found:
        yield found


@pytest.fixture(scope="module")
def runner(machines: RayMachines) -> Iterator[RayRunner]:
    """Joined once, since that takes seconds; a process can join one cluster only, so that later tests close it."""
    with closing(RayRunner(machines.address)) as found:
        yield found


def squares(folder: Path, count: int, seconds: float = 0.0) -> list[Square]:
    return [Square(str(folder), number, seconds) for number in range(count)]


def run_all(runner: TaskRunner, jobs: list[Square], **options: object) -> list[Done]:
    """The results in the order of the jobs, each of which must come once."""
    results: dict[int, Done] = {}
    for index, result in runner.run(write_square, jobs, **options):  # type: ignore[arg-type]
        assert index not in results
        results[index] = result
    assert sorted(results) == list(range(len(jobs)))
    assert all(job.path.read_text() == str(job.number**2) for job in jobs)
    return [results[index] for index in range(len(jobs))]


def test_without_a_cluster_jobs_run_here_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    runner = runner_for(None)
    assert isinstance(runner, LocalRunner)
    done = run_all(runner, squares(tmp_path, 3))
    assert {each.process for each in done} == {os.getpid()} and [len(each.before) for each in done] == [0, 1, 2]


def test_runs_one_after_another_use_the_same_processes_and_what_those_remember(
    runner: RayRunner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run_all(runner, squares(tmp_path, 12, 0.2))
    second = run_all(runner, squares(tmp_path, 12, 0.2))
    assert 1 < len({each.process for each in [*first, *second]}) <= 4  # two machines of two CPUs
    assert sum(len(each.before) > 0 for each in second) >= 8
    assert {each.threads for each in first} == {"1"} and runner.lost == 0
    assert sorted(
        record.getMessage() for record in caplog.records if record.name == "sparse_convonet.squares"
    ) == sorted(f"wrote {number}" for number in [*range(12), *range(12)])


def test_a_machine_gets_no_more_jobs_than_its_memory_and_cpus_hold(runner: RayRunner, tmp_path: Path) -> None:
    for needs in (TaskNeeds(memory_bytes=int(0.6 * MEMORY_BYTES)), TaskNeeds(cpus=2)):
        done = run_all(runner, squares(tmp_path, 6, 0.3), needs=lambda job, needs=needs: needs)
        assert max(sum(a.began <= b.began < a.ended for a in done) for b in done) <= 2
        assert {each.threads for each in done} == {str(needs.cpus)}


def test_a_job_that_no_machine_can_hold_is_refused_at_once(runner: RayRunner, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="a job needs 1 CPU, 2 GB of memory, but the largest machine .* offers 2 CPU, 1 GB"
    ):
        list(runner.run(write_square, squares(tmp_path, 1), lambda job: TaskNeeds(memory_bytes=2 * MEMORY_BYTES)))


def test_what_a_job_raises_arrives_as_itself_and_ends_the_rest(runner: RayRunner, tmp_path: Path) -> None:
    refused = Square(str(tmp_path), -3)
    with pytest.raises(ValueError, match=r"^number: expected at least 0, found -3$") as error:
        list(runner.run(write_square, [refused, *squares(tmp_path, 40, 0.5)]))
    assert type(error.value) is ValueError
    time.sleep(0.6)
    assert len(list(tmp_path.iterdir())) < 10
    with pytest.raises(FileNotFoundError) as missing:
        list(runner.run(write_square, squares(tmp_path / "none", 1)))
    assert missing.value.filename == str(tmp_path / "none" / "0.txt")
    assert runner.lost == 0


def test_a_job_whose_worker_ends_is_run_again_but_not_for_ever(runner: RayRunner, tmp_path: Path) -> None:
    before = runner.lost
    run_all(runner, [*squares(tmp_path, 3), Square(str(tmp_path), 666)])
    assert runner.lost == before + 2 and (tmp_path / "666.tries").read_text() == "xxx"
    with pytest.raises(ValueError, match="a job lost its worker 5 times .out of memory.*; run the same command again"):
        list(runner.run(write_square, [Square(str(tmp_path), 667)]))


@pytest.mark.slow
def test_jobs_of_a_machine_that_is_lost_are_run_elsewhere(
    machines: RayMachines, runner: RayRunner, tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    before, jobs, done = runner.lost, squares(tmp_path, 48, 0.2), set()
    # Held, since workers notice only after seconds that their machine is gone, and hand in results until then.
    held = jobs[0].held_on(machines.tell("add"))
    held.touch()

    def lose_the_machine() -> None:
        ends_at = time.monotonic() + 90
        while not held.read_text() and time.monotonic() < ends_at:
            time.sleep(0.1)
        machines.tell("kill 2")

    losing = threading.Thread(target=lose_the_machine)
    losing.start()
    for index, _ in runner.run(write_square, jobs):
        assert index not in done
        done.add(index)
    losing.join(240)
    assert not losing.is_alive()
    assert done == set(range(48)) and runner.lost > before
    run_all(LocalRunner(), squares(tmp_path / "alone", 48))
    assert all((tmp_path / "alone" / f"{job.number}.txt").read_bytes() == job.path.read_bytes() for job in jobs)


def test_a_folder_that_the_machines_do_not_share_is_refused(
    runner: RayRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.require_shared(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(machines_module, "_SEEN_S", 0.5)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.dup2(descriptor, 900)  # a path that means something else in every process
    try:
        with pytest.raises(ValueError, match="/proc/self/fd/900: machine .* does not see what is written there; --out"):
            runner.require_shared(Path("/proc/self/fd/900"))
    finally:
        os.close(900)
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []


def test_a_machine_with_another_version_is_refused(runner: RayRunner) -> None:
    with pytest.raises(ValueError, match="has another version of sparse_convonet than this machine; install the same"):
        machines_module.require_same_program(ray, runner._settings(TaskNeeds()), "another")


def test_a_second_cluster_in_one_process_is_refused(runner: RayRunner) -> None:
    with pytest.raises(ValueError, match="has joined a Ray cluster already"):
        RayRunner("local")


def test_addresses_where_no_ray_answers_are_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("nonsense", "http://host:1", "host:", "", "ray://"):
        with pytest.raises(ValueError, match="cluster: expected local, auto, HOST:PORT or ray://HOST:PORT, found"):
            runner_for(wrong)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{other.getsockname()[1]}"
        for address in (place, f"ray://{place}"):
            with pytest.raises(ConnectionError, match=f"^{address}: no Ray cluster answers there within 5 s; check"):
                runner_for(address)
        monkeypatch.setenv("RAY_ADDRESS", place)
        with pytest.raises(ConnectionError, match=f"^{place}: no Ray cluster answers there"):
            runner_for("auto")
        other.listen()
        monkeypatch.setattr(ray_connection, "_JOIN_S", 2.0)
        with pytest.raises(ConnectionError, match=f"^{place}: cannot join a Ray cluster there .no answer as of a Ray"):
            runner_for(place)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"needs the package ray, .* pip install 'ray>="):
        runner_for("local")


@pytest.mark.parametrize("found", [{"workers": 0}, {"needs": {"cpus": 0}}, {"needs": {"memory_bytes": -1}}])
def test_needs_below_one_are_refused(found: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected at least"):
        needs = found.get("needs", {})
        assert isinstance(needs, dict)
        RayRunner("local", workers=found.get("workers"), needs=TaskNeeds(**needs))  # type: ignore[arg-type]


def test_ray_that_was_started_here_ends_with_the_runner(runner: RayRunner, tmp_path: Path) -> None:
    runner.close()
    with nothing_left_of_ray(), closing(runner_for("local", workers=2)) as own:
        own.require_shared(tmp_path)
        done = run_all(own, squares(tmp_path, 8, 0.2))
        assert len({each.process for each in done} - {os.getpid()}) in (1, 2)
        own.close()


@pytest.mark.slow
def test_a_cluster_that_is_lost_is_one_sentence(  # the last one: nothing is left of the machines
    machines: RayMachines, runner: RayRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.close()
    monkeypatch.setattr(ray_runner, "_MISSING_S", 3.0)
    monkeypatch.setattr(ray_runner, "_CANCEL_S", 1.0)
    with closing(RayRunner(machines.address)) as own:
        for commands, what in (
            (["kill 0", "kill 1"], "none of its machines is there"),
            (["add", "kill head"], "its head does not answer"),
        ):
            if commands[0] == "add":
                machines.tell(commands.pop(0))
            with closing(own.run(write_square, squares(tmp_path, 400, 0.2))) as running:
                next(running)
                for command in commands:
                    machines.tell(command)
                with pytest.raises(ConnectionError) as error:
                    list(running)
            assert str(error.value) == (
                f"{machines.address}: the Ray cluster is lost, {what} for 3 s; start it again and run the same command, "
                "what is finished is kept"
            )
