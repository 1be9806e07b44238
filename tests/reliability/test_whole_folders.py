"""atomic_folder of runtime/atomic.py against kill -9, against a second process, and against errors."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparse_convonet.runtime import temporaries
from sparse_convonet.runtime.atomic import atomic_folder, atomic_path, remove_unfinished
from tests.told_process import ToldProcess
from tests.tools.running import TOOLS

NAMES = ["a.npz", "b.npz"]
FORMER = ".model.01234567.former"

# Replaces a folder again and again, in forks that kill themselves before one of their changes.
_WRITER = """
import os, sys
from pathlib import Path
from sparse_convonet.runtime.atomic import atomic_folder, atomic_path
from tests.reliability.preloaded import kill_at_change
for change in range(1, 100):
    place = Path(sys.argv[1]) / str(change)
    (place / "model").mkdir(parents=True)
    for name in ("a.npz", "b.npz"):
        (place / "model" / name).write_text("old")
    child = os.fork()
    if child == 0:
        kill_at_change(place, change)
        with atomic_folder(place / "model") as folder:
            for name in ("a.npz", "b.npz"):
                with atomic_path(folder / name) as temporary:
                    temporary.write_text("new")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(change)
"""
# Stops between the two renamings, until it is told to end.
_SWAPPER = """
import os, sys
from pathlib import Path
from sparse_convonet.runtime.atomic import atomic_folder
model = Path(sys.argv[1]) / "model"
rename, calls = os.rename, []
def waiting(source, target):
    calls.append(source)
    if len(calls) == 2:
        print("between", flush=True)
        sys.stdin.readline()
    rename(source, target)
os.rename = waiting
with atomic_folder(model) as folder:
    (folder / "a.npz").write_text("new")
"""


@pytest.fixture(autouse=True)
def first_write() -> None:
    """As in a process that has not written to any folder yet."""
    temporaries.sweep_once.cache_clear()


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def write_folder(folder: Path, content: str) -> None:
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(content)


def test_a_folder_that_is_replaced_is_never_lost_or_mixed_whichever_change_is_the_last(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    last = int(subprocess.run(command, cwd=TOOLS.parent, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    states, missing = [], 0
    for change in range(1, last + 1):
        place = tmp_path / str(change)
        missing += not (place / "model").exists()
        remove_unfinished(place)
        found = contents(place)
        assert list(map(str, sorted(found))) == [f"model/{name}" for name in NAMES]
        assert len(set(found.values())) == 1
        states.append(found["model/a.npz"])
    assert states == sorted(states, reverse=True) and set(states) == {"old", "new"}  # old until it is new
    assert missing == 1 and states.count("new") > 3 and last > 15  # of those, some while the old one is removed


@pytest.mark.parametrize("end", ["lives", "is killed"])
def test_only_what_a_dead_process_was_replacing_comes_back(tmp_path: Path, end: str) -> None:
    write_folder(tmp_path / "model", "old")
    process = ToldProcess([sys.executable, "-c", _SWAPPER, str(tmp_path)], cwd=TOOLS.parent)
    assert process.answer() == "between"
    if end == "is killed":
        process.kill()
    assert not (tmp_path / "model").exists()
    remove_unfinished(tmp_path)
    if end == "is killed":
        assert contents(tmp_path) == {f"model/{name}": "old" for name in NAMES}
    process.close()
    remove_unfinished(tmp_path)
    if end == "lives":
        assert process.exit_code == 0 and contents(tmp_path) == {"model/a.npz": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_was_replaced_does_not_come_back_where_the_new_one_stands(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", "new")
    write_folder(tmp_path / FORMER, "old")
    with atomic_folder(tmp_path / "other"):
        pass
    assert contents(tmp_path) == {f"model/{name}": "new" for name in NAMES}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_a_disk_without_locks_gives_it_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(temporaries.fcntl, "flock", no_locks)
    write_folder(tmp_path / FORMER, "old")
    (tmp_path / ".model.01234567.partial").mkdir()  # may be a living process's
    remove_unfinished(tmp_path)
    assert contents(tmp_path) == {f"model/{name}": "old" for name in NAMES}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".model.01234567.partial", "model"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_folder_and_no_other(tmp_path: Path, error: BaseException) -> None:
    write_folder(tmp_path / "model", "old")
    with pytest.raises(type(error)), atomic_folder(tmp_path / "model") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.npz").write_text("half")
        raise error
    assert contents(tmp_path) == {f"model/{name}": "old" for name in NAMES}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_ctrl_c_while_the_old_folder_is_removed_comes_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "model", "old")
    rmtree = shutil.rmtree

    def interrupted(path: Path, ignore_errors: bool) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)  # the main thread has it now
        rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "model") as folder:
            (folder / "a.npz").write_text("new")
    finally:
        signal.signal(signal.SIGINT, before)
    assert contents(tmp_path) == {"model/a.npz": "new"} and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_second_renaming_that_fails_brings_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "model", "old")
    rename, calls = os.rename, []

    def failing(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError(errno.EACCES, "Permission denied", str(source))
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(PermissionError) as caught, atomic_folder(tmp_path / "model"):
        pass
    assert caught.value.filename == str(tmp_path / "model")  # not the temporary name
    assert contents(tmp_path) == {f"model/{name}": "old" for name in NAMES}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_full_disk_names_the_file_as_it_would_be_called(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught, atomic_folder(tmp_path / "model") as folder:
        with atomic_path(folder / "a.npz"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert f"disk full while writing {tmp_path / 'model' / 'a.npz'}; " in str(caught.value)


def test_a_link_to_a_folder_stays_a_link_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    write_folder(tmp_path / "far" / "store", "old")
    (tmp_path / "model").symlink_to(tmp_path / "far" / "store")
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "a.npz").write_text("new")
    assert (tmp_path / "model").is_symlink() and contents(tmp_path / "far") == {"store/a.npz": "new"}
    shutil.rmtree(tmp_path / "far")
