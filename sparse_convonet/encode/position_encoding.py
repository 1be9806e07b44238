"""Positions as sines and cosines (Mildenhall et al. 2020, section 5.1), an option of the published networks for crops."""

from __future__ import annotations

import math

import torch

_OCTAVES = 10
SIN_COS_WIDTH = 3 * 2 * _OCTAVES


def sin_cos(within: torch.Tensor) -> torch.Tensor:
    """Places (N, 3) within a voxel, 0 to 1 -> (N, 60): for each octave the sines of x, y, z, then their cosines.

    The angle of octave k is pi 2^k times the place in -1 to 1, so the lowest octave tells both ends of a voxel apart.
    """
    angles = [(2 * within - 1) * (math.pi * 2**octave) for octave in range(_OCTAVES)]
    return torch.cat([turned(angle) for angle in angles for turned in (torch.sin, torch.cos)], dim=1)
