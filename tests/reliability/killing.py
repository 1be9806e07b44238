"""Run tools, kill them at random moments or before chosen changes of their folder, and see what they leave."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.tools.running import TOOLS

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOOLS.parent)}
_COSTS = ("seconds", "peak_bytes", "cuda_bytes", "peak_memory_bytes", "predicted")
_SHOWS_COSTS = ("bars.png", "index.html")
_GROUP_END_S = 20.0
_UNMADE = "not there"


class Command:
    """A tool as its user starts it, in a process group of its own."""

    def __init__(self, tool: str, arguments: Sequence[object], environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)]
        self._process = subprocess.Popen(
            command, env={**ENVIRONMENT, **(environment or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True, cwd=TOOLS.parent, text=True,
        )  # fmt: skip
        self.group = self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def outcome(self) -> tuple[int, str]:
        """The exit code (below zero: the signal) and what was said on stderr, after the end."""
        said = self._process.communicate()[1]
        return self._process.returncode, said


class Preloaded:
    """tests/reliability/preloaded.py, to run one tool after the other."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said.txt"
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.preloaded"], env=ENVIRONMENT, cwd=TOOLS.parent,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._server.stdout is not None and self._server.stdout.readline() == "ready\n"

    def run(
        self, tool: str, arguments: Sequence[object], watched: Path, *, die_at: int | None = None,
        stop: Callable[[int], None] = lambda group: None,
    ) -> tuple[int, str]:  # fmt: skip
        """As Command.outcome.  stop: called with the group when the tool has begun."""
        assert self._server.stdin is not None and self._server.stdout is not None
        request = {
            "tool": str(TOOLS / f"{tool}.py"), "arguments": [str(each) for each in arguments],
            "said": str(self._said), "watched": str(watched), "die_at": die_at,
        }  # fmt: skip
        self._said.unlink(missing_ok=True)
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        group = int(self._server.stdout.readline())
        stop(group)
        code = int(self._server.stdout.readline())
        _await_end(group)
        return code, self._said.read_text(encoding="utf-8", errors="replace")

    def has_said(self) -> bool:
        """Whether the tool that runs now has said something."""
        return self._said.is_file() and self._said.stat().st_size > 0

    def close(self) -> None:
        self._server.communicate()


def one_sentence(said: str) -> str:
    """The last line, after checking that it is the only error and that there is no traceback."""
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.strip()]
    assert "Traceback" not in said, said
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], said
    return lines[-1]


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to every process of a group; none where all have ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _await_end(group: int) -> None:
    """Wait until every process of the group has ended, which those with a parent that was killed do later."""
    end = time.monotonic() + _GROUP_END_S
    while time.monotonic() < end and _is_alive(group):
        time.sleep(0.01)


def _is_alive(group: int) -> bool:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                return True
    return False


def snapshot(out: Path) -> dict[str, str]:
    """What stands under final names in a file or folder, without times and memory; temporary names are left out."""
    if out.is_file():
        return {out.name: _content(out)}
    paths = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(out)): _content(path) for path in paths if not _is_temporary(path.relative_to(out))
    }  # fmt: skip


def temporaries(out: Path) -> list[str]:
    """Names in a folder (or beside a file) that no finished run leaves."""
    folder = out if out.is_dir() else out.parent
    return [str(path) for path in sorted(folder.rglob("*")) if _is_temporary(path.relative_to(folder))]


def _is_temporary(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _content(path: Path) -> str:
    """Raises where the file is half written."""
    if path.name in _SHOWS_COSTS:
        return _whole(path)
    if path.suffix == ".json":
        found = json.loads(path.read_text())
        # A comparison's run.json says what is being run, and at the end what it cost.
        return json.dumps(_without_costs(found["identity"] if path.name == "run.json" else found), sort_keys=True)
    if path.suffix in (".csv", ".md"):
        return _columns(path)
    return path.read_bytes().hex()


def _whole(path: Path) -> str:
    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.load()
    else:
        assert path.read_text().rstrip().endswith("</html>"), path
    return "whole"


def _is_cost(name: str) -> bool:
    return name in _COSTS or name.strip().endswith(" s") or "memory" in name


def _without_costs(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_costs(each) for name, each in value.items() if not _is_cost(name)}
    return [_without_costs(each) for each in value] if isinstance(value, list) else value


def _columns(path: Path) -> str:
    text = path.read_text()
    assert text.endswith("\n"), path
    rows = list(csv.reader(io.StringIO(text), delimiter="," if path.suffix == ".csv" else "|"))
    assert len({len(row) for row in rows}) == 1, path
    kept = [number for number, name in enumerate(rows[0]) if not _is_cost(name)]
    return repr([[row[number] for number in kept] for row in rows])


@dataclass
class Tally:
    """kills: runs ended from outside before their own end.  finished: rounds that ended as an undisturbed run does.
    changed: kills after which the folder held more than before.  between: kills between the renamings of a result."""

    kills: int = 0
    finished: int = 0
    changed: int = 0
    between: int = 0


Start = Callable[[Callable[[int], None]], tuple[int, str]]


def survive_kills(
    run: Start, out: Path, reference: dict[str, str], kills: int, first_s: float, last_s: float,
    rng: np.random.Generator, begin: Callable[[], None], earlier: dict[str, str] | None = None,
) -> Tally:  # fmt: skip
    """Kill runs of a tool at random moments, `first_s` to `last_s` after their start, and run it again each time, until
    there were `kills`, and then until it finishes; check what it leaves after every kill and at every end.

    run: starts the tool, calls its argument with the process group, and waits for the end.  reference: what an
    undisturbed run leaves.  begin: makes the folder for the next round.  earlier: what the folder then holds.
    """
    tally = Tally()
    begin()
    while True:
        before = snapshot(out) if out.exists() else {}
        delay_s = float(rng.uniform(first_s, last_s)) if tally.kills < kills else None
        code, said = run(lambda group, delay_s=delay_s: _kill_later(group, delay_s))  # type: ignore[misc]
        if code == -signal.SIGKILL:
            tally.kills += 1
            now = snapshot(out) if out.exists() else {}
            tally.changed += now not in ({}, before)
            tally.between += require_whole(now, reference, earlier)
            continue
        assert code == 0, said
        assert snapshot(out) == reference
        assert temporaries(out) == []
        tally.finished += 1
        if tally.kills >= kills:
            return tally
        begin()


def require_whole(now: dict[str, str], reference: dict[str, str], earlier: dict[str, str] | None) -> bool:
    """Every file is as an undisturbed run makes it; or, where there was a result before, all are of one run.

    Returns whether the process died between the renamings of a result, whose last file is missing then.
    """
    if earlier is None:
        different = {name for name, content in now.items() if reference.get(name, _UNMADE) != content}
        assert not different, different
        return False
    if now in (earlier, reference):
        return False
    last = list(reference)[-1]
    assert last not in now and set(now) == set(list(reference)[:-1]), sorted(now)
    assert all(content in (earlier[name], reference[name]) for name, content in now.items())
    return True


def _kill_later(group: int, delay_s: float | None) -> None:
    if delay_s is None:
        return
    end = time.monotonic() + delay_s
    while time.monotonic() < end:
        time.sleep(0.002)
        with suppress(OSError):
            if Path(f"/proc/{group}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return  # finished before its time
            continue
        return
    kill_group(group)


def run_command(tool: str, arguments: Sequence[object]) -> Start:
    """The tool as its user starts it, for survive_kills."""

    def run(stop: Callable[[int], None]) -> tuple[int, str]:
        command = Command(tool, arguments)
        stop(command.group)
        outcome = command.outcome()
        _await_end(command.group)
        return outcome

    return run
