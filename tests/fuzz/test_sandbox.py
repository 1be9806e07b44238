"""The judge sees every kind of fault, and the campaign survives, keeps and shrinks what it finds."""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.__main__ import main
from tests.fuzz.campaign import run_target
from tests.fuzz.minimise import minimise
from tests.fuzz.sandbox import Sandbox, Verdict, sandbox
from tests.fuzz.target import Target


class _Harmful:
    def __reduce__(self) -> tuple:
        return (os.getpid, ())


def judge(read: Callable[[Path, Path], object], content: bytes = b"1") -> Verdict:
    with sandbox(Target("made up", "a.bin", lambda: [b"1"], read)) as box:
        return Sandbox(box.target, box.folder, cpu_limit_s=0.2).judge(content)


def raising(error: BaseException) -> Callable[[Path, Path], object]:
    def read(folder: Path, file: Path) -> object:
        raise error

    return read


def test_reading_and_a_sentence_are_no_faults() -> None:
    assert judge(lambda folder, file: file.read_bytes()) == Verdict("read")
    assert judge(raising(ValueError("a: expected b, found c"))).outcome == "refused"
    assert judge(raising(FileNotFoundError("a does not exist; check the path"))).outcome == "refused"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (KeyError("a"), "KeyError"),
        (MemoryError(), "memory"),
        (RuntimeWarning("overflow"), "RuntimeWarning"),
        (ValueError("two\nlines"), "ValueError without a sentence of one line"),
        (ValueError("\x1b[2J"), "ValueError without a sentence of one line"),
        (ValueError("a" * 2000), "ValueError without a sentence of one line"),
        (ValueError(), "ValueError without a sentence of one line"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "UnicodeDecodeError"),
    ],
)
def test_anything_else_is_a_fault(error: BaseException, fault: str) -> None:
    verdict = judge(raising(error))
    assert verdict.fault == fault and verdict.place.startswith("test_sandbox.py:")


def test_endless_loops_are_ended() -> None:
    def read(folder: Path, file: Path) -> None:
        while True:
            pass

    assert judge(read).fault == "hang"


@pytest.mark.parametrize(
    "read",
    [
        lambda folder, file: (folder / ".." / "secret.yaml").read_bytes(),
        lambda folder, file: Path("/etc/hostname").read_bytes(),
        lambda folder, file: (folder / "new").write_bytes(b""),
        lambda folder, file: subprocess.run(["true"], check=True),
        lambda folder, file: os.system("true"),
        lambda folder, file: file.unlink(),
        lambda folder, file: pickle.loads(pickle.dumps(_Harmful())),  # noqa: S301
    ],
    ids=["above", "elsewhere", "writes", "starts", "shell", "removes", "unpickles"],
)
def test_leaving_the_folder_writing_and_running_are_faults(read: Callable[[Path, Path], object]) -> None:
    assert judge(read).fault.startswith("forbidden: ")


def test_a_fault_that_someone_swallows_is_a_fault() -> None:
    def read(folder: Path, file: Path) -> None:
        try:
            os.system("true")
        except BaseException as error:  # noqa: BLE001
            raise ValueError("a sentence") from error

    assert judge(read).fault.startswith("forbidden: os.system")


def test_minimised_inputs_are_short_and_still_show_the_fault() -> None:
    content = np.random.default_rng(0).bytes(1000).replace(b"!", b"?") + b"!" + b"a" * 500
    assert minimise(content, lambda shorter: b"!" in shorter) == b"!"


@pytest.mark.slow
def test_a_campaign_resumes_where_it_stopped(tmp_path: Path) -> None:
    first = run_target("split list", 0, 30, tmp_path, False, lambda progress: None)
    assert first.done == first.read + first.refused == 30 and not first.faults
    second = run_target("split list", 0, 50, tmp_path, False, lambda progress: None)
    assert second.done == 50 and second.read + second.refused == 50 and second.seconds >= first.seconds


def test_replay_shows_what_a_file_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.bin").write_bytes(b"../a\n")
    assert main(["--only", "split list", "--replay", str(tmp_path / "a.bin")]) == 0
    assert "refused" in capsys.readouterr().out
