import time
from typing import Any

import numpy as np
import pytest

from sparse_convonet.isolated import OverBudgetError, call_isolated


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


def test_a_process_over_its_time_is_ended() -> None:
    with pytest.raises(OverBudgetError) as caught:
        call_isolated(hold, {"megabytes": 1, "seconds": 60}, seconds=1.0)
    assert caught.value.what == "time"
