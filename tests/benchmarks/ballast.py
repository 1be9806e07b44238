"""Memory to be measured: what the test of isolated calls runs in another process, quick to import."""

from __future__ import annotations


def hold(megabytes: int) -> dict[str, int]:
    """Fill that many megabytes; returns their bytes."""
    return {"bytes": len(bytes(range(250)) * (megabytes * 4000))}
