"""Compiling ahead: once after an installation, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_convonet.extract import compile_ahead

ASK = """
import json
from sparse_convonet.extract.compile_ahead import compile_ahead
process = compile_ahead()
print(json.dumps(None if process is None else process.wait(400)))
"""


def exit_code_of_second_process(cache: Path) -> object:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    root = Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, cwd=root, capture_output=True, check=True, timeout=450
    ).stdout
    return json.loads(said)


@pytest.mark.slow
def test_kernels_are_compiled_once_and_found_from_then_on(tmp_path: Path) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("one core: nothing is compiled ahead")
    assert exit_code_of_second_process(tmp_path) == 0
    names = {path.name.split("-")[0].rpartition(".")[2] for path in tmp_path.rglob("*.nbi")}
    assert {
        "grow",
        "need_corners",
        "count_rows",
        "write_faces",
        "label_components",
        "sweep",
        "number_by_first_use",
    } <= names
    assert exit_code_of_second_process(tmp_path) is None


def test_one_core_compiles_nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert compile_ahead.compile_ahead.__wrapped__() is None
