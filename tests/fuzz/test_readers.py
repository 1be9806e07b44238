"""A short, always equal part of the campaign for every reader; `make fuzz` runs all of it."""

from __future__ import annotations

import pytest

from tests.fuzz.registry import all_targets
from tests.fuzz.sandbox import sandbox

NAMES = list(all_targets())


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_read_and_damaged_ones_read_or_refused_in_one_sentence(name: str) -> None:
    target = all_targets()[name]
    with sandbox(target) as box:
        for number, sample in enumerate(target.samples):
            verdict = box.judge(sample)
            assert verdict.outcome == "read", f"sample {number}: {verdict.signature}\n{verdict.detail}"
        outcomes = set()
        for index in range(target.quick):
            verdict = box.judge(target.input(0, index))
            assert not verdict.fault, f"input {index}: {verdict.signature}\n{verdict.detail}"
            outcomes.add(verdict.outcome)
    assert outcomes == {"read", "refused"}  # damage that is never, or always, noticed tests nothing


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_functions_of_seed_and_index(name: str) -> None:
    target = all_targets()[name]
    first = [target.input(3, index) for index in range(20)]
    assert first == [target.input(3, index) for index in range(20)]
    assert first != [target.input(4, index) for index in range(20)]
    assert max(map(len, first)) < 1_000_000
