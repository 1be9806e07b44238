"""Memory of processes and of the machine, and the package where Python has no module `resource`."""

from __future__ import annotations

import mmap
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import psutil
import pytest

from sparse_convonet.runtime import memory

WITHOUT_RESOURCE = """
import sys
import psutil  # its part for Linux needs `resource`
sys.modules.pop("resource", None)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in ("resource", "fcntl"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
from sparse_convonet import Reconstructor
from sparse_convonet.runtime.memory import peak_memory_bytes
assert peak_memory_bytes() > 1e6
"""


def test_the_package_is_imported_where_python_has_no_modules_of_unix_as_on_windows() -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_RESOURCE], cwd=Path(__file__).parents[2], check=True, timeout=300)


def test_memory_that_is_held_counts_and_the_peak_stays() -> None:
    before = memory.resident_memory_bytes()
    with mmap.mmap(
        -1, 30_000_000
    ) as ballast:  # not an array: numpy's may lie where freed ones lay, and take nothing new
        np.frombuffer(ballast, dtype=np.uint8)[:] = 1
        during, peak = memory.resident_memory_bytes(), memory.peak_memory_bytes()
    assert during - before > 25e6 and peak > before + 25e6
    assert memory.peak_memory_bytes() > before + 25e6


def test_memory_of_another_process_is_none_once_it_has_ended() -> None:
    code, pipe = "print(flush=True); input()", subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun: before, it holds hardly anything
        held = memory.memory_of_process(process.pid)
        process.kill()
        process.wait(60)
    assert held is not None and 1e5 < held < 1e9
    assert memory.memory_of_process(process.pid) is None


def test_the_machine_gives_no_more_than_it_has() -> None:
    assert 0 < memory.available_memory_bytes() <= psutil.virtual_memory().total


def test_the_peak_on_windows_is_that_of_the_working_set(monkeypatch: pytest.MonkeyPatch) -> None:
    held = types.SimpleNamespace(memory_info=lambda: types.SimpleNamespace(rss=5, peak_wset=7))
    monkeypatch.setattr(psutil, "Process", lambda: held)
    monkeypatch.setattr(memory, "_peak_on_linux", lambda: None)
    assert memory.peak_memory_bytes() == 7
