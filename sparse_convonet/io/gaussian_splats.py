"""Gaussians of a radiance field as points: their centres, with the colour that they have from all sides.

Kerbl et al., 3D Gaussian Splatting for Real-Time Radiance Field Rendering, SIGGRAPH 2023, whose code names the columns.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sparse_convonet.io.column_names import COLOUR

_COLOURS, _OPACITY = ("f_dc_0", "f_dc_1", "f_dc_2"), "opacity"
_CONSTANT_HARMONIC = 0.28209479177387814  # 1 / (2 sqrt(pi))
_LEAST_OPACITY = 0.1  # of what is more than a floater


def are_splats(columns: Mapping[str, np.ndarray]) -> bool:
    """Whether the columns of a table are those of Gaussians."""
    return {*_COLOURS, _OPACITY} <= set(columns)


def visible_splats(columns: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], int]:
    """The columns (n,) of those that are hardly transparent, with colours of 0 to 255, and how many are left out.

    Normals, which are zeros in such files, are not among them.
    """
    logits = np.asarray(columns[_OPACITY], dtype=np.float64)
    with np.errstate(over="ignore"):
        visible = ~(1 / (1 + np.exp(-logits)) < _LEAST_OPACITY)
    found = {name: np.asarray(columns[name])[visible] for name in ("x", "y", "z") if name in columns}
    for name, channel in zip(COLOUR, _COLOURS, strict=True):
        share = 0.5 + _CONSTANT_HARMONIC * np.asarray(columns[channel], dtype=np.float64)[visible]
        found[name] = np.clip(np.rint(np.nan_to_num(share) * 255), 0, 255).astype(np.uint8)
    return found, int(len(visible) - visible.sum())
