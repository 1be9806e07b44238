"""The unit of several files, and the scale that follows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sparse_convonet.clouds.summary import describe
from sparse_convonet.clouds.units import common_unit, metres_per_unit
from sparse_convonet.structures import LengthUnit, PointCloud

METRE, FOOT = LengthUnit("metre", 1.0), LengthUnit("foot", 0.3048)


def test_files_of_one_unit_have_it_and_those_of_several_have_none() -> None:
    assert common_unit([None, None]) is None
    assert common_unit([FOOT, FOOT]) == FOOT
    assert common_unit([METRE, None]) == METRE
    for units, names in (([METRE, FOOT], "metre and foot"), ([FOOT, None], "foot and an undeclared unit")):
        found = common_unit(units)
        assert found is not None and found.name == names and math.isnan(found.metres)


@pytest.mark.parametrize("asked", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_no_length_is_refused(rng: np.random.Generator, asked: float) -> None:
    summary = describe(PointCloud(rng.random((100, 3))))
    with pytest.raises(ValueError, match="scale: expected a positive number .metres per unit of the scan., found"):
        metres_per_unit(summary, asked)


def test_a_declared_unit_counts_more_than_the_size(rng: np.random.Generator) -> None:
    points = rng.random((2000, 3)) * [9000, 6000, 2700]
    with pytest.raises(ValueError, match="looks like millimetres; run again with --scale 0.001, or with --scale 1"):
        metres_per_unit(describe(PointCloud(points)), None)
    assert metres_per_unit(describe(PointCloud(points, unit=METRE)), None) == 1.0
    with pytest.raises(ValueError, match="expected one unit of length, found an extent of .* in metre and foot"):
        metres_per_unit(describe(PointCloud(points, unit=common_unit([METRE, FOOT]))), None)
