import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_convonet.runtime.isolated import OverBudgetError, call_isolated


def add(first: int, second: int) -> dict[str, Any]:
    print("what is printed does not disturb the answer")
    return {"sum": first + second}


def hold(megabytes: int, seconds: float) -> dict[str, Any]:
    array = np.ones(megabytes * 125_000)
    time.sleep(seconds)
    return {"sum": float(array.sum())}


def fail() -> dict[str, Any]:
    raise ValueError("no such thing")


def test_the_result_comes_back() -> None:
    assert call_isolated(add, {"first": 2, "second": 3}).result == {"sum": 5}


def test_what_a_failing_process_said_is_in_the_error() -> None:
    with pytest.raises(RuntimeError, match="no such thing"):
        call_isolated(fail, {})


def test_a_process_over_its_memory_is_ended_and_one_below_is_not() -> None:
    with pytest.raises(OverBudgetError) as caught:
        call_isolated(hold, {"megabytes": 400, "seconds": 60}, memory_bytes=300_000_000)
    assert caught.value.what == "memory"
    assert call_isolated(hold, {"megabytes": 1, "seconds": 0}, memory_bytes=300_000_000).result["sum"] == 125_000


def start_another(path: str) -> dict[str, Any]:
    call_isolated(tell_and_wait, {"path": path})
    return {}


def tell_and_wait(path: str) -> dict[str, Any]:
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)
    return {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with the one that started it")
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    with pytest.raises(OverBudgetError):
        call_isolated(start_another, {"path": str(tmp_path / "number")}, seconds=5.0)
    number = (tmp_path / "number").read_text()
    deadline = time.monotonic() + 10
    while (status := Path("/proc", number, "status")).exists() and "\nState:\tZ" not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_over_its_time_is_ended() -> None:
    with pytest.raises(OverBudgetError) as caught:
        call_isolated(hold, {"megabytes": 1, "seconds": 60}, seconds=1.0)
    assert caught.value.what == "time"
