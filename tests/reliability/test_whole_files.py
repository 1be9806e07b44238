"""runtime/atomic.py against kill -9, against a second process, and against Ctrl-C at the worst moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparse_convonet.runtime import temporaries
from sparse_convonet.runtime.atomic import atomic_path, atomic_paths, remove_unfinished, require_writable
from tests.told_process import ToldProcess
from tests.tools.running import TOOLS

NAMES = ("mesh.ply", "preview.png", "report.json")
LEFT = ".mesh.01234567.partial.ply"

# Writes three files that belong together again and again, in forks that kill themselves before one of their changes
# of a folder of their own, and prints what came of each.
_WRITER = """
import os, sys
from pathlib import Path
from sparse_convonet.runtime.atomic import atomic_path, atomic_paths
from tests.reliability.preloaded import kill_at_change
names = ("mesh.ply", "preview.png", "report.json")
for change in range(1, 100):
    folder = Path(sys.argv[1]) / str(change)
    folder.mkdir()
    for name in names:
        (folder / name).write_text("old")
    child = os.fork()
    if child == 0:
        kill_at_change(folder, change)
        with atomic_paths([folder / name for name in names]) as temporaries:
            for path in temporaries:
                with atomic_path(path) as same:
                    same.write_text("new " * 20000)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(change)
"""
# Holds a file that is being written until it is told to end.
_HOLDER = """
import sys
from pathlib import Path
from sparse_convonet.runtime.atomic import atomic_path
with atomic_path(Path(sys.argv[1]) / "mesh.ply") as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
    temporary.write_text("whole")
"""


@contextmanager
def holding(folder: Path) -> Iterator[ToldProcess]:
    process = ToldProcess([sys.executable, "-c", _HOLDER, str(folder)], cwd=TOOLS.parent)
    try:
        assert process.answer() == "writing"
        yield process
    finally:
        process.close()


@pytest.fixture(autouse=True)
def first_write() -> None:
    """As in a process that has not written to any folder yet."""
    temporaries.sweep_once.cache_clear()


def test_files_that_belong_together_are_never_mixed_where_the_last_one_stands(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    last = int(subprocess.run(command, cwd=TOOLS.parent, check=True, stdout=subprocess.PIPE, timeout=120).stdout)
    between = 0
    for change in range(1, last + 1):
        paths = {name: tmp_path / str(change) / name for name in NAMES}
        found = {name: path.read_text() for name, path in paths.items() if path.is_file()}
        assert set(found.values()) <= {"old", "new " * 20000}
        if NAMES[-1] in found:
            assert len(set(found.values())) == 1
        else:
            between += 1
    assert set(found.values()) == {"new " * 20000} and len(list((tmp_path / str(last)).iterdir())) == len(NAMES)
    assert last > 20 and between == len(NAMES)  # after taking the report away, and before bringing the new one


def test_what_a_killed_process_left_goes_with_the_next_file_and_only_that(tmp_path: Path) -> None:
    (tmp_path / LEFT).write_text("half")
    mine = [".mesh.partial.ply", ".mesh.0123456.partial.ply", "mesh.01234567.partial.ply", ".hidden"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    with atomic_path(tmp_path / "other.txt") as temporary:
        temporary.write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*mine, "other.txt"])


def test_what_a_living_process_is_writing_stays(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        with atomic_path(tmp_path / "other.txt") as temporary:
            temporary.write_text("new")
        remove_unfinished(tmp_path)
    assert process.exit_code == 0
    assert (tmp_path / "mesh.ply").read_text() == "whole"


def test_what_a_process_was_writing_can_be_removed_as_soon_as_it_was_killed(tmp_path: Path) -> None:
    inner = tmp_path / "runs" / "one"
    inner.mkdir(parents=True)
    with holding(inner) as process:
        process.kill()
    assert len(list(inner.iterdir())) == 1
    remove_unfinished(tmp_path)
    assert list(inner.iterdir()) == []


def test_a_link_in_the_place_of_a_temporary_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / LEFT).symlink_to(tmp_path / "precious")
    remove_unfinished(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("when", range(3))
def test_ctrl_c_between_two_renamings_comes_after_all_of_them(
    when: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        (tmp_path / name).write_text("old")
    replace, calls = os.replace, []

    def interrupted(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == when + 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)  # the main thread has it now
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), atomic_paths([tmp_path / name for name in NAMES]) as temporaries:
            for path in temporaries:
                path.write_text("new")
    finally:
        signal.signal(signal.SIGINT, before)
    assert [(tmp_path / name).read_text() for name in NAMES] == ["new"] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


def test_an_error_leaves_all_files_that_belong_together_as_they_were(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_text("old")
    with pytest.raises(ValueError, match="bad"), atomic_paths([tmp_path / name for name in NAMES]) as temporaries:
        temporaries[0].write_text("new")
        raise ValueError("bad")
    assert [(tmp_path / name).read_text() for name in NAMES] == ["old"] * 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_block_that_writes_nothing_is_a_fault_and_an_empty_file_is_none(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="nothing was written"), atomic_path(tmp_path / "a.txt"):
        pass
    with atomic_path(tmp_path / "b.txt") as temporary:
        temporary.write_text("")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_a_folder_that_may_be_made_is_writable_and_one_below_a_file_is_not(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("precious")
    with pytest.raises(NotADirectoryError) as caught:
        require_writable(tmp_path / "file" / "out")
    assert caught.value.filename == str(tmp_path / "file")
