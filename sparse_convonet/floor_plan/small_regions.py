"""Stage floor_plan: regions of masks by what they hold, and masks without their small regions and small holes.

scikit-image has the latter, but its releases before and after 0.26 name the size otherwise, and Python 3.10 has none after.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label


def without_small_regions(mask: np.ndarray, places: int) -> np.ndarray:
    """(X, Y) bool without the regions of at most so many places; neighbours share an edge."""
    regions, _ = label(mask)
    is_large = np.bincount(regions.ravel()) > places
    is_large[0] = False
    return is_large[regions]


def without_small_holes(mask: np.ndarray, places: int) -> np.ndarray:
    """(X, Y) bool in which regions of at most so many places that are not in the mask are filled."""
    return ~without_small_regions(~mask, places)


def regions_with(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """(X, Y) bool: the regions of a mask that hold a seed, of (X, Y) bool; neighbours share an edge."""
    regions, count = label(mask)
    holds = np.zeros(count + 1, dtype=bool)
    holds[regions[seeds]] = True
    holds[0] = False
    return np.asarray(holds[regions])
