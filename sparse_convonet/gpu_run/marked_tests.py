"""The first part: the repository's tests that are marked `gpu`."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from sparse_convonet.gpu_run.requirements import is_installed

_ROOT = Path(__file__).parents[2]
_MARK = "mark.gpu"
# Where pytest-timeout is missing, pytest refuses the project's own settings, which name a time limit.
_PLAIN_SETTINGS = """[pytest]
addopts = --import-mode=importlib --strict-markers
pythonpath = {root}
markers =
    slow: takes more than about ten seconds
    long: takes minutes
    gpu: needs a CUDA device
"""
_NO_TESTS = 5  # pytest's exit code where nothing was to be run


def run_marked_tests(out: Path, seconds: float) -> dict[str, Any]:
    """Counts of the tests marked `gpu`, and the names of those that failed.

    Only the files with the mark are read: others may import what is not installed here.  Raises ValueError where there is
    no pytest or no test, RuntimeError where pytest itself fails; TimeoutError after `seconds`.
    """
    if not is_installed("pytest"):
        raise ValueError("tests: expected the package pytest, found none; install it to have the tests run")
    files = [str(path) for path in sorted((_ROOT / "tests").rglob("test_*.py")) if _MARK in path.read_text("utf-8")]
    files = [path for path in files if not path.startswith(str(_ROOT / "tests" / "gpu_run"))]  # not itself
    if not files:
        raise ValueError(f"{_ROOT}: expected the repository with its tests, found none marked gpu; run it from a clone")
    results, plain = out / "tests.xml", out / "pytest.ini"
    results.unlink(missing_ok=True)
    settings = []
    if not is_installed("pytest_timeout"):
        plain.write_text(_PLAIN_SETTINGS.format(root=_ROOT), encoding="utf-8")
        settings = ["-c", str(plain), "--rootdir", str(_ROOT)]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *settings, "-m", "gpu", *files]
    try:
        done = subprocess.run(
            [*command, "--junitxml", str(results)],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"tests: ended after {seconds:g} s, the time they were allowed") from error
    if not results.is_file() or done.returncode not in (0, 1, _NO_TESTS):
        said = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise RuntimeError(f"tests: pytest ended with exit code {done.returncode}: {' | '.join(said)}")
    return counts_of(results)


def counts_of(results: Path) -> dict[str, Any]:
    """passed, failed, skipped and failures (names) of a file that pytest wrote with --junitxml."""
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    failures = [each for each in cases if each.find("failure") is not None or each.find("error") is not None]
    skipped = sum(each.find("skipped") is not None for each in cases)
    return {
        "passed": len(cases) - len(failures) - skipped,
        "failed": len(failures),
        "skipped": skipped,
        "failures": [f"{each.get('classname')}.{each.get('name')}" for each in failures],
    }
