"""What the tests of reliability share: inputs, and a process that runs tools without their start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.cases import write_inputs
from tests.reliability.killing import Preloaded


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def needed_packages(request: pytest.FixtureRequest) -> None:
    if "make_watertight" in request.node.name:
        pytest.importorskip("igl", reason="libigl is not installed (extra data)")


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    server = Preloaded(tmp_path_factory.mktemp("said"))
    yield server
    server.close()
