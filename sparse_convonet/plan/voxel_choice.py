"""The voxel size at which a scan's expected error is least, or hardly more and the work less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse_convonet.clouds.surface_sample import SurfaceSample, weighted_quantile
from sparse_convonet.plan.error_law import Coefficients, ExpectedError, expected_error

CANDIDATE_VOXELS_M = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.12)
SMALL_M = 3.0  # a scan with a shorter longest side gets candidates that are smaller by as much
_LEAST_SCALE = 0.001
_FINE_M = 0.04  # what the models are trained for begins here; smaller voxels need points that carry them:
_FINE_POINTS_PER_FACE = 2.0
# Of a voxel: beyond it, the network follows the noise, which the law does not see: its scans have few points in a voxel.
_MOST_NOISE = 0.45
_WORTH = 0.1  # time and memory grow with 1 / size^2: a smaller size has to lower the error by more than this share


@dataclass(frozen=True)
class VoxelChoice:
    """expected: of the chosen size, metres.  reason: a sentence without its end."""

    voxel_size_m: float
    expected: ExpectedError
    reason: str


def expected_errors(surface: SurfaceSample, law: Coefficients) -> dict[float, ExpectedError]:
    """By voxel size in metres, ascending: the candidates that the points carry, averaged over the surface by area.

    The network sees voxels, not metres: a thing of less than 3 m is looked up as if it were 3 m large.
    """
    scale = float(np.clip(surface.extent_m / SMALL_M, _LEAST_SCALE, 1.0))
    per_m2, noise_m = surface.per_m2 * scale**2, surface.noise_m / scale
    typical = weighted_quantile(per_m2, surface.area_m2, 0.5)
    found = {}
    sizes = [size for size in CANDIDATE_VOXELS_M if noise_m <= _MOST_NOISE * size] or CANDIDATE_VOXELS_M[-1:]
    for size in sizes:
        if size >= _FINE_M or typical * size**2 >= _FINE_POINTS_PER_FACE:
            large = expected_error(law, per_m2, surface.area_m2, noise_m, size)
            found[float(f"{scale * size:.3g}")] = large.scaled(scale)
    return found


def choose(surface: SurfaceSample, law: Coefficients) -> VoxelChoice:
    """The largest candidate whose expected mean error is at most a tenth more than the least."""
    expected = expected_errors(surface, law)
    enough = (1 + _WORTH) * min(each.mean_m for each in expected.values())
    size = max(each for each in expected if expected[each].mean_m <= enough)
    chosen = expected[size]
    reason = (
        f"expected error {1000 * chosen.near_m:.1f} mm on average, {100 * chosen.missing:.0f} % of the surface missing, "
        f"for {_plain(surface.typical_per_m2)} points per m2 of surface and a noise of {1000 * surface.noise_m:.1f} mm"
    )
    return VoxelChoice(size, chosen, reason)


def _plain(number: float) -> str:
    """With two digits that mean something, and never as a power of ten."""
    return f"{float(f'{number:.2g}'):g}" if number < 1e5 else f"{float(f'{number:.2g}'):.0f}"
