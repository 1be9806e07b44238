"""A test that stands still ends: with the stacks of all threads, and the tests after it are run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_STANDING_STILL = """
import threading, time

def stand_beside():
    time.sleep(60)

def test_stands_still():
    threading.Thread(target=stand_beside, daemon=True).start()
    threading.Event().wait()

def test_comes_after_it():
    pass
"""


def test_a_test_that_stands_still_fails_with_all_stacks_and_the_next_one_runs(tmp_path: Path) -> None:
    path = tmp_path / "test_standing.py"
    path.write_text(_STANDING_STILL)
    command = [sys.executable, "-m", "pytest", "-c", str(_ROOT / "pyproject.toml"), "-o", "timeout=1", "-s", str(path)]
    found = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=50)
    assert "1 failed, 1 passed" in found.stdout, found.stdout + found.stderr
    assert "Timeout (>1.0s)" in found.stdout
    assert "in stand_beside" in found.stdout + found.stderr and "test_stands_still" in found.stdout


def test_every_test_has_a_limit_and_so_has_compiled_code(request: pytest.FixtureRequest) -> None:
    limit_s = float(request.config.getini("timeout"))
    assert 0 < limit_s < float(request.config.getini("faulthandler_timeout"))
    assert request.config.getini("faulthandler_exit_on_timeout")
