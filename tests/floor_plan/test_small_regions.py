"""Small regions and holes go, by the size that is said, and regions that touch at corners are two."""

from __future__ import annotations

import numpy as np
import pytest

from sparse_convonet.floor_plan.small_regions import without_small_holes, without_small_regions

ROWS = "1100110", "1100001", "0000000", "0111000", "0101000", "0111000"
MASK = np.array([[int(place) for place in row] for row in ROWS], bool)


@pytest.mark.parametrize(("places", "kept"), [(0, 15), (1, 14), (2, 12), (3, 12), (4, 8), (8, 0)])
def test_regions_of_at_most_so_many_places_go(places: int, kept: int) -> None:
    """There are regions of 4, 2, 1 and 8 places; the second and the third touch at a corner."""
    found = without_small_regions(MASK, places)
    assert found.sum() == kept and not (found & ~MASK).any()


def test_a_hole_is_filled_and_what_is_larger_stays() -> None:
    filled = without_small_holes(MASK, 1)
    assert filled.sum() == MASK.sum() + 2 and filled[4, 2] and filled[0, 6]  # a corner of the mask is closed off too
    assert np.array_equal(without_small_holes(MASK, 0), MASK)
    assert without_small_holes(MASK, 40).all()


def test_masks_of_nothing_and_of_everything_stay() -> None:
    nothing = np.zeros((3, 4), bool)
    assert not without_small_regions(nothing, 2).any() and without_small_regions(~nothing, 2).all()
    assert without_small_holes(~nothing, 2).all()
