"""Ctrl-C and SIGTERM at any moment of a tool, from its first imports to its end: a code, one sentence, no traceback."""

from __future__ import annotations

import ast
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.runtime.cli import starting
from tests.reliability.cases import CASES, WORKER_CASES
from tests.reliability.killing import Command, await_end, await_handlers, kill_group, listen_to_ctrl_c
from tests.reliability.snapshots import snapshot, temporaries
from tests.tools.running import TOOLS

_NAMES = sorted(path.stem for path in TOOLS.glob("*.py"))
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_AFTER_S = (0.0, 0.3, 0.7, 1.2)  # the first of them is surely among the imports
_STOPS = 20


@pytest.mark.parametrize("tool", _NAMES)
def test_a_tool_imports_everything_where_it_can_be_stopped(tool: str) -> None:
    tree = ast.parse((TOOLS / f"{tool}.py").read_text(encoding="utf-8"))
    outside = [ast.unparse(each) for each in tree.body if isinstance(each, (ast.Import, ast.ImportFrom))]
    assert outside == [
        "from __future__ import annotations",
        "from sparse_convonet.runtime.cli import run_tool, starting",
    ]
    assert "with starting():" in ast.unparse(tree)


def test_what_is_imported_before_is_soon_there() -> None:
    code = "import sys, sparse_convonet.runtime.cli; print(len({'numpy', 'torch', 'tqdm'} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=True, cwd=TOOLS.parent, timeout=120).stdout == b"0\n"


def test_handlers_are_as_before_when_everything_is_imported() -> None:
    """Also where multiprocessing, which gives __main__ a second name, was there already."""
    multiprocessing.get_context("spawn")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        handlers = [signal.getsignal(number) for number in _CODES]
        with starting():
            assert signal.getsignal(signal.SIGINT) != handlers[0]
        assert [signal.getsignal(number) for number in _CODES] == handlers
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # in the background
        with starting():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# As a command does that has read its options and imports what does the work.
_IMPORTS_LATE = """
import os, signal, sys
from sparse_convonet.runtime.cli import run_tool, starting
def main(arguments):
    before = signal.getsignal(signal.SIGTERM)
    with starting():
        pass
    assert signal.getsignal(signal.SIGTERM) == before != signal.SIG_DFL
    with starting():
        try:
            os.kill(os.getpid(), int(sys.argv[1]))
        except BaseException:  # as imports do that have something else to fall back on
            pass
run_tool(main)
"""


@pytest.mark.parametrize("number", _CODES, ids=lambda number: number.name)
def test_a_tool_that_is_stopped_while_it_imports_late_ends_at_once(number: signal.Signals) -> None:
    command = [sys.executable, "-c", _IMPORTS_LATE, str(int(number))]
    found = subprocess.run(
        command, capture_output=True, cwd=TOOLS.parent, preexec_fn=listen_to_ctrl_c, text=True, timeout=120
    )
    assert found.returncode == _CODES[number]
    assert found.stderr == f"error: {_WORDS[number]} while starting; nothing has been done\n"


# Is stopped in what a C library calls, as compiled code does when it is loaded, and where an object is thrown away.
_CALLED_BACK = """
import ctypes, os, sys, time
from sparse_convonet.runtime.cli import run_tool
number, where = int(sys.argv[1]), sys.argv[2]
class Thrown:
    def __del__(self):
        os.kill(os.getpid(), number)
        time.sleep(0.001)
@ctypes.CFUNCTYPE(None)
def called():
    os.kill(os.getpid(), number)
    time.sleep(0.001)
def main(arguments):
    called() if where == "callback" else Thrown().__class__
    time.sleep(60)
run_tool(main)
"""


@pytest.mark.parametrize("number", _CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("where", ["callback", "destructor"])
def test_a_stop_that_python_must_ignore_is_not_lost(where: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", _CALLED_BACK, str(int(number)), where]
    # As in a shell, also where the tests run in the background.
    found = subprocess.run(
        command, capture_output=True, cwd=TOOLS.parent, preexec_fn=listen_to_ctrl_c, text=True, timeout=120
    )
    assert (found.returncode, found.stderr.count("\n")) == (_CODES[number], 1), found.stderr
    assert found.stderr.startswith(f"error: {_WORDS[number]}")


# Is stopped while it makes an object that cannot be thrown away before it is whole, as tqdm's bars.
_HALF_MADE = """
import os, sys, time
from sparse_convonet.runtime.cli import run_tool
class Bar:
    def __init__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.01)
        self.place = 0
    def __del__(self):
        self.place
run_tool(lambda arguments: Bar())
"""


@pytest.mark.parametrize("number", _CODES, ids=lambda number: number.name)
def test_a_stop_that_leaves_something_half_made_is_one_sentence(number: signal.Signals) -> None:
    command = [sys.executable, "-c", _HALF_MADE, str(int(number))]
    found = subprocess.run(
        command, capture_output=True, cwd=TOOLS.parent, preexec_fn=listen_to_ctrl_c, text=True, timeout=120
    )
    assert (found.returncode, found.stderr.count("\n")) == (_CODES[number], 1), found.stderr
    assert found.stderr.startswith(f"error: {_WORDS[number]};")


# Is stopped while it imports a compiled module that makes another exception of it, as those of pybind11 do.
_COMPILED = """
import os, signal, time
try:
    os.kill(os.getpid(), int(os.environ["NUMBER"]))
    time.sleep(0.01)
except BaseException as error:
    raise ImportError("initialization failed") from error
print("imported", flush=True)
"""
_IMPORTS_COMPILED = """
import importlib, sys
import numpy as np
from sparse_convonet.mesh.raycast import ray_engine
from sparse_convonet.runtime.cli import run_tool
from sparse_convonet.runtime.refusals import require_package
ways = {
    "itself": lambda: importlib.import_module("open3d"),
    "as an optional package": lambda: require_package("open3d", "scans", "a test"),
    "for rays": lambda: ray_engine(np.eye(3), np.array([[0, 1, 2]]), 1),
}
run_tool(lambda arguments: ways[sys.argv[1]]())
"""


@pytest.mark.parametrize("number", _CODES, ids=lambda number: number.name)
@pytest.mark.parametrize(("way", "imported"), [("itself", 0), ("as an optional package", 0), ("for rays", 1)])
def test_a_stop_of_which_a_compiled_module_makes_another_error_stays_a_stop(
    tmp_path: Path, way: str, imported: int, number: signal.Signals
) -> None:
    """That of rays is finished first: open3d that is stopped half way says what it did not give back."""
    (tmp_path / "open3d.py").write_text(_COMPILED)
    found = subprocess.run(
        [sys.executable, "-c", _IMPORTS_COMPILED, way], capture_output=True, cwd=TOOLS.parent, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{TOOLS.parent}", "NUMBER": str(int(number))},
        preexec_fn=listen_to_ctrl_c,
    )  # fmt: skip
    assert (found.returncode, found.stderr.count("\n")) == (_CODES[number], 1), found.stderr
    assert found.stderr.startswith(f"error: {_WORDS[number]};")
    assert found.stdout == "imported\n" * imported


@pytest.mark.parametrize("number", _CODES, ids=lambda number: number.name)
@pytest.mark.parametrize(
    "tool", [pytest.param(each, marks=() if each == "make_scan" else pytest.mark.long) for each in _NAMES]
)
def test_a_tool_that_is_stopped_while_it_imports_says_so(tool: str, number: signal.Signals) -> None:
    for after_s in _AFTER_S:
        command = Command(tool, ["--help"])
        await_handlers(command.group)
        time.sleep(after_s)
        kill_group(command.group, number)
        code, said = command.outcome()
        if after_s == 0.0 or code == _CODES[number]:
            assert (code, said.count("\n")) == (_CODES[number], 1), said
            assert said.startswith(f"error: {_WORDS[number]}")
        else:
            assert code in (0, -number) and said == "", said  # all was done


_TO_STOP = ("make_rooms, metric", "reconstruct_building, replacing", "make_scan", "prepare_scans, replacing")


@pytest.mark.long
@pytest.mark.parametrize("name", [*_TO_STOP, *WORKER_CASES])
def test_a_tool_that_is_stopped_at_random_moments_never_shows_a_traceback(
    name: str, inputs: Path, tmp_path: Path
) -> None:
    case = (CASES | WORKER_CASES)[name]
    out = case.out(tmp_path / "stopped")
    out.parent.mkdir(parents=True)
    command = Command(case.tool, case.arguments(inputs, out))  # compiles what is compiled once
    assert command.outcome()[0] == 0
    started = time.monotonic()
    undisturbed = case.out(tmp_path / "undisturbed")
    undisturbed.parent.mkdir(parents=True)
    assert Command(case.tool, case.arguments(inputs, undisturbed)).outcome()[0] == 0
    seconds = time.monotonic() - started
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    codes: list[int] = []
    for stop in range(_STOPS):
        number = list(_CODES)[stop % 2]
        if codes[-1:] in ([], [0]):
            shutil.rmtree(tmp_path / "stopped")
            out.parent.mkdir(parents=True)
        command = Command(case.tool, case.arguments(inputs, out))
        await_handlers(command.group)
        time.sleep(float(rng.uniform(0, 1.05)) * seconds)
        kill_group(command.group, number)
        code, said = command.outcome()
        await_end(command.group)
        codes.append(code)
        assert "Traceback" not in said and "Exception" not in said, said
        assert code in (0, _CODES[number], -number), said
        errors = [line for line in said.replace("\r", "\n").splitlines() if "error: " in line]
        assert len(errors) == (code == _CODES[number]), said
    print(f"{name}: {codes}")
    code, said = Command(case.tool, case.arguments(inputs, out)).outcome()
    assert code == 0, said
    assert snapshot(out) == snapshot(undisturbed) and temporaries(out) == []
