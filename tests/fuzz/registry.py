"""All targets by name."""

from __future__ import annotations

from functools import cache

from tests.fuzz import data_targets, mesh_targets, point_targets
from tests.fuzz.target import Target


@cache
def all_targets() -> dict[str, Target]:
    """Those whose packages are installed."""
    found = [*point_targets.targets(), *mesh_targets.targets(), *data_targets.targets()]
    return {target.name: target for target in found}
