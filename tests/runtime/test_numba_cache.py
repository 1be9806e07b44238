"""Kernels on disk are taken only while every source that they were compiled from is the same."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_convonet.runtime import numba_cache

KERNEL = """
from {module} import njit
from tiny.base import OFFSET, double

@njit(cache=True)
def answer(value):
    return double(value) + OFFSET
"""
BASE = """
from {module} import njit
from tiny import factors

OFFSET = {offset}

@njit
def double(value):
    return factors.FACTOR * value
"""
ASK = """
import json
from tiny.kernel import answer
print(json.dumps([answer(10), sum(answer.stats.cache_hits.values())]))
"""


def write_package(
    folder: Path, *, factor: int, offset: int, module: str = "sparse_convonet.runtime.numba_cache"
) -> None:
    (folder / "tiny").mkdir(exist_ok=True)
    texts = {
        "__init__": "",
        "kernel": KERNEL.format(module=module),
        "base": BASE.format(module=module, offset=offset),
        "factors": f"FACTOR = {factor}\n",
    }
    for name, text in texts.items():
        (folder / "tiny" / f"{name}.py").write_text(text, encoding="utf-8")


def ask(folder: Path) -> list[int]:
    """What a fresh process answers, and how many kernels it found on disk."""
    paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
    # Sources change within a second here, too fast for Python's own cache of bytecode.
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    environment["NUMBA_CACHE_DIR"] = str(folder / "kernels")
    said = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, check=True, timeout=300)
    answer: list[int] = json.loads(said.stdout)
    return answer


def test_a_kernel_is_compiled_again_when_what_its_file_imports_has_changed(tmp_path: Path) -> None:
    write_package(tmp_path, factor=2, offset=1)
    assert ask(tmp_path) == [21, 0]
    assert ask(tmp_path) == [21, 1]
    write_package(tmp_path, factor=2, offset=5)  # a constant in the file that it imports
    assert ask(tmp_path) == [25, 0]
    write_package(tmp_path, factor=3, offset=5)  # in a file that this one imports
    assert ask(tmp_path) == [35, 0]
    assert ask(tmp_path) == [35, 1]


@pytest.mark.slow
def test_numba_alone_would_take_the_old_kernel(tmp_path: Path) -> None:
    """Why there is a stamp; once this fails, Numba does it by itself and the module can go."""
    write_package(tmp_path, factor=2, offset=1, module="numba")
    assert ask(tmp_path) == [21, 0]
    write_package(tmp_path, factor=2, offset=5, module="numba")
    assert ask(tmp_path) == [21, 1]


def test_every_kernel_of_the_package_on_disk_has_the_stamp() -> None:
    package = Path(__file__).parents[2] / "sparse_convonet"
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.stem != "numba_cache"}
    cached = [path for path, text in texts.items() if "cache=True" in text]
    assert len(cached) > 10
    assert [path for path in cached if "from sparse_convonet.runtime.numba_cache import njit" not in texts[path]] == []
    assert [path for path, text in texts.items() if "from numba import njit" in text or "numba.njit" in text] == []


def test_where_numba_has_no_place_for_the_stamp_nothing_is_taken_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(numba_cache, "_stamp_cache", lambda *_: False)

    def increment(value: int) -> int:
        return value + 1

    kernel = numba_cache.njit(increment, cache=True)
    assert kernel(1) == 2 and kernel.stats.cache_path is None
    assert "cannot tell old kernels" in caplog.text


IMPORTS = """
import one.a, one.b as c  # one.not
from one import (
    d,  # one.not
    e as f,
)
    from one.g import h
from . import i
from ..j import (k, l)
"""


def test_imports_are_found_in_the_text() -> None:
    found = set(numba_cache._imported_names(IMPORTS, "one.sub"))
    assert {
        "one.a",
        "one.b",
        "one",
        "one.d",
        "one.e",
        "one.g",
        "one.g.h",
        "one.sub.i",
        "one.j",
        "one.j.k",
        "one.j.l",
    } <= found
    assert not any("not" in name for name in found)


def test_in_the_files_of_the_package_no_import_is_missed() -> None:
    for path in (Path(__file__).parents[2] / "sparse_convonet").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found = set(numba_cache._imported_names(source, "sparse_convonet"))
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= found, path
            elif isinstance(node, ast.ImportFrom):
                assert {f"{node.module}.{alias.name}" for alias in node.names} <= found, path
