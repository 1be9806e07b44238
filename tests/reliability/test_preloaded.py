"""The process that runs tools for other tests ends when it is told to, whatever else is running."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from tests.reliability.killing import Preloaded


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_it_ends_while_a_process_that_was_forked_meanwhile_lives_on(tmp_path: Path) -> None:
    preloaded = Preloaded(tmp_path)
    # Holds what this process has open, the other end of the pipe included, as workers of a training do.
    holder = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
    holder.start()
    try:
        assert preloaded.run("make_scan", ["--help"], tmp_path)[0] == 0
        preloaded.close()  # AssertionError where it has to be killed
        assert holder.is_alive()
    finally:
        holder.kill()
        holder.join(60)
