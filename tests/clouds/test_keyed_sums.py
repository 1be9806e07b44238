"""Sums of rows by pairs of whole numbers."""

from __future__ import annotations

import numpy as np

from sparse_convonet.clouds.keyed_sums import keyed_sums


def test_rows_of_a_pair_are_summed_and_pairs_ascend() -> None:
    rng = np.random.default_rng(0)
    first, second, values = rng.integers(-3, 3, 200), rng.integers(0, 4, 200), rng.integers(0, 99, (200, 2))
    found = keyed_sums(first, second, values)
    pairs = sorted(set(zip(first.tolist(), second.tolist(), strict=True)))
    assert list(zip(found[0].tolist(), found[1].tolist(), strict=True)) == pairs
    for (one, two), total in zip(pairs, found[2], strict=True):
        assert np.array_equal(total, values[(first == one) & (second == two)].sum(axis=0))


def test_nothing_gives_nothing() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert all(len(each) == 0 for each in keyed_sums(none, none, np.zeros((0, 3))))
