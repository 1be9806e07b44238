"""`sparse-convonet reconstruct`, a process for each run: codes, sentences, bytes, and what is left behind."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.reliability.killing import Started, await_end, await_handlers, kill_group, lives, one_sentence
from tests.reliability.snapshots import snapshot, temporaries
from tests.soak.rounds import Folders, Same, left_in
from tests.soak.scans import Inputs

_COMMAND = (sys.executable, "-m", "sparse_convonet", "reconstruct")
_OPTIONS = ("--up", "z", "--voxel-size", "0.25", "--engine", "native", "--threads", "1", "--overwrite")
_WRONG = (["--threads", "0"], ["--voxel-size", "-1"], ["--crs", "EPSG:0"], ["--memory", "much"], ["--model", "castle"])
# A run "after" is of the same scan and in the same folder as the one before, which was stopped.
_TURNS = (
    "scan", "refused", "stopped", "scan after", "wrong option", "scan on the disk", "stopped on the disk",
    "scan on the disk after", "scan", "refused",
)  # fmt: skip


@dataclass
class ToolRuns:
    """inputs: what is reconstructed, or refused.  same: of earlier results, perhaps of another process.  command: what the
    arguments are given to.

    findings: what was wrong, a sentence each.  counts: runs by kind.
    """

    inputs: Inputs
    folders: Folders
    same: Same
    command: Sequence[str] = _COMMAND
    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    _seconds: dict[bool, float] = field(default_factory=lambda: {False: 5.0, True: 5.0})  # of a run, on the disk or not
    _rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def run(self, count: int) -> Iterator[int]:
        """Do the runs, and tell of every one when it has ended."""
        out = self.folders.out / "tool"
        for number in range(count):
            kind = _TURNS[number % len(_TURNS)]
            files = self.inputs.refused if kind == "refused" else self.inputs.scans
            name = list(files)[(number - kind.endswith("after")) % len(files)]
            options = _WRONG[number // len(_TURNS) % len(_WRONG)] if kind == "wrong option" else []
            try:
                ended = self._run(kind, name, files[name], options, out)
                self.counts[ended] += 1
            except AssertionError as error:
                self.findings.append(f"run {number} ({kind}, {name}): {error}")
            if left := left_in(self.folders.temporary):
                self.findings.append(f"run {number} ({kind}, {name}): left {left[0]} in the folder for temporary files")
            if not kind.startswith("stopped"):  # what a stopped one left, the next goes on with
                shutil.rmtree(out, ignore_errors=True)
            yield number + 1
        shutil.rmtree(out, ignore_errors=True)

    def _run(self, kind: str, name: str, scan: Path, options: Sequence[str], out: Path) -> str:
        """What kind of run it was in the end: one that ends before it is stopped is another.

        Raises AssertionError with what was wrong.
        """
        on_disk = "on the disk" in kind
        work = ("--work", str(out / "work")) if on_disk else ()
        started = time.monotonic()
        environment = {"TMPDIR": str(self.folders.temporary)}
        process = Started([*self.command, str(scan), "--out", str(out), *_OPTIONS, *work, *options], environment)
        try:
            if kind.startswith("stopped"):
                await_handlers(process.group)
                time.sleep(self._rng.uniform(0, self._seconds[on_disk]))
                kill_group(process.group, signal.SIGTERM)
            code, said = process.outcome()
            if kind.startswith("scan"):
                self._seconds[on_disk] = time.monotonic() - started
            await_end(process.group)
            assert not lives(process.group), "left a process"
        finally:
            process.kill()
        assert not out.exists() or not temporaries(out), f"left {temporaries(out)[0]}"
        if kind.startswith("scan"):
            assert code == 0, f"exit code {code}, expected 0: {said[-500:]}"
            assert "Traceback" not in said and "Warning" not in said, said[-500:]
            assert not (out / "work").exists(), "the folder of work stayed"
            differing = self.same.differs(f"{kind.removesuffix(' after')}, {name}", snapshot(out))
            assert differing is None, f"other bytes than before: {differing}"
        elif kind.startswith("stopped"):
            if code in (0, -signal.SIGTERM) and (out / "report.json").is_file():
                return "finished before it was stopped"
            assert code == 143, f"exit code {code}, expected 143: {said[-500:]}"
            assert "error: terminated" in one_sentence(said), said[-500:]
        else:
            assert code == 2, f"exit code {code}, expected 2: {said[-500:]}"
            one_sentence(said)
            assert not out.exists() or not any(out.iterdir()), f"left {sorted(out.iterdir())[0]}"
        return kind
