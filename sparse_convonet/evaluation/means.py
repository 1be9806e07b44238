"""Means over rows of scores, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def column_means(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Mean of every column over the rows that have a value, None where none has; columns in the order of first use."""
    means: dict[str, float | None] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        found = [value for row in rows if (value := row.get(name)) is not None]
        means[name] = float(np.mean(found)) if found else None
    return means
