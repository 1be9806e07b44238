"""Processes that are told to end do, whoever holds their pipes, and are killed where they do not."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from tests.told_process import ToldProcess

_ECHO = """
import sys
for line in sys.stdin:
    if line == "end\\n":
        break
    print(line.upper(), end="", flush=True)
"""
_DEAF = "import time; print('here', flush=True); time.sleep(60)"


def told(code: str) -> ToldProcess:
    return ToldProcess([sys.executable, "-c", code], cwd=Path.cwd())


def test_lines_are_answered_one_by_one_and_the_end_is_clean() -> None:
    process = told(_ECHO)
    process.tell("first\nsecond")
    assert [process.answer(), process.answer()] == ["FIRST", "SECOND"]
    process.close()
    assert process.exit_code == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_ends_when_told_while_a_forked_one_holds_its_input_open() -> None:
    process = told(_ECHO)
    holder = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    holder.start()
    try:
        process.close()
        assert process.exit_code == 0 and holder.is_alive()
    finally:
        holder.kill()
        holder.join(30)


def test_a_process_that_does_not_listen_is_killed_and_that_is_said() -> None:
    process = told(_DEAF)
    assert process.answer() == "here"
    with pytest.raises(AssertionError, match="no answer for 0.2 s"):
        process.answer(0.2)
    with pytest.raises(AssertionError, match="killed, since it went on for 0.2 s after it was told to end"):
        process.close(0.2)
    assert process.exit_code is not None and process.exit_code < 0


def test_a_process_that_has_ended_is_told_apart_from_one_that_is_slow() -> None:
    process = told("print('bye')")
    assert process.answer() == "bye"
    with pytest.raises(AssertionError, match="ended instead of an answer"):
        process.answer()
    process.close()
    assert process.exit_code == 0
