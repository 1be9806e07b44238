"""Sets of models made on a Ray cluster: the bytes of one process, with machines lost and tools stopped on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sparse_convonet.cluster import RayRunner
from sparse_convonet.data.convonet.layout import read_split
from sparse_convonet.data.sets.model_set import ModelJob, split_jobs, write_model, write_models
from tests.data.sets.test_model_set import TOOL, digest, write_number
from tests.ray_machines import RayMachines, nothing_left_of_ray, ray_machines
from tests.tools.running import exit_code, refusal

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = pytest.mark.alone

SMALL = ["--count", "12", "--objects", "4", "--files", "2", "--points", "20000", "--queries", "20000"]


@pytest.fixture(scope="module")
def machines() -> Iterator[RayMachines]:
    with ray_machines() as found:
        yield found


def count_models(out: Path) -> int:
    return sum(path.is_dir() and not path.name.startswith(".") for path in out.glob("rooms_04/*"))


def wait_for_models(out: Path, count: int, process: subprocess.Popen[str] | None = None) -> None:
    ends_at = time.monotonic() + 90
    while count_models(out) < count and time.monotonic() < ends_at and (process is None or process.poll() is None):
        time.sleep(0.02)


def slow_number(job: ModelJob, folder: Path) -> None:
    """A model of two files, for which a worker is lost in between if its machine is."""
    (folder / "first.txt").write_text("first")
    time.sleep(0.5)
    write_number(job, folder)


@pytest.mark.slow
def test_rooms_made_on_a_cluster_that_loses_a_machine_have_the_bytes_of_one_process(
    machines: RayMachines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("make_rooms", "--out", tmp_path / "alone", *SMALL, "--workers", "1") == 0
    out = tmp_path / "cluster"

    def lose_a_machine() -> None:
        wait_for_models(out, 3)
        machines.tell("kill 1")

    losing = threading.Thread(target=lose_a_machine)
    losing.start()
    assert exit_code("make_rooms", "--out", out, *SMALL, "--cluster", machines.address) == 0
    losing.join(240)
    assert not losing.is_alive()
    assert digest(out) == digest(tmp_path / "alone")
    capsys.readouterr()
    assert exit_code("make_rooms", "--out", out, *SMALL, "--cluster", machines.address) == 0
    assert "0 written now, 12 were there\n" in capsys.readouterr().out
    machines.tell("add")


@pytest.mark.slow
def test_models_of_lost_workers_are_made_again_and_leave_nothing_half_done(
    machines: RayMachines, tmp_path: Path
) -> None:
    jobs = split_jobs("a", {"train": 24})
    with closing(RayRunner(machines.address)) as runner:
        machines.tell("add")
        killed = False

        def finished(count: int) -> None:
            nonlocal killed
            if not killed and len(list((tmp_path / "a").glob("0*"))) > 6:
                machines.tell("kill 2")
                killed = True

        written = write_models(
            tmp_path, jobs, slow_number, recipe={}, class_names={"a": "one"}, runner=runner, finished=finished
        )
    assert killed and written == 24
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        *(job.name for job in jobs),
        *("test.lst", "train.lst", "val.lst"),
    ]
    assert read_split(tmp_path / "a" / "train.lst") == [job.name for job in jobs]
    for job in jobs:
        files = {path.name: path.read_text() for path in (tmp_path / "a" / job.name).iterdir()}
        assert files == {"first.txt": "first", "number.txt": f"a train {job.number}"}


def test_a_model_that_another_worker_has_finished_meanwhile_is_kept(tmp_path: Path) -> None:
    job = ModelJob("a", "train", 0)
    (tmp_path / "a").mkdir()

    def overtaken(job: ModelJob, folder: Path) -> None:
        write_model(tmp_path, write_number, job)  # by the machine that seemed lost
        write_number(job, folder)

    write_model(tmp_path, overtaken, job)
    before = digest(tmp_path)
    write_model(tmp_path, overtaken, job)
    assert digest(tmp_path) == before and list(before) == ["a/00000000/number.txt"]


def test_an_address_where_no_cluster_answers_is_one_sentence_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for address, words in (("127.0.0.1:9", "127.0.0.1:9: no Ray cluster answers"), ("here", "cluster: expected local")):
        assert words in refusal(capsys, "make_rooms", "--out", tmp_path / "out", *SMALL, "--cluster", address)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def heeded_signals() -> Iterator[None]:
    """What runs in the background of a script is born deaf to Ctrl-C, and so would be what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_tool_that_is_stopped_ends_the_ray_that_it_started(
    tmp_path: Path, number: signal.Signals, code: int, heeded_signals: None
) -> None:
    with nothing_left_of_ray():
        command = [sys.executable, str(TOOL), "--out", str(tmp_path), *SMALL, "--count", "2000", "--cluster", "local"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_for_models(tmp_path, 2, process)
            process.send_signal(number)
            said = process.communicate(timeout=90)[1]
        assert process.returncode == code
        assert "Traceback" not in said and said.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.slow
def test_a_tool_that_is_stopped_leaves_the_cluster_that_it_joined(machines: RayMachines, tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "--out", str(tmp_path), *SMALL, "--count", "200"]
    with subprocess.Popen([*command, "--cluster", machines.address], stderr=subprocess.PIPE, text=True) as process:
        wait_for_models(tmp_path, 2, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)
    assert process.returncode == 143
    with closing(RayRunner(machines.address)) as runner:
        assert [result for _, result in runner.run(str.upper, ["still there"])] == ["STILL THERE"]
