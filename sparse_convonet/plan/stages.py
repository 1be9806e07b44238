"""What a scan goes through on its way to a mesh, whether it is in memory or on the disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FoundSurface:
    """level_cells: how many cells the field has, by stride in voxels.  threshold: tau, the probability at the surface.
    seconds: by stage, of this run alone."""

    level_cells: dict[int, int]
    threshold: float
    seconds: dict[str, float]
