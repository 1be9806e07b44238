"""Run tools, kill them at random moments or before chosen changes of their folder, and see what they leave."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.reliability.snapshots import require_whole, snapshot, temporaries
from tests.told_process import ToldProcess
from tests.tools.running import TOOLS

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOOLS.parent)}
_GROUP_END_S = 20.0
_BEGIN_S = 60.0
_TOOL_S = 300.0  # that one run of a tool may take
_IDLE_SHARE = 0.9
_LAST_SHARE = 1.05  # of an undisturbed run's seconds of CPU, in which runs are killed


def listen_to_ctrl_c() -> None:
    """Shells start what runs in the background with SIGINT ignored, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Started:
    """A command in a process group of its own."""

    def __init__(self, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, env={**ENVIRONMENT, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, cwd=TOOLS.parent, text=True, preexec_fn=listen_to_ctrl_c,
        )  # fmt: skip
        self.group = self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def outcome(self) -> tuple[int, str]:
        """The exit code (below zero: the signal) and what was said on stderr, after the end."""
        try:
            said = self._process.communicate(timeout=_TOOL_S)[1]
        except subprocess.TimeoutExpired:
            kill_group(self.group)
            raise
        return self._process.returncode, said

    def kill(self) -> None:
        """End what still runs of it."""
        kill_group(self.group)
        if not self.ended():
            self._process.communicate()


class Command(Started):
    """A tool as its user starts it."""

    def __init__(self, tool: str, arguments: Sequence[object], environment: dict[str, str] | None = None) -> None:
        super().__init__([sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)], environment)


class Preloaded:
    """tests/reliability/preloaded.py, to run one tool after the other."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said.txt"
        command = [sys.executable, "-m", "tests.reliability.preloaded"]
        self._server = ToldProcess(command, cwd=TOOLS.parent, environment=ENVIRONMENT)
        assert self._server.answer() == "ready"

    def run(
        self, tool: str, arguments: Sequence[object], watched: Path, *, die_at: int | None = None,
        stop: Callable[[int], None] = lambda group: None,
    ) -> tuple[int, str]:  # fmt: skip
        """As Command.outcome.  stop: called with the group when the tool has begun."""
        request = {
            "tool": str(TOOLS / f"{tool}.py"), "arguments": [str(each) for each in arguments],
            "said": str(self._said), "watched": str(watched), "die_at": die_at,
        }  # fmt: skip
        self._said.unlink(missing_ok=True)
        self._server.tell(json.dumps(request))
        group = int(self._server.answer())
        try:
            stop(group)
            code = int(self._server.answer(_TOOL_S))
        except BaseException:  # also a test's own limit of time
            kill_group(group)
            self._server.answer()  # the code, which would be taken for the answer to the next request
            raise
        await_end(group)
        return code, self._said.read_text(encoding="utf-8", errors="replace")

    def has_said(self) -> bool:
        """Whether the tool that runs now has said something."""
        return self._said.is_file() and self._said.stat().st_size > 0

    def spent_s(self) -> float:
        """Seconds of CPU that all runs together have taken."""
        return sum(map(int, _stat(Path(f"/proc/{self._server.pid}/stat"))[13:15])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._server.close()


def one_sentence(said: str) -> str:
    """The last line, after checking that it is the only error and that there is no traceback."""
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.strip()]
    assert "Traceback" not in said, said
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], said
    return lines[-1]


def await_handlers(process: int) -> None:
    """Wait until a tool listens to SIGTERM; before that Python itself starts, which listens to Ctrl-C in its own way."""
    end = time.monotonic() + _BEGIN_S
    while time.monotonic() < end:
        status = Path(f"/proc/{process}/status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.001)
    raise AssertionError("the tool has not begun")


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every process of a group; none where all have ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def await_end(group: int) -> None:
    """Wait until every process of the group has ended, which those with a parent that was killed do later."""
    end = time.monotonic() + _GROUP_END_S
    while time.monotonic() < end and lives(group):
        time.sleep(0.01)


def lives(group: int) -> bool:
    """Whether a process of the group runs."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = _stat(path)[:3]
            if int(of_group) == group and state not in "ZX":
                return True
    return False


@dataclass
class Tally:
    """kills: runs ended from outside before their own end.  finished: rounds that ended as an undisturbed run does.
    changed: kills after which the folder held more than before.  between: kills between the renamings of a result."""

    kills: int = 0
    finished: int = 0
    changed: int = 0
    between: int = 0


@dataclass(frozen=True)
class Runs:
    """Runs of one command.  run: starts it, calls its argument with the process group, and waits for the end; the exit
    code and what was said.  spent_s: seconds of CPU of all runs that have ended, which depend less on what else the
    machine does than those on the wall."""

    run: Callable[[Callable[[int], None]], tuple[int, str]]
    spent_s: Callable[[], float]


def survive_kills(
    runs: Runs, out: Path, reference: dict[str, str], kills: int, cpu_s: float, idle_s: float,
    rng: np.random.Generator, begin: Callable[[], None], earlier: dict[str, str] | None = None,
    by_folder: bool = False,
) -> Tally:  # fmt: skip
    """Kill runs of a tool at random moments and run it again each time, until there were `kills`, and then until it
    finishes; check what it leaves after every kill and at every end.

    reference: what an undisturbed run leaves.  cpu_s: what that took of the CPU, idle_s: of this, what it takes to
    begin, in most of which nobody kills.  begin: makes the folder for the next round.  earlier, by_folder: what the
    folder then holds, see require_whole.
    """
    tally = Tally()
    begin()
    anew = True
    while True:
        spent_s = runs.spent_s()
        before = snapshot(out) if out.exists() else {}
        moment = float(rng.uniform(_IDLE_SHARE * min(idle_s, cpu_s), _LAST_SHARE * cpu_s))
        after_s = moment if tally.kills < kills else None
        code, said = runs.run(lambda group, after_s=after_s: _kill_later(group, after_s))  # type: ignore[misc]
        if code == -signal.SIGKILL:
            tally.kills += 1
            now = snapshot(out) if out.exists() else {}
            tally.changed += now not in ({}, before)
            tally.between += require_whole(now, reference, earlier, by_folder=by_folder)
            anew = False
            continue
        assert code == 0, said
        assert snapshot(out) == reference
        assert temporaries(out) == []
        tally.finished += 1
        if tally.kills >= kills:
            return tally
        if anew:  # the same work takes more of a busy CPU than of an idle one
            scale = (runs.spent_s() - spent_s) / cpu_s
            cpu_s, idle_s = scale * cpu_s, scale * idle_s
        begin()
        anew = True


def _kill_later(group: int, after_s: float | None) -> None:
    """Kill a group when its processes have used so many seconds of CPU; not where the first of them has ended before."""
    while after_s is not None and _is_running(group):
        left_s = after_s - _used_s(group)
        if left_s <= 0:
            kill_group(group)
            return
        time.sleep(max(0.002, left_s / 4))  # looking takes time of the CPU itself


def _is_running(process: int) -> bool:
    try:
        return _stat(Path(f"/proc/{process}/stat"))[0] not in "ZX"
    except OSError:
        return False


def _used_s(group: int) -> float:
    """By the processes of a group that live, and by those that they have waited for."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            found = _stat(path)
            if int(found[2]) == group:
                ticks += sum(map(int, found[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _stat(path: Path) -> list[str]:
    """What Linux says of a process, from its state on."""
    return path.read_text().rpartition(")")[2].split()


def run_command(tool: str, arguments: Sequence[object]) -> Runs:
    """The tool as its user starts it."""

    def run(stop: Callable[[int], None]) -> tuple[int, str]:
        command = Command(tool, arguments)
        stop(command.group)
        outcome = command.outcome()
        await_end(command.group)
        return outcome

    def spent_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    return Runs(run, spent_s)
