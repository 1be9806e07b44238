"""The same command gives the same bytes, in processes of their own, whatever Python's seed of hashes is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reliability.cases import CASES
from tests.reliability.killing import Command
from tests.reliability.snapshots import snapshot

_SEEDS_OF_HASHES = ("1", "2")


def made(name: str, inputs: Path, place: Path, hash_seed: str, *options: object, threads: int = 1) -> dict[str, str]:
    """What a command leaves, as bytes (reports without times)."""
    case = CASES[name]
    out = case.out(place)
    out.parent.mkdir(parents=True)
    environment = {"PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": str(threads)}
    command = Command(case.tool, [*case.arguments(inputs, out), *options], environment)
    code, said = command.outcome()
    assert code == 0, said
    return snapshot(out)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if case.tool in ("make_rooms", "make_scan") else pytest.mark.long)
        for name, case in CASES.items()
        if not case.earlier and case.tool != "reconstruct_building"
    ],
)
def test_the_same_command_gives_the_same_bytes(name: str, inputs: Path, tmp_path: Path) -> None:
    first, second = (made(name, inputs, tmp_path / seed, seed) for seed in _SEEDS_OF_HASHES)
    assert first == second


def test_a_reconstruction_has_the_same_bytes_with_one_and_with_two_threads(inputs: Path, tmp_path: Path) -> None:
    results = {
        (threads, seed): made(
            "reconstruct_building", inputs, tmp_path / f"{threads}-{seed}", seed, "--threads", threads, threads=threads
        )
        for threads, seed in ((1, "1"), (1, "2"), (2, "1"), (2, "2"))
    }
    assert results[1, "1"] == results[1, "2"]
    assert results[2, "1"] == results[2, "2"]
    assert results[1, "1"] == results[2, "1"]


@pytest.mark.long
def test_rooms_are_the_same_on_one_and_on_two_workers(inputs: Path, tmp_path: Path) -> None:
    first = made("make_rooms, metric", inputs, tmp_path / "one", "1")
    assert first == made("make_rooms, metric", inputs, tmp_path / "two", "2", "--workers", 2)
