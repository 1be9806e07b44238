"""Chunks of queries, the seeds' edge and the threshold as a logit."""

from __future__ import annotations

import math

import pytest

from sparse_convonet.extract.mise import threshold_logit
from sparse_convonet.extract.seeds import finest_cells_per_seed
from sparse_convonet.mesh.query_chunks import QUERIES_AT_ONCE, query_chunks


@pytest.mark.parametrize("count", [0, 1, QUERIES_AT_ONCE, QUERIES_AT_ONCE + 1, 3 * QUERIES_AT_ONCE - 1])
def test_chunks_cover_all_rows_once_and_in_order(count: int) -> None:
    chunks = list(query_chunks(count))
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks)][: len(chunks)]
    assert (chunks[-1].stop if chunks else 0) == count
    assert all(0 < chunk.stop - chunk.start <= QUERIES_AT_ONCE for chunk in chunks)


@pytest.mark.parametrize(("cell", "finest"), [(0.5, 16), (0.4, 16), (1.0, 8), (2.0, 4), (8.0, 1), (100.0, 1)])
def test_a_seed_is_the_power_of_two_of_cells_nearest_to_eight_voxels(cell: float, finest: int) -> None:
    assert finest_cells_per_seed(cell) == finest


@pytest.mark.parametrize("tau", [0.01, 0.45, 0.5, 0.99])
def test_the_logistic_function_of_the_logit_is_tau(tau: float) -> None:
    assert 1 / (1 + math.exp(-threshold_logit(tau))) == pytest.approx(tau, rel=1e-12)
