"""Many queries or vertices a bounded number at a time, whatever is worked out for each."""

from __future__ import annotations

from collections.abc import Iterator

QUERIES_AT_ONCE = 1 << 17


def query_chunks(count: int) -> Iterator[slice]:
    """Slices that cover range(count) in order."""
    for start in range(0, count, QUERIES_AT_ONCE):
        yield slice(start, min(start + QUERIES_AT_ONCE, count))
