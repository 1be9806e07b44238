"""What every test may use: a seeded generator, the shared data, and a reproducible hypothesis profile."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

try:
    from hypothesis import settings
except ModuleNotFoundError:  # tools/gpu_run.py runs the tests for a GPU, which do without, where little is installed
    settings = None  # type: ignore[assignment, misc]

if settings is not None:
    # The same examples in each run, and no limits on time: the machines that run this are of any speed.
    settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=50)
    settings.load_profile("reproducible")

_LONG_S = 3600.0  # that a test marked `long` may take; the limit of all others stands in pyproject.toml
_LEFT_S = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `long` are left out unless they are asked for, and may take long then."""
    long = [item for item in items if item.get_closest_marker("long")]
    if config.getoption("--long"):
        for item in long:
            item.add_marker(pytest.mark.timeout(_LONG_S))
        return
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in set(long)]


def pytest_sessionfinish() -> None:
    """End the processes that failed tests left behind: Python would wait for them without a bound."""
    left = multiprocessing.active_children()
    for each in left:
        each.terminate()
    for each in left:
        each.join(_LEFT_S)
        if each.is_alive():
            each.kill()


@pytest.fixture(autouse=True)
def _levels_of_loggers() -> Iterator[None]:
    """Tools set the level of the package's logger; what a test reads of the log must not depend on those before it."""
    logger = logging.getLogger("sparse_convonet")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real scans and ground truth beside the repository; skips where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no data folder {folder}")
    return folder
