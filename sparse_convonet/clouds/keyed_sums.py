"""Sums over rows that share a pair of whole numbers."""

from __future__ import annotations

import numpy as np


def keyed_sums(first: np.ndarray, second: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) and (n,) integers, (n, k) values -> the pairs that occur, ascending, and the sum of the values of each."""
    order = np.lexsort([second, first])
    first, second, values = first[order], second[order], values[order]
    is_start = np.ones(len(first), dtype=bool)
    is_start[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    starts = np.flatnonzero(is_start)
    sums = np.add.reduceat(values, starts, axis=0) if len(starts) else values
    return first[starts], second[starts], sums
