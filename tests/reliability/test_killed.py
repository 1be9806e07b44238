"""Tools that are killed (kill -9) lose nothing that was finished, and end as if nothing had happened."""

from __future__ import annotations

import shutil
import signal
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.cases import CASES, SLOW_CASES, Case
from tests.reliability.killing import (
    Preloaded,
    Start,
    Tally,
    require_whole,
    run_command,
    snapshot,
    survive_kills,
    temporaries,
)

FEW, MANY = 2, 20
_LONGEST_CHAIN = 1000


def killed(
    name: str, case: Case, runner: Callable[[list[object]], Start], inputs: Path, folder: Path, kills: int,
    before_share: float,
) -> Tally:  # fmt: skip
    """before_share: of an undisturbed run's time, in which nobody kills."""

    def finish(place: Path, arguments: Callable[[Path, Path], list[object]]) -> tuple[dict[str, str], float]:
        out = case.out(place)
        out.parent.mkdir(parents=True)
        started = time.monotonic()
        code, said = runner(arguments(inputs, out))(lambda group: None)
        assert code == 0, said
        return snapshot(out), time.monotonic() - started

    reference, seconds = finish(folder / "undisturbed", case.arguments)
    earlier = finish(folder / "earlier", case.earlier)[0] if case.earlier else None

    def begin() -> None:
        shutil.rmtree(folder / "killed", ignore_errors=True)
        if case.earlier:
            shutil.copytree(folder / "earlier", folder / "killed")
        else:
            case.out(folder / "killed").parent.mkdir(parents=True)

    out = case.out(folder / "killed")
    run = runner(case.arguments(inputs, out))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    tally = survive_kills(run, out, reference, kills, before_share * seconds, 1.05 * seconds, rng, begin, earlier)
    print(f"{name}: {tally}")
    return tally


@pytest.mark.parametrize("name", CASES)
def test_a_tool_that_is_killed_a_few_times_leaves_what_an_undisturbed_run_leaves(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]

    def runner(arguments: list[object]) -> Start:
        return lambda stop: preloaded.run(case.tool, arguments, tmp_path, stop=stop)

    assert killed(name, case, runner, inputs, tmp_path, FEW, 0.1).kills == FEW


@pytest.mark.long
@pytest.mark.parametrize("name", CASES | SLOW_CASES)
def test_a_tool_that_is_killed_many_times_leaves_what_an_undisturbed_run_leaves(
    name: str, inputs: Path, tmp_path: Path
) -> None:
    case = (CASES | SLOW_CASES)[name]
    tally = killed(name, case, lambda arguments: run_command(case.tool, arguments), inputs, tmp_path, MANY, 0.5)
    assert tally.kills == MANY


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.earlier])
def test_a_result_that_is_replaced_is_the_old_or_the_new_one_whichever_change_is_the_last(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]
    states = {}
    for place, arguments in (("earlier", case.earlier), ("new", case.arguments)):
        out = case.out(tmp_path / place)
        out.parent.mkdir(parents=True)
        assert arguments is not None
        assert preloaded.run(case.tool, arguments(inputs, out), tmp_path)[0] == 0
        states[place] = snapshot(out)
    out, change, between = case.out(tmp_path / "killed"), 0, 0
    while True:
        change += 1
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
        shutil.copytree(tmp_path / "earlier", tmp_path / "killed")
        code, said = preloaded.run(case.tool, case.arguments(inputs, out), tmp_path / "killed", die_at=change)
        now = snapshot(out)
        if code != -signal.SIGKILL:
            assert (code, now) == (0, states["new"]), said
            break
        between += require_whole(now, states["new"], states["earlier"])
    assert temporaries(out) == []
    print(f"{name}: killed before each of {change - 1} changes, {between} between renamings")
    assert between == (3 if case.file is None else 0)  # after the report went: 3 renamings to come, 2, 1


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.earlier])
def test_a_run_that_is_killed_before_its_next_changes_again_and_again_ends_as_an_undisturbed_one(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]
    undisturbed, out = case.out(tmp_path / "undisturbed"), case.out(tmp_path / "killed")
    for each in (undisturbed, out):
        each.parent.mkdir(parents=True)
    assert preloaded.run(case.tool, case.arguments(inputs, undisturbed), tmp_path)[0] == 0
    reference = snapshot(undisturbed)
    for kills in range(_LONGEST_CHAIN):
        # Later and later, for what must be done at one stretch to come to its end.
        code, said = preloaded.run(case.tool, case.arguments(inputs, out), tmp_path / "killed", die_at=1 + kills)
        if code != -signal.SIGKILL:
            break
        require_whole(snapshot(out) if out.exists() else {}, reference, None)
    assert code == 0, said
    assert snapshot(out) == reference and temporaries(out) == []
    print(f"{name}: killed before a change {kills} times")
