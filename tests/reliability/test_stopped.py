"""Ctrl-C and SIGTERM: codes 130 and 143, one sentence, nothing half written, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.reliability.cases import CASES
from tests.reliability.killing import Preloaded, kill_group, one_sentence
from tests.reliability.snapshots import snapshot, temporaries

_BEGIN_S = 60.0
_STOPS = {"Ctrl-C": (signal.SIGINT, 130), "SIGTERM": (signal.SIGTERM, 143)}
_BOTH = ("make_rooms, metric", "reconstruct_building, replacing")  # the others after Ctrl-C are long tests


@pytest.mark.parametrize(
    ("name", "stop"),
    [pytest.param(name, stop, marks=() if name in _BOTH or stop == "SIGTERM" else pytest.mark.long)
     for name, case in CASES.items() for stop in _STOPS if case.earlier or not case.file],
)  # fmt: skip
def test_a_tool_that_is_stopped_says_so_and_goes_on_when_run_again(
    name: str, stop: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]
    number, expected = _STOPS[stop]
    watched = tmp_path / "place"
    out = case.out(watched)
    out.parent.mkdir(parents=True)
    if case.earlier:
        assert preloaded.run(case.tool, case.earlier(inputs, out), watched)[0] == 0
    earlier = snapshot(out) if case.earlier else {}

    def when_begun(group: int) -> None:
        end = time.monotonic() + _BEGIN_S
        while time.monotonic() < end and not preloaded.has_said():
            time.sleep(0.002)
        if stop == "Ctrl-C":
            kill_group(group, number)  # as a terminal does
        else:
            os.kill(group, number)  # as a queue or a container does

    code, said = preloaded.run(case.tool, case.arguments(inputs, out), watched, stop=when_begun)
    assert code == expected, said
    assert one_sentence(said).startswith("error: interrupted" if stop == "Ctrl-C" else "error: terminated")
    assert temporaries(watched) == []
    left = snapshot(out) if out.exists() else {}
    assert not case.earlier or left == earlier
    code, said = preloaded.run(case.tool, case.arguments(inputs, out), watched)
    assert code == 0, said
    made = snapshot(out)
    assert case.earlier or left.items() <= made.items()
    shutil.rmtree(watched)
