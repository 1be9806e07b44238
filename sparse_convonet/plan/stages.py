"""What a scan goes through on its way to a mesh, whether it is in memory or on the disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FoundSurface:
    """level_cells: how many cells the field has, by stride in voxels.  threshold: tau, the probability at the surface.
    seconds: by stage, of this run alone.  free_m3: cubic metres that rays passed and that were kept free of surface; None:
    it is not known where the scanner stood, or the settings do not want it."""

    level_cells: dict[int, int]
    threshold: float
    seconds: dict[str, float]
    free_m3: float | None = None
