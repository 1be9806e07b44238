"""Searches and sweeps over sorted packed keys, compiled by Numba."""

from __future__ import annotations

import numpy as np

from sparse_convonet.runtime.numba_cache import njit

_BLOCK = 2048  # queries of a sweep: their keys, and the rows of the table, stay in the cache


@njit(cache=True, inline="always")
def lower_bound(keys, low, high, key):  # type: ignore[no-untyped-def]
    """First row from low to high whose key is not below `key`."""
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def match_rows(
    query_keys: np.ndarray,  # (Q,) int64 sorted
    keys: np.ndarray,  # (V,) int64 sorted
    shifts: np.ndarray,  # (K,) int64
    columns: np.ndarray,  # (columns, depth) int64: entries of a column have ascending shifts
    table: np.ndarray,  # (Q, K) int32, written: row of query + shift in keys, or -1
    begin: int,
    end: int,
) -> None:
    """Fill rows begin to end of a neighbour table: one sweep per column and block of rows."""
    total = len(keys)
    for first in range(begin, end, _BLOCK):
        last = min(first + _BLOCK, end)
        for column in range(columns.shape[0]):
            low = shifts[columns[column, 0]]
            start = lower_bound(keys, 0, total, query_keys[first] + low)
            for row in range(first, last):
                key = query_keys[row]
                while start < total and keys[start] < key + low:
                    start += 1
                position = start
                for depth in range(columns.shape[1]):
                    entry = columns[column, depth]
                    wanted = key + shifts[entry]
                    while position < total and keys[position] < wanted:
                        position += 1
                    found = position < total and keys[position] == wanted
                    table[row, entry] = position if found else -1


@njit(cache=True, nogil=True)
def union_of_shifted(keys: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Sorted unique (U,) int64 of keys (V,) sorted plus each of shifts (S,) ascending: an S-way merge."""
    count, ways = len(keys), len(shifts)
    merged = np.empty(count * ways, dtype=np.int64)
    heads = np.zeros(ways, dtype=np.int64)
    written = 0
    # The stream with the highest shift holds the largest key, so it is the last to end.
    while heads[ways - 1] < count:
        lowest = np.int64(9223372036854775807)
        for way in range(ways):
            if heads[way] < count:
                lowest = min(lowest, keys[heads[way]] + shifts[way])
        for way in range(ways):
            if heads[way] < count and keys[heads[way]] + shifts[way] == lowest:
                heads[way] += 1
        merged[written] = lowest
        written += 1
    return merged[:written].copy()
