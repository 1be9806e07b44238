"""Parts of the segmentation against what they are short for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.segmentation import watershed

from sparse_convonet.floor_plan.segmentation import _spread


@pytest.mark.parametrize("seed", range(5))
def test_labels_spread_as_the_watershed_of_all_places(seed: int) -> None:
    """No two places are as far from walls here, so that there is one watershed."""
    rng = np.random.default_rng(seed)
    distance, open_places = (gaussian_filter(rng.normal(size=(70, 90)), 3) for _ in range(2))
    free = distance > -0.08
    seeds = np.where(free & (rng.random(free.shape) < 0.01), rng.integers(1, 9, free.shape), 0)
    labelled = np.where(open_places > 0.05, 0, watershed(-distance, seeds, mask=free))
    assert (labelled[free] == 0).any() and len(np.unique(labelled)) > 5
    np.testing.assert_array_equal(_spread(labelled, distance, free), watershed(-distance, labelled, mask=free))
    whole = _spread(labelled, distance, labelled > 0)
    np.testing.assert_array_equal(whole, labelled)
