"""The empty halls and the voxel sizes at which sides are measured where nobody names others."""

from __future__ import annotations

DEFAULT_HALLS = ("12x0", "6x2.7", "12x2.7", "20x4", "30x8")
DEFAULT_VOXELS_M = (0.04, 0.06, 0.08, 0.12)
