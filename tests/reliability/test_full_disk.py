"""Full and read-only disks: one sentence, code 2, what was there stays, and the run goes on when there is room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.cases import CASES
from tests.reliability.disks import small_disk
from tests.reliability.killing import Preloaded, one_sentence
from tests.reliability.snapshots import snapshot, temporaries

_ROOM_KB = 16_000
# Free kB, so that each tool meets the end of the disk at another stage.
_FREE = {
    "make_rooms, papers": (4, 70),
    "make_rooms, metric": (12, 100),
    "evaluate": (4, 32),
    "compare": (52, 12, 64),
    "reconstruct_building": (560,),
    "reconstruct_building, replacing": (64,),
    "make_scan, replacing": (4,),
    "prepare_scans": (12, 64),
}
_WRITES_AT_ONCE = ("make_rooms", "evaluate", "compare", "prepare_scans")  # settings, lists or scans, before they work
_FIRST = [(name, sizes[0]) for name, sizes in _FREE.items()]
_MORE = [pytest.param(name, size, marks=pytest.mark.long) for name, sizes in _FREE.items() for size in sizes[1:]]


@pytest.mark.parametrize(("name", "free_kb"), [*_FIRST, *_MORE])
def test_a_full_disk_is_one_sentence_and_with_more_room_the_run_goes_on(
    name: str, free_kb: int, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]
    with small_disk(tmp_path / "disk") as disk:
        out = case.out(disk.path)
        out.parent.mkdir(exist_ok=True)
        if case.earlier:
            assert preloaded.run(case.tool, case.earlier(inputs, out), disk.path)[0] == 0
        earlier = snapshot(out) if case.earlier else {}
        disk.leave(free_kb)
        code, said = preloaded.run(case.tool, case.arguments(inputs, out), disk.path)
        assert code == 2, said
        assert "disk full while writing" in one_sentence(said)
        assert temporaries(disk.path) == []
        left = snapshot(out) if out.exists() else {}
        assert not case.earlier or left == earlier
        disk.leave(_ROOM_KB)
        code, said = preloaded.run(case.tool, case.arguments(inputs, out), disk.path)
        assert code == 0, said
        made = snapshot(out)
        assert case.earlier or left.items() <= made.items()


@pytest.mark.parametrize("name", CASES)
def test_a_disk_that_cannot_be_written_to_is_refused_before_long_work(
    name: str, inputs: Path, preloaded: Preloaded, tmp_path: Path
) -> None:
    case = CASES[name]
    with small_disk(tmp_path / "disk") as disk:
        out = case.out(disk.path)
        out.parent.mkdir(exist_ok=True)
        if case.earlier:
            assert preloaded.run(case.tool, case.earlier(inputs, out), disk.path)[0] == 0
        earlier = snapshot(disk.path)
        disk.protect()
        code, said = preloaded.run(case.tool, case.arguments(inputs, out), disk.path)
        assert code == 2, said
        sentence = one_sentence(said)
        assert "permission" in sentence or "read-only" in sentence, sentence
        assert str(disk.path) in sentence
        assert said.splitlines() == [sentence] or case.tool in _WRITES_AT_ONCE, said
        assert snapshot(disk.path) == earlier
