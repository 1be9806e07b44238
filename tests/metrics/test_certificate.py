"""Certificates: errors of many vertices as one."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.metrics.certificate import CertificateSums, ErrorShares, level_of_accuracy

TAILS = -np.log(1 - np.array([0.68, 0.95]))


def _weibull_within(scale: np.ndarray, shape: float) -> list[np.ndarray]:
    return [scale * tail ** (1 / shape) for tail in TAILS]


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_errors_of_one_kind_come_back(shape: float) -> None:
    shares = ErrorShares()
    within = _weibull_within(np.full(50, 0.004), shape)
    shares.add(within[0], within[1], np.ones(50))
    assert shares.quantile_m(0.68) == pytest.approx(within[0][0], rel=0.04)
    assert shares.quantile_m(0.95) == pytest.approx(within[1][0], rel=0.06)


def test_errors_of_several_kinds_are_the_quantiles_of_all_together(rng: np.random.Generator) -> None:
    scale = np.exp(rng.normal(np.log(0.005), 1.0, 4000))
    drawn = scale * rng.weibull(1.4, 4000)
    weights = rng.uniform(0, 1, 4000)
    shares = ErrorShares()
    for rows in np.array_split(np.arange(4000), 3):
        within_68, within_95 = _weibull_within(scale, 1.4)
        shares.add(within_68[rows], within_95[rows], weights[rows])
    order = np.argsort(drawn)
    passed = np.cumsum(weights[order]) / weights.sum()
    for share in (0.5, 0.68, 0.95):
        assert shares.quantile_m(share) == pytest.approx(drawn[order][np.searchsorted(passed, share)], rel=0.08)


def test_storeys_are_told_apart_and_what_was_not_seen_has_no_error() -> None:
    sums = CertificateSums([0.1, 3.2], [-0.5, 3.0])
    heights, areas = np.array([-0.2, 1.0, 3.1, 5.0]), np.array([1.0, 3.0, 2.0, 2.0])
    observed = np.array([True, True, True, False])
    sums.add(heights, areas, observed, np.array([0.002, 0.002, 0.01, 9.0]), np.array([0.004, 0.004, 0.03, 9.0]))
    found = sums.finish()
    below, above = found.storeys
    assert (below.floor_z, below.area_m2, below.observed, below.level_of_accuracy) == (0.1, 4.0, 1.0, "LOA40")
    assert (above.floor_z, above.area_m2, above.observed, above.level_of_accuracy) == (3.2, 4.0, 0.5, "LOA20")
    assert below.error_95_m == pytest.approx(0.004, rel=0.06)
    assert above.error_68_m == pytest.approx(0.01, rel=0.04)
    assert found.observed == 0.75
    assert below.error_68_m is not None and above.error_68_m is not None and found.error_68_m is not None
    assert below.error_68_m < found.error_68_m < above.error_68_m


def test_a_surface_that_was_guessed_has_no_error() -> None:
    sums = CertificateSums([0.0], [0.0])
    sums.add(np.zeros(2), np.ones(2), np.zeros(2, dtype=bool), np.ones(2), np.ones(2))
    found = sums.finish()
    assert (found.observed, found.error_68_m, found.error_95_m, found.level_of_accuracy) == (0.0, None, None, None)


@pytest.mark.parametrize(
    ("error_m", "level"), [(0.001, "LOA50"), (0.0011, "LOA40"), (0.015, "LOA30"), (0.05, "LOA20"), (0.06, "LOA10")]
)
def test_levels_are_those_of_the_guide(error_m: float, level: str) -> None:
    assert level_of_accuracy(error_m) == level
