"""Coordinates that come in coarse steps, as floats or few digits leave them of numbers that need more."""

from __future__ import annotations

import math

import numpy as np

_LEAST_PLACES = 3  # along an axis; two planes are no step
_ROUNDING = 1e-9  # of the largest coordinate: what doubles and text leave of a step
_WHOLE = 0.01  # how near the distances are to whole steps
_ALIKE = 1e-6


def coordinate_step(values: np.ndarray) -> float:
    """The step of whose multiples all (n,) coordinates of an axis are, a power of ten or of two; 0 where there is none.

    Rounding to digits leaves powers of ten, floats leave powers of two; other distances are those of things.
    """
    places = np.unique(values)
    gaps = np.diff(places)
    gaps = gaps[gaps > _ROUNDING * np.abs(places[[0, -1]]).max()] if len(places) else gaps
    if len(gaps) < _LEAST_PLACES - 1:
        return 0.0
    step = float(gaps.min())
    wholes = gaps / step
    if np.any(np.abs(wholes - np.rint(wholes)) > _WHOLE * np.maximum(wholes, 1) ** 0.5):
        return 0.0
    nearest = min((base ** round(math.log(step, base)) for base in (2.0, 10.0)), key=lambda each: abs(each - step))
    return nearest if abs(nearest - step) < max(_ALIKE * step, _ROUNDING * np.abs(places[[0, -1]]).max()) else 0.0
