"""How dense, how rough and how finely stored the points of a surface are, from a choice of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_POINTS_USED = 20_000
_PLACES = 400
_DENSITY_NEIGHBOURS = 8
_PLANE_NEIGHBOURS = 16
# Where N points of density d lie at random on a surface, pi r^2 d for the 8th neighbour at r is Gamma(8) distributed.
_GAMMA_MEDIAN = 7.6693
_TURN_UNIT = 0.2  # so far apart, in units, are points whose normals differ by a radian
# The squared deviation of 17 points from their plane is chi-squared distributed, with 14 degrees of freedom.
_FLAT_SHARE, _CHI_SQUARED = 0.25, 10.1653


@dataclass(frozen=True)
class LocalMeasures:
    """density: points per square unit.  noise: standard deviation across the surface, in units.  NaN: few points."""

    density: float
    noise: float


def local_measures(points: np.ndarray, normals: np.ndarray | None, rng: np.random.Generator) -> LocalMeasures:
    """Of points (N, 3) on surfaces with normals (N, 3), if known, from a choice of 20,000.

    Density: from the distance to the 8th neighbour, median over places everywhere, at random.  Noise: what 16
    neighbours deviate from their plane at the flattest quarter of the places in a strip across the middle, where it
    is hardly the shape: noise and rounding.  Noise beyond the distance of neighbours comes out too small; without
    normals, both sides of walls that are thinner than that are taken for noise.
    """
    if len(points) <= _PLANE_NEIGHBOURS:
        return LocalMeasures(float("nan"), float("nan"))
    count = min(len(points), _POINTS_USED)
    thinned = points[rng.choice(len(points), count, replace=False)].astype(np.float64)
    distances, _ = cKDTree(thinned).query(thinned[:_PLACES], [_DENSITY_NEIGHBOURS + 1])  # the first is the place itself
    squared = float(np.median(distances**2))
    density = _GAMMA_MEDIAN / (np.pi * squared) * len(points) / count if squared > 0 else float("nan")
    longest = int(np.argmax(np.ptp(points, axis=0)))
    order = np.argsort(points[:, longest])
    first = (len(points) - count) // 2
    strip = points[order[first : first + count]].astype(np.float64)
    # Neighbours are those that face the same way, so that a plane is fitted to one side of a wall.
    alike = strip if normals is None else np.hstack([strip, _TURN_UNIT * normals[order[first : first + count]]])
    _, rows = cKDTree(alike).query(alike[rng.permutation(count)[:_PLACES]], _PLANE_NEIGHBOURS + 1)
    near = strip[rows]  # (P, 17, 3)
    near = near - near.mean(axis=1, keepdims=True)
    squares = np.linalg.eigvalsh(near.transpose(0, 2, 1) @ near)[:, 0]
    return LocalMeasures(density, float(np.sqrt(max(np.quantile(squares, _FLAT_SHARE), 0.0) / _CHI_SQUARED)))


def quantisation_step(points: np.ndarray) -> float:
    """The distance between neighbouring values that coordinates (N, 3) can take: of half precision, or of a lattice.

    0 where there is neither.  Half precision is finer near 0; this is its step at the largest coordinate.
    """
    with np.errstate(over="ignore"):
        halves = points.astype(np.float16)
    if points.dtype == np.float16 or np.array_equal(halves, points):
        return float(np.spacing(np.abs(halves).max()))
    values = np.unique(points[: 5 * _PLACES].astype(np.float64))
    gaps = np.diff(values)
    rounding = 4 * float(np.spacing(np.abs(points).max()))
    gaps = gaps[gaps > rounding]
    if len(gaps) == 0:
        return 0.0
    step = float(gaps.min())
    # A lattice: every gap is a multiple of the least one, and far from all values differ.
    off = np.abs(gaps / step - np.round(gaps / step)) * step
    return step if off.max() <= 2 * rounding and len(values) < points[: 5 * _PLACES].size / 2 else 0.0
