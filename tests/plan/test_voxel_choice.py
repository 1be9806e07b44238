"""The voxel size with the least expected error, and the sentence that says why."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from sparse_convonet.clouds.surface_sample import SurfaceSample
from sparse_convonet.plan.error_law import GAP_M, Coefficients, expected_error, shipped_law
from sparse_convonet.plan.plan import CloudDensity, choose_voxel_size
from sparse_convonet.plan.voxel_choice import CANDIDATE_VOXELS_M, choose, expected_errors
from tests.one_station_hall import one_station_hall
from tests.synthetic_scan import room_points

SHIPPED = shipped_law().coefficients
NEVER_SPARSE = Coefficients(1e-9, 1.0, 2.0, 1e-9, 0.01, 1.0, 1e-9, 1.0, 1e-9)  # the error is a fifth of the voxel


def uniform(per_m2: float, noise_m: float = 0.01, extent_m: float = 10.0) -> SurfaceSample:
    return SurfaceSample(np.array([per_m2]), np.array([40.0]), noise_m, extent_m)


def mean_m(law: Coefficients, per_m2: float, noise_m: float, voxel_size_m: float) -> float:
    return expected_error(law, np.array([per_m2]), np.ones(1), noise_m, voxel_size_m).mean_m


def test_the_choice_is_the_largest_size_with_at_most_a_tenth_more_error_than_any_of_the_shipped_law() -> None:
    chosen = set()
    for per_m2, noise_m in itertools.product((3, 30, 100, 500, 2000, 20_000), (0.002, 0.01, 0.03)):
        errors = {
            size: mean_m(SHIPPED, per_m2, noise_m, size)
            for size in CANDIDATE_VOXELS_M
            if (size >= 0.04 or per_m2 * size**2 >= 2) and noise_m <= 0.45 * size
        }
        choice = choose(uniform(per_m2, noise_m), SHIPPED)
        assert choice.expected.mean_m == pytest.approx(errors[choice.voxel_size_m])
        assert choice.voxel_size_m == max(size for size in errors if errors[size] <= 1.1 * min(errors.values()))
        chosen.add(choice.voxel_size_m)
    assert len(chosen) >= 4


def test_the_error_is_the_smaller_the_more_points_and_the_less_noise_there_is() -> None:
    for size in CANDIDATE_VOXELS_M:
        by_density = [mean_m(SHIPPED, per_m2, 0.005, size) for per_m2 in (3, 30, 300, 3000)]
        by_noise = [mean_m(SHIPPED, 300, noise_m, size) for noise_m in (0.03, 0.01, 0.003, 0.0)]
        for errors in (by_density, by_noise):
            assert all(after < before for before, after in itertools.pairwise(errors))


def test_a_law_has_the_parts_that_its_coefficients_name() -> None:
    law = Coefficients(20.0, 2.0, 3.0, 0.1, 0.004, 1.5, 0.5, 2.0, 0.02)
    found = expected_error(law, np.array([10.0]), np.ones(1), 0.02, 0.1)
    assert found.missing == pytest.approx(1 - (1 - 1 / (1 + 2.0**3)) * 0.8)  # 10 * 2^2 / 20 = 2
    assert found.near_m == pytest.approx(0.004 * 2**1.5 + 0.5 * 0.02 * 0.2**2 + 0.02 / 10**0.5)
    assert found.mean_m == pytest.approx(found.missing * 0.1 + (1 - found.missing) * found.near_m)
    dense = replace(law, spacing_factor=1e6)
    assert expected_error(dense, np.array([10.0]), np.ones(1), 0.02, 0.1).near_m == pytest.approx(GAP_M)


@pytest.mark.parametrize(("twelve_over_four", "expected"), [(1.09, 0.12), (1.2, 0.06), (2.0, 0.04)])
def test_a_smaller_size_has_to_lower_the_error_by_more_than_a_tenth(twelve_over_four: float, expected: float) -> None:
    power = float(np.log(twelve_over_four) / np.log(3))
    assert choose(uniform(100), replace(NEVER_SPARSE, voxel_power=power)).voxel_size_m == expected


def test_surface_counts_by_its_area_and_not_by_its_points() -> None:
    densities = np.array([20_000.0, 20.0])
    sizes = [
        choose(SurfaceSample(densities, np.array(areas), 0.003, 60.0), SHIPPED).voxel_size_m
        for areas in ((99.9, 0.1), (50.0, 50.0), (1.0, 99.0))
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_voxels_below_4_cm_need_points_that_carry_them() -> None:
    for per_m2, expected in ((100, 0.04), (2000, 0.04), (2300, 0.03), (4900, 0.03), (5100, 0.02)):
        assert choose(uniform(per_m2, 0.003), NEVER_SPARSE).voxel_size_m == expected


def test_a_small_thing_gets_the_voxels_of_a_large_one_at_its_scale() -> None:
    large, small = uniform(400, 0.01, 3.0), uniform(400 * 25, 0.002, 0.6)
    expected, scaled = expected_errors(large, SHIPPED), expected_errors(small, SHIPPED)
    assert list(scaled) == pytest.approx([size / 5 for size in expected])
    for one, other in zip(scaled.values(), expected.values(), strict=True):
        assert (one.missing, one.near_m) == pytest.approx((other.missing, other.near_m / 5))
    assert choose(small, SHIPPED).voxel_size_m == pytest.approx(choose(large, SHIPPED).voxel_size_m / 5)


def test_denser_scans_get_smaller_voxels_and_the_reason_says_density_noise_and_error() -> None:
    choices = [choose_voxel_size(CloudDensity(room_points(count))) for count in (500, 2000, 20_000, 200_000)]
    sizes, errors = [each.voxel_size_m for each in choices], [each.expected.mean_m for each in choices]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] >= 2 * sizes[-1]
    assert errors == sorted(errors, reverse=True)
    found = re.fullmatch(
        r"expected error ([0-9.]+) mm on average, ([0-9]+) % of the surface missing, "
        r"for ([0-9]+) points per m2 of surface and a noise of ([0-9.]+) mm",
        choices[2].reason,
    )
    assert found is not None, choices[2].reason
    said = [float(each) for each in found.groups()]
    assert said[0] == pytest.approx(1000 * choices[2].expected.near_m, abs=0.051)
    assert said[1] == pytest.approx(100 * choices[2].expected.missing, abs=0.51)
    assert said[2:] == pytest.approx([20_000 / 44.3, 10], rel=0.2)


def test_a_hall_seen_from_one_station_gets_voxels_for_its_far_end() -> None:
    assert choose_voxel_size(CloudDensity(one_station_hall(1_200_000))).voxel_size_m >= 0.08


def test_no_voxel_is_chosen_that_the_noise_nearly_fills() -> None:
    # A house of 5,000 points per m2 and 18.5 mm: F-scores at 1 cm of 0.68 with 3 cm, 0.83 with 4, 0.85 with 5.
    for noise_m, least_m in ((0.0185, 0.05), (0.036, 0.08), (0.2, 0.12)):
        assert choose(uniform(4400, noise_m), SHIPPED).voxel_size_m >= least_m
    assert choose(uniform(4400, 0.003), SHIPPED).voxel_size_m <= 0.04
