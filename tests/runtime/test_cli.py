"""Tools end with one sentence and a code, and faults of the program keep their traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sparse_convonet.runtime.atomic import atomic_path
from sparse_convonet.runtime.cli import run_tool


def _outcome(main, capsys: pytest.CaptureFixture[str]) -> tuple[int | str | None, str]:
    with pytest.raises(SystemExit) as caught:
        run_tool(main, [])
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_the_exit_code_is_what_main_returns(returned: int | None, code: int, capsys) -> None:
    assert _outcome(lambda arguments: returned, capsys) == (code, "")


def test_main_gets_the_arguments(capsys) -> None:
    found: list[object] = []
    with pytest.raises(SystemExit):
        run_tool(found.append, ["a", "b"])
    assert found == [["a", "b"]]


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("a: expected 1,\n  found 2"), "a: expected 1, found 2"),
        (FileNotFoundError("scan.ply does not exist; check the path"), "scan.ply does not exist; check the path"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.ply"), "x.ply does not exist; check the path"),
        (PermissionError(errno.EACCES, "denied", "x.ply"), "no permission to open x.ply; check its owner and mode"),
        (IsADirectoryError(errno.EISDIR, "is a directory", "x"), "x is a folder, expected a file; name a file in it"),
        (OSError(errno.EIO, "Input/output error", "x"), "x: Input/output error"),
        (OSError(errno.ENOSPC, "No space left"), "disk full; free some space or choose another folder"),
        (
            OSError(errno.ENOSPC, "No space left", "out.ply"),
            "disk full while writing out.ply; free some space or choose another folder",
        ),
        (MemoryError(), "out of memory; use a larger voxel size, fewer points or smaller tiles"),
        (OutOfMemoryError("CUDA"), "out of memory; use a larger voxel size, fewer points or smaller tiles"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
            "out of memory; use a larger voxel size, fewer points or smaller tiles",
        ),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_code_2(error: Exception, sentence: str, capsys) -> None:
    def main(arguments: list[str] | None) -> None:
        raise error

    assert _outcome(main, capsys) == (2, f"error: {sentence}\n")


def test_a_full_disk_in_a_tool_names_the_file_and_says_that_nothing_was_overwritten(tmp_path: Path, capsys) -> None:
    def main(arguments: list[str] | None) -> None:
        with atomic_path(tmp_path / "mesh.ply"):
            raise OSError(errno.ENOSPC, "No space left on device")

    code, text = _outcome(main, capsys)
    assert code == 2
    assert text == (
        f"error: disk full while writing {tmp_path / 'mesh.ply'}; "
        "free some space or choose another folder, nothing was overwritten\n"
    )


def test_interrupting_exits_with_130(capsys) -> None:
    def main(arguments: list[str] | None) -> None:
        raise KeyboardInterrupt

    code, text = _outcome(main, capsys)
    assert code == 130 and text.startswith("error: interrupted") and text.count("\n") == 1


@pytest.mark.parametrize("error", [TypeError("a fault"), KeyError("x"), RuntimeError("shape mismatch")])
def test_faults_of_the_program_propagate(error: Exception) -> None:
    def main(arguments: list[str] | None) -> None:
        raise error

    with pytest.raises(type(error)):
        run_tool(main, [])
