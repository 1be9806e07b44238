"""Tools that are killed (kill -9) lose nothing that was finished, and end as if nothing had happened."""

from __future__ import annotations

import shutil
import signal
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sparse_convonet.runtime.atomic import remove_unfinished
from tests.reliability.cases import CASES, LONG_CASES, WORKER_CASES, Case
from tests.reliability.killing import Preloaded, Runs, Tally, run_command, survive_kills
from tests.reliability.snapshots import require_whole, snapshot, temporaries

FEW, MANY = 2, 20
_LONGEST_CHAIN = 1000


def killed(
    name: str, case: Case, runner: Callable[[list[object]], Runs], inputs: Path, folder: Path, kills: int, idle_s: float
) -> Tally:  # fmt: skip
    """idle_s: seconds of CPU that the tool takes to begin its work."""

    def finish(place: Path, arguments: Callable[[Path, Path], list[object]]) -> tuple[dict[str, str], float]:
        out = case.out(place)
        out.parent.mkdir(parents=True)
        runs = runner(arguments(inputs, out))
        spent_s = runs.spent_s()
        code, said = runs.run(lambda group: None)
        assert code == 0, said
        return snapshot(out), runs.spent_s() - spent_s

    earlier = finish(folder / "earlier", case.earlier or case.arguments)[0]  # compiles what is compiled once
    reference, cpu_s = finish(folder / "undisturbed", case.arguments)

    def begin() -> None:
        shutil.rmtree(folder / "killed", ignore_errors=True)
        if case.earlier:
            shutil.copytree(folder / "earlier", folder / "killed")
        else:
            case.out(folder / "killed").parent.mkdir(parents=True)

    out = case.out(folder / "killed")
    runs = runner(case.arguments(inputs, out))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    before = earlier if case.earlier else None
    tally = survive_kills(runs, out, reference, kills, cpu_s, idle_s, rng, begin, before, case.by_folder)
    print(f"{name}: {tally}")
    return tally


@pytest.mark.parametrize("name", CASES)
def test_a_tool_that_is_killed_a_few_times_leaves_what_an_undisturbed_run_leaves(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]

    def runner(arguments: list[object]) -> Runs:
        return Runs(lambda stop: preloaded.run(case.tool, arguments, tmp_path, stop=stop), preloaded.spent_s)

    assert killed(name, case, runner, inputs, tmp_path, FEW, 0.0).kills == FEW


@pytest.mark.long
@pytest.mark.parametrize("name", CASES | LONG_CASES | WORKER_CASES)
def test_a_tool_that_is_killed_many_times_leaves_what_an_undisturbed_run_leaves(
    name: str, inputs: Path, tmp_path: Path
) -> None:
    case = (CASES | LONG_CASES | WORKER_CASES)[name]

    def runner(arguments: list[object]) -> Runs:
        return run_command(case.tool, arguments)

    imports = runner(["--help"])
    for _ in range(2):  # the first one compiles what is compiled once
        spent_s = imports.spent_s()
        assert imports.run(lambda group: None)[0] == 0
    tally = killed(name, case, runner, inputs, tmp_path, MANY, imports.spent_s() - spent_s)
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
        between += require_whole(now, states["new"], states["earlier"], by_folder=case.by_folder)
        remove_unfinished(tmp_path / "killed")
        assert temporaries(out) == []
        if case.by_folder:
            assert not require_whole(snapshot(out), states["new"], states["earlier"], by_folder=True)
    assert temporaries(out) == []
    print(f"{name}: killed before each of {change - 1} changes, {between} between renamings")
    assert between == case.between


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, case in (CASES | LONG_CASES).items() if not case.earlier])
def test_a_run_that_is_killed_before_its_next_changes_again_and_again_ends_as_an_undisturbed_one(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = (CASES | LONG_CASES)[name]
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
