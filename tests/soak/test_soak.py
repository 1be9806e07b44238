"""The soak in short, and that each of its checks fails where it should."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.io.chunks import READ_SUFFIXES
from tests.reliability import killing
from tests.reliability.killing import ENVIRONMENT
from tests.soak.__main__ import main
from tests.soak.doors import Doors
from tests.soak.rounds import Folders, Round, Same, Soak
from tests.soak.scans import Inputs
from tests.soak.tool_runs import ToolRuns
from tests.soak.watching import watch
from tests.tools.running import TOOLS

_FEW = 4  # rounds of the tests of the checks
WAYS = {
    "in memory", "tiles in memory", "field", "field of tiles", "scan", "scan through the disk", "everything", "refused",
    "refused scan",
}  # fmt: skip
_LEAK_BYTES = 40_000_000


@pytest.mark.slow
def test_a_few_rounds_of_every_way_and_runs_of_the_tool_are_survived(tmp_path: Path) -> None:
    """Every format, read in some way, so that what was opened and imported first is there when memory is looked at."""
    command = [sys.executable, "-m", "tests.soak", "--reconstructions", "42", "--tools", "3", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=TOOLS.parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert report["findings"] == [] and sum(report["reconstructions"]["counts"].values()) == 42
    assert set(report["reconstructions"]["counts"]) == WAYS
    assert sum(report["tools"]["counts"].values()) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["said.txt", "soak.json", "soak.md"]
    assert (tmp_path / "soak.md").read_text().startswith("42 reconstructions in one process in ")


def test_a_full_run_reads_every_format_in_every_way_and_refuses_every_bad_file(tmp_path: Path) -> None:
    inputs = Inputs.write(tmp_path / "inputs")
    assert {path.suffix for path in inputs.scans.values() if path.is_file()} == set(READ_SUFFIXES)
    assert Inputs.load(tmp_path / "inputs") == inputs
    doors = Doors(inputs, None, None)  # type: ignore[arg-type]
    rounds = [doors.round(number) for number in range(10_000)]
    assert {each.kind for each in rounds[: len(inputs.scans)]} == WAYS  # which warm the process up
    names = {each.name for each in rounds}
    assert {f"{way}, {name}" for way in WAYS - {"refused", "refused scan"} for name in inputs.scans} < names
    assert {f"{way}, {name}" for way in ("refused", "refused scan") for name in inputs.refused} < names


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders(*(tmp_path / name for name in ("out", "temporary", "inputs")))
    for folder in (found.out, found.temporary, found.inputs):
        folder.mkdir()
    (found.inputs / "scan.ply").write_text("ply")
    return found


def _write(out: Path) -> None:
    (out / "mesh.ply").write_bytes(b"the same")


def _findings(folders: Folders, fault: Callable[[Path], object]) -> list[str]:
    """Of a few rounds that write the same and do what `fault` does."""

    def make(out: Path) -> None:
        _write(out)
        fault(out)

    soak = Soak(folders, warm_up=1)
    assert len(list(soak.run(lambda number: Round("scan, .ply", "scan", make), _FEW))) == _FEW + 1
    assert not any(folders.out.iterdir()) and not any(folders.temporary.iterdir())
    return soak.findings


def test_rounds_that_leave_nothing_behind_are_no_findings(folders: Folders) -> None:
    assert _findings(folders, lambda out: np.ones(_LEAK_BYTES, dtype=np.uint8).sum()) == []


# In a process of its own: one that has run other tests may give back as much of their memory as these rounds keep.
_KEEPS_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from tests.soak.rounds import Folders, Round, Soak
kept = []
soak = Soak(Folders(*(Path(folder) for folder in sys.argv[1:4])), warm_up=1)
keep = Round("scan, .ply", "scan", lambda out: kept.append(np.ones(int(sys.argv[5]), dtype=np.uint8)))
list(soak.run(lambda number: keep, int(sys.argv[4])))
print(*soak.findings, sep="\\n")
"""


def test_memory_that_is_kept_is_found(folders: Folders) -> None:
    arguments = [folders.out, folders.temporary, folders.inputs, _FEW, _LEAK_BYTES]
    command = [sys.executable, "-c", _KEEPS_MEMORY, *map(str, arguments)]
    done = subprocess.run(command, cwd=TOOLS.parent, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    (found,) = done.stdout.splitlines()
    assert found.startswith("memory grew by ") and "MB between rounds 2 and 4" in found


def test_descriptors_that_are_kept_are_found(folders: Folders) -> None:
    with ExitStack() as kept:
        (found,) = _findings(folders, lambda out: kept.enter_context(Path(os.devnull).open()))
    assert _gained(found, "descriptors") == 2


def test_threads_that_are_kept_are_found(folders: Folders) -> None:
    over = threading.Event()
    try:
        (found,) = _findings(folders, lambda out: threading.Thread(target=over.wait).start())
    finally:
        over.set()
    assert _gained(found, "threads") == 2


def test_processes_that_are_kept_are_found(folders: Folders) -> None:
    with ExitStack() as kept:

        def start(out: Path) -> None:
            process = kept.enter_context(subprocess.Popen(["sleep", "600"]))
            kept.callback(process.kill)

        (found,) = _findings(folders, start)
    assert _gained(found, "children") == 2


def _gained(found: str, what: str) -> int:
    """From '<what>: 7 after the warm-up, 9 in the end'."""
    name, _, numbers = found.partition(": ")
    assert name == what
    warm, end = (int(part.split()[0]) for part in numbers.split(", "))
    return end - warm


def test_what_a_round_leaves_anywhere_is_found(folders: Folders) -> None:
    left = iter([folders.temporary / "tmpabc", folders.inputs / "scan.ply.lock"])

    def leave(out: Path) -> None:
        if path := next(left, None):
            path.write_text("left")
        else:
            (out / ".mesh.01234567.partial.ply").write_text("half")

    assert _findings(folders, leave)[:3] == [
        f"round 0 (scan, .ply): left {folders.temporary / 'tmpabc'} in the folder for temporary files",
        "round 1 (scan, .ply): changed the inputs: ['scan.ply.lock']",
        f"round 2 (scan, .ply): left {folders.out / '000002' / '.mesh.01234567.partial.ply'}",
    ]


def test_other_bytes_and_other_files_than_the_first_time_are_found(folders: Folders) -> None:
    number = itertools.count()

    def make(out: Path) -> None:
        match next(number):
            case 2:
                (out / "mesh.ply").write_bytes(b"the Same")
            case 3:
                (out / "more.txt").touch()

    assert _findings(folders, make) == [
        "round 2 (scan, .ply): other bytes than before: mesh.ply",
        "round 3 (scan, .ply): other bytes than before: more.txt",
    ]


def test_a_round_that_raises_is_found_and_the_next_goes_on(folders: Folders) -> None:
    number = itertools.count()

    def fail(out: Path) -> None:
        if next(number) == 2:
            raise KeyError("points")

    assert _findings(folders, fail) == ["round 2 (scan, .ply): KeyError in fail: 'points'"]


def test_too_few_rounds_to_judge_memory_are_no_success(folders: Folders) -> None:
    soak = Soak(folders, warm_up=10)
    list(soak.run(lambda number: Round("scan, .ply", "scan", _write), 3))
    assert soak.findings == ["expected more rounds than 10 for the warm-up, found 3"]


def test_a_process_that_ends_too_early_is_found_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    code = (
        "import os, sys, tempfile; tempfile.mkdtemp(prefix='left'); sys.stderr.write('last words'); sys.stderr.flush()"
    )
    told = watch([sys.executable, "-c", f"{code}; os.abort()"], tmp_path / "temporary", tmp_path / "said.txt")
    assert told.findings[0] == "the process ended with code -6 after round 0: last words"
    assert told.findings[1].startswith("the process left left") and len(told.findings) == 2


# Does what the command does, or what it should not.  Arguments: what is wrong, the scan, --out, the folder, ...
_TOOL = """
import os, pathlib, signal, subprocess, sys, time
wrong, scan, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[4])
if wrong == "a file left":
    pathlib.Path(os.environ["TMPDIR"], "tmpabc").touch()
if wrong == "a process left":
    subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
if scan.name == "bad.ply":
    if wrong == "two sentences":
        print("error: bad", file=sys.stderr)
    if wrong == "results of bad input":
        out.mkdir()
        (out / "mesh.ply").touch()
    print("error: bad", file=sys.stderr)
    sys.exit(1 if wrong == "another code" else 2)
def stopped(number, frame):
    print("error: terminated", file=sys.stderr)
    sys.exit(130 if wrong == "another code" else 143)
signal.signal(signal.SIGTERM, (lambda *_: None) if wrong == "not stopped" else stopped)
out.mkdir()
if "stop.ply" in str(scan):
    time.sleep(1 if wrong == "not stopped" else 60)
    sys.exit(0)
(out / "report.json").write_text("{}")
(out / "mesh.ply").write_text(wrong if wrong == "other bytes" else "the same")
(out / ("mesh.ply" if wrong != "half a file" else ".mesh.01234567.partial.ply")).touch()
sys.exit(3 if wrong == "another code" else 0)
"""
_LEFT = "left {folders.temporary}/tmpabc in the folder for temporary files"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("nothing", []),
        ("another code", ["exit code 3, expected 0: ", "exit code 1, expected 2: ", "exit code 130, expected 143: "]),
        ("a file left", [_LEFT, _LEFT, _LEFT]),
        ("half a file", ["left {folders.out}/tool/.mesh.01234567.partial.ply"]),
        ("two sentences", ["error: bad\nerror: bad"]),
        ("results of bad input", ["left {folders.out}/tool/mesh.ply"]),
        ("other bytes", ["other bytes than before: mesh.ply"]),
        ("not stopped", ["exit code 0, expected 143: "]),
    ],
)
def test_what_a_run_of_the_tool_does_wrong_is_found(folders: Folders, wrong: str, expected: list[str]) -> None:
    runs = _tool_runs(folders, wrong)
    assert list(runs.run(3)) == [1, 2, 3]
    assert len(runs.findings) == len(expected), runs.findings
    for found, part in zip(runs.findings, expected, strict=True):
        assert part.format(folders=folders) in found


def test_processes_that_a_tool_leaves_are_found_and_ended(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killing, "_GROUP_END_S", 0.2)
    runs = _tool_runs(folders, "a process left")
    assert list(runs.run(1)) == [1]
    assert runs.findings == ["run 0 (scan, good): left a process"]


def _tool_runs(folders: Folders, wrong: str) -> ToolRuns:
    scans = {name: folders.inputs / f"{name}.ply" for name in ("good", "unused", "stop")}
    same = Same()
    same.differs("scan, good", {"mesh.ply": b"the same".hex(), "report.json": "{}"})
    command = [sys.executable, "-c", _TOOL, wrong]
    return ToolRuns(Inputs(scans, {"bad": folders.inputs / "bad.ply"}), folders, same, command)


def test_fewer_rounds_than_warm_up_are_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--reconstructions", "30", "--out", str(tmp_path)])
    assert refused.value.code == 2 and "more than the 32 that warm up, found 30" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
